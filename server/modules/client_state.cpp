// SPDX-License-Identifier: MIT
// XEP-0352 1.0.0: Client State Indication — while a client says that nobody looks at it, what can wait is
// held: presence, chat states, markers, receipts and PEP events, the newest of what tells of the same thing.
// Whatever else there is, known to us or not, is important: it leaves at once, and all that is held leaves
// before it, in the order in which it came. In the chain LEAVING this stands before stream management: a held
// stanza has not left. It is not counted, no ack is asked for because of it, and a session that waits to be
// resumed goes on collapsing what it holds.
#include <algorithm>
#include <optional>

#include "server/account.h"
#include "server/config.h"
#include "server/host.h"
#include "server/login_request.h"
#include "server/message_content.h"
#include "server/stream.h"
#include "server/worker.h"

namespace server {

namespace {

using xmpp::Element;
using xmpp::Stanza;

constexpr std::string_view csi = "urn:xmpp:csi:0";
constexpr std::string_view ns_carbons = "urn:xmpp:carbons:2";
constexpr std::string_view ns_chat_states = "http://jabber.org/protocol/chatstates";
constexpr std::string_view ns_event = "http://jabber.org/protocol/pubsub#event";
constexpr std::string_view ns_forward = "urn:xmpp:forward:0";
constexpr std::string_view ns_markers = "urn:xmpp:chat-markers:0";

// What can wait, from whom and to whom it is: of a carbon that is what it carries.
struct Subject {
    Element stanza;
    std::string_view from, to;
};

// Of two held stanzas about the same, the newer one says all that the older one did. Empty: about nothing but
// itself. nullopt: important.
using About = std::optional<std::string>;

// XML has no U+0000, so no two lists of parts read the same.
std::string joined(std::initializer_list<std::string_view> parts) {
    std::string all;
    for (const std::string_view part : parts) all.append(part).push_back('\0');
    return all;
}

About about_presence(const Stanza& presence, const Session& session) {
    // A subscription request waits for the user, an error for the client.
    if (!presence.type().empty() && presence.type() != "unavailable") return std::nullopt;
    if (presence.from() == session.jid().view()) return std::nullopt;  // it spoke of itself just now
    // XEP-0045 §7, §9: the client's own entry, who was renamed or thrown out, a room that is no more. A
    // status code tells what the next presence does not.
    const Element muc = presence.child("x", xmpp::ns::muc_user);
    if (muc.child("status", xmpp::ns::muc_user) || muc.child("destroy", xmpp::ns::muc_user)) return std::nullopt;
    return joined({"presence", presence.from().text()});
}

// Nodes may have many items (bookmarks, read positions): it is the item that is replaced.
std::string about_event(const Subject& message, const Element& event) {
    const Element items = event.child("items", ns_event);
    if (event.child_count() != 1 || items.child_count() != 1) return {};
    const std::string_view id = items.first_child().attr("id");
    return id.empty() ? std::string{} : joined({"event", message.from, message.to, items.attr("node"), id});
}

About about_message(const Subject& message) {
    if (message.stanza.attr("type") == "error") return std::nullopt;
    Element said;
    bool says_more = false;
    for (const Element child : message.stanza.children()) {
        if (is_companion(child)) continue;
        if (!can_wait(child)) return std::nullopt;
        says_more = static_cast<bool>(said);
        said = child;
    }
    if (!said) return std::nullopt;
    if (says_more) return std::string{};
    if (said.ns() == ns_chat_states) return joined({"state", message.from, message.to});
    // XEP-0333 §1: up to that point.
    if (said.is("displayed", ns_markers)) return joined({"displayed", message.from, message.to});
    return said.ns() == ns_event ? about_event(message, said) : std::string{};
}

Subject subject_of(const Stanza& message, const Session& session) {
    const Element carried = message.from() == session.account().jid().view()
                                ? message.element()
                                      .child_in(ns_carbons)
                                      .child("forwarded", ns_forward)
                                      .child("message", xmpp::ns::client)
                                : Element{};
    if (carried) return {carried, carried.attr("from"), carried.attr("to")};
    return {message.element(), message.from().text(), message.to().text()};
}

About about(const Leaving& leaving) {
    // What the server wrote answers the client; what is logged is worth keeping, so worth having.
    if (!leaving.stanza || leaving.logged_as) return std::nullopt;
    switch (leaving.stanza->kind()) {
        case xmpp::Kind::presence: return about_presence(*leaving.stanza, leaving.session);
        case xmpp::Kind::message: return about_message(subject_of(*leaving.stanza, leaving.session));
        case xmpp::Kind::iq:
        case xmpp::Kind::other: break;
    }
    return std::nullopt;
}

class ClientState final : public Module {
public:
    explicit ClientState(Host& host) : worker_{host.worker}, inactive_{host} {
        host.at<&ClientState::offer>(host.features, this);
        host.bind_features.push_back(csi);
        host.at<&ClientState::begin>(host.binding, this);
        host.nonzas.add<&ClientState::on_active>(csi, "active", this);
        host.nonzas.add<&ClientState::on_inactive>(csi, "inactive", this);
        host.at<&ClientState::leaving>(host.leaving, this);
        host.at<&ClientState::become_active>(host.resumed, this);  // §5.2
        host.at<&ClientState::store>(host.storing, this);
        host.at<&ClientState::restore>(host.restored, this);
    }

private:
    struct Held {
        std::string about;
        Stanza stanza;
        xmpp::Wire wire;
        std::size_t size() const { return about.size() + stanza.size() + wire.size(); }
    };
    struct Inactive {
        std::vector<Held> held;  // in the order in which they came
        std::size_t bytes = 0;
    };

    // §4.1
    void offer(Stream& stream, xmpp::XmlWriter& features) {
        if (stream.is_for_sessions()) features.leaf_ns("csi", csi);
    }

    // §4.2. Without a session there is no state to speak of: RFC 6120 §4.9.3.24.
    // XEP-0386 §3.2.1
    void begin(Binding& binding) {
        if (binding.bind.child("inactive", csi)) inactive_[binding.session] = std::make_unique<Inactive>();
    }
    void on_inactive(Stream& stream, const Stanza&) {
        if (!stream.session()) return stream.close({xmpp::StreamCondition::unsupported_stanza_type});
        if (auto& state = inactive_[*stream.session()]; !state) state = std::make_unique<Inactive>();
    }
    void on_active(Stream& stream, const Stanza&) {
        if (!stream.session()) return stream.close({xmpp::StreamCondition::unsupported_stanza_type});
        become_active(*stream.session());
    }

    // §5.1: what was held is on its way before anything else that the client asked for.
    void become_active(Session& session) {
        if (const auto state = std::move(inactive_[session])) send_held(session, *state);
    }

    // Who resumes is active, so what is held is for stream management to keep: it is stored behind this module.
    void store(Session& session, SessionState& state) {
        if (!inactive_[session]) return;
        become_active(session);
        state[csi];
    }
    void restore(Session& session, const SessionState& state) {
        if (state.find(csi)) inactive_[session] = std::make_unique<Inactive>();
    }

    Verdict leaving(Leaving& leaving) {
        auto& state = inactive_[leaving.session];
        if (!state) return Verdict::pass();
        if (About subject = about(leaving);
            subject && hold(*state, {std::move(*subject), *leaving.stanza, leaving.wire}))
            return Verdict::drop();
        // Out of its slot: what leaves now comes through here again, and passes.
        const std::shared_ptr<Session> session = leaving.session.shared_from_this();
        auto still_inactive = std::move(state);
        send_held(*session, *still_inactive);
        inactive_[*session] = std::move(still_inactive);
        return Verdict::pass();
    }

    // False: there is no room for it.
    bool hold(Inactive& state, Held fresh) {
        if (!fresh.about.empty()) {
            const auto older = std::ranges::find(state.held, fresh.about, &Held::about);
            if (older != state.held.end()) {
                state.bytes -= older->size();
                state.held.erase(older);
            }
        }
        const Config::Limits& limits = worker_.config->limits;
        if (state.held.size() >= limits.held_stanzas || state.bytes + fresh.size() > limits.held_bytes)
            return false;
        state.bytes += fresh.size();
        state.held.push_back(std::move(fresh));
        return true;
    }

    static void send_held(Session& session, Inactive& state) {
        const std::vector<Held> held = std::exchange(state.held, {});
        state.bytes = 0;
        for (const Held& each : held) session.send(&each.stanza, each.wire);
    }

    Worker& worker_;
    SessionSlot<std::unique_ptr<Inactive>> inactive_;  // nullptr: active
};

}  // namespace

MODULE_FACTORY(client_state, ClientState)

}  // namespace server
