// SPDX-License-Identifier: MIT
// XEP-0280: Message Carbons 1.0.1 — every device of an account sees both sides of a conversation. Rules of
// §6.1 in full; private messages (<private/>, and the hint <no-copy/>) are never copied, and stay as they are
// (§9). An error is copied when the message that it answers was one of the last that could be. Copies are not
// logged again.
#include <algorithm>
#include <array>

#include "server/account.h"
#include "server/host.h"
#include "server/login_request.h"
#include "server/worker.h"

namespace server {

namespace {

using xmpp::Condition;
using xmpp::Element;

constexpr std::string_view carbons_ns = "urn:xmpp:carbons:2";
constexpr std::string_view forward_ns = "urn:xmpp:forward:0";
constexpr std::string_view hints_ns = "urn:xmpp:hints";
constexpr std::string_view conference_ns = "jabber:x:conference";

// §6.1: payloads of instant messaging, whatever the type. XEP-0353: a call rings, and stops ringing,
// everywhere.
constexpr std::string_view messaging_ns[] = {
    "urn:xmpp:receipts",
    "http://jabber.org/protocol/chatstates",
    "urn:xmpp:chat-markers:0",
    "urn:xmpp:jingle-message:0",
};

using storage::Direction;

bool carries_messaging(const Element& child) {
    return std::ranges::find(messaging_ns, child.ns()) != std::end(messaging_ns);
}

// §11: nobody else's copies are passed on as if they were ours, nor copied.
bool is_copy(const Element& child) {
    return child.is("received", carbons_ns) || child.is("sent", carbons_ns);
}

// §6.1, but for errors. RFC 6121 §5.2.2: a type that nobody knows is "normal".
bool is_eligible(const Passage& passage) {
    const xmpp::Stanza& message = passage.stanza;
    const std::string_view type = message.type();
    if (message.child("private", carbons_ns) || message.child("no-copy", hints_ns)) return false;
    if (type == "groupchat" || std::ranges::any_of(message.children(), is_copy)) return false;
    const Element muc = message.child("x", xmpp::ns::muc_user);
    if (muc.child("invite", xmpp::ns::muc_user) || message.child("x", conference_ns))
        return true;  // invitations: XEP-0045, XEP-0249
    // A private message of a room: the room itself sends what others say to every client that joined.
    if (muc && passage.direction == Direction::incoming && passage.from.is_full()) return false;
    if (muc && passage.direction == Direction::outgoing && passage.to.is_full()) return true;
    if (type == "chat" || std::ranges::any_of(message.children(), carries_messaging)) return true;
    return type != "headline" && message.child("body", xmpp::ns::client);
}

// The messages of an account that could be copied, the last of them: what an error answers is told by its id
// and peer (RFC 6120 §8.1.3), not by what it repeats (§10.3).
class Recent {
public:
    void add(Direction direction, xmpp::JidView peer, std::string_view id) {
        if (!places_) places_ = std::make_unique<Places>();
        (*places_)[next_++ % most] = of(direction, peer, id);
    }
    bool has(Direction direction, xmpp::JidView peer, std::string_view id) const {
        return places_ && std::ranges::find(*places_, of(direction, peer, id)) != places_->end();
    }

private:
    static constexpr std::size_t most = 64;
    using Places = std::array<std::size_t, most>;
    static std::size_t of(Direction direction, xmpp::JidView peer, std::string_view id) {
        return std::hash<std::string>{}(std::string{direction == Direction::outgoing ? "to " : "from "}
                                            .append(peer.bare().text())
                                            .append(" ")
                                            .append(id));
    }
    std::unique_ptr<Places> places_;
    std::size_t next_ = 0;
};

class Carbons final : public Module {
public:
    explicit Carbons(Host& host) : enabled_{host}, recent_{host} {
        host.disco.feature(carbons_ns);                  // §3
        host.disco.feature("urn:xmpp:carbons:rules:0");  // §6.2
        host.disco.account_feature(carbons_ns);
        // §5, §5.1: the switch is one's own.
        host.iq.set<&Carbons::enable>(Asked::account, carbons_ns, "enable", this, Condition::not_allowed);
        host.iq.set<&Carbons::disable>(Asked::account, carbons_ns, "disable", this, Condition::not_allowed);
        host.bind_features.push_back(carbons_ns);
        host.at<&Carbons::enable_at_binding>(host.binding, this);
        host.at<&Carbons::store>(host.storing, this);
        host.at<&Carbons::restore>(host.restored, this);
        host.at<&Carbons::copy_sent>(host.outbound, Station::copy, this);
        host.at<&Carbons::strip_forged>(host.inbound, Station::stamp, this);
        host.at<&Carbons::copy_received>(host.inbound, Station::copy, this);
    }

private:
    // §4, §5; §10.1: as often as the client likes.
    IqReply enable(Iq& iq) { return turn(iq, true); }
    IqReply disable(Iq& iq) { return turn(iq, false); }
    // XEP-0386 §3.2.1
    void enable_at_binding(Binding& binding) {
        if (binding.bind.child("enable", carbons_ns)) enabled_[binding.session] = true;
    }
    IqReply turn(Iq& iq, bool on) {
        if (!iq.is_own() || !iq.session) return Condition::not_allowed;
        enabled_[*iq.session] = on;
        return IqReply::result();
    }

    void store(Session& session, SessionState& state) {
        if (enabled_[session]) state[carbons_ns];
    }
    void restore(Session& session, const SessionState& state) { enabled_[session] = state.find(carbons_ns) != nullptr; }

    // §8: what this resource sends, to the others.
    Verdict copy_sent(Passage& passage) {
        if (!is_to_be_copied(passage)) return Verdict::pass();
        const bool to_itself = is_own(passage, passage.to);
        copy(passage, [&](Session& session) {
            return &session != passage.sender && !(to_itself && is_given(session, passage));
        });
        return Verdict::pass();
    }

    // §7: what comes in, to those that are not given it anyway.
    Verdict copy_received(Passage& passage) {
        if (is_own(passage, passage.from)) return Verdict::pass();  // they have it as "sent"
        if (!is_to_be_copied(passage)) return Verdict::pass();
        copy(passage, [&](Session& session) { return !is_given(session, passage); });
        return Verdict::pass();
    }

    bool is_to_be_copied(const Passage& passage) {
        const xmpp::Stanza& message = passage.stanza;
        if (message.kind() != xmpp::Kind::message || !has_copier(passage)) return false;
        const xmpp::JidView peer = passage.direction == Direction::outgoing ? passage.to : passage.from;
        Recent& recent = recent_[passage.account];
        if (message.is_error()) {
            // §10.3: to the account itself comes what bounces of our own copies.
            if (passage.to == passage.account.jid().view()) return false;
            const bool answers_own = passage.direction == Direction::incoming || is_own(passage, peer);
            return recent.has(answers_own ? Direction::outgoing : Direction::incoming, peer, message.id());
        }
        if (!is_eligible(passage)) return false;
        recent.add(passage.direction, peer, message.id());
        return true;
    }

    // Most accounts have one session, which sent the message or is given it.
    bool has_copier(const Passage& passage) {
        return std::ranges::any_of(passage.account.sessions(), [&](const auto& session) { return enabled_[*session] && session.get() != passage.sender; });
    }

    static bool is_own(const Passage& passage, xmpp::JidView jid) {
        return jid.bare() == passage.account.jid().view();
    }

    // RFC 6121 §8.5.2.1.1, §8.5.3: whether the router gives that session the message itself.
    static bool is_given(const Session& session, const Passage& passage) {
        if (passage.to.is_full())
            if (const Session* const named = passage.account.session(passage.to.resourcepart()))
                return &session == named;
        return session.takes_messages() && !passage.stanza.is_error() &&
               !(passage.to.is_full() && passage.stanza.type() == "headline");
    }

    Verdict strip_forged(Passage& passage) {
        if (passage.stanza.kind() != xmpp::Kind::message) return Verdict::pass();
        for (const xmpp::Element child : passage.stanza.children())
            if (is_copy(child)) passage.stripped.push_back(child);
        return Verdict::pass();
    }

    template <class Wanted>
    void copy(Passage& passage, Wanted wanted) {
        const auto sessions = passage.account.sessions();
        std::string forwarded;
        for (const auto& session : sessions) {
            if (!enabled_[*session] || !wanted(*session)) continue;
            // A logged message that the session will get by its log is not copied as well; a copy counts as
            // delivered.
            if (passage.logged_as != 0 && passage.direction == storage::Direction::incoming &&
                !session->is_sent_live())
                continue;
            if (forwarded.empty()) forwarded = xmpp::standing_alone(passage.wire().bytes());
            xmpp::XmlWriter w;
            w.open("message").attr("from", passage.account.jid().text()).attr("to", session->jid().text());
            w.attr_if("type", passage.stanza.type());  // §7, §8: the type of the original
            w.open(passage.direction == Direction::outgoing ? "sent" : "received", carbons_ns)
                .open("forwarded", forward_ns)
                .raw(forwarded);
            const xmpp::Stanza carbon = xmpp::parse_trusted(w.take());
            std::string xml;
            carbon.write(xml, {});
            session->send(&carbon, xmpp::Wire{xml}, {passage.logged_as, session->is_caught_up()});
        }
    }

    SessionSlot<bool> enabled_;
    AccountSlot<Recent> recent_;
};

}  // namespace

MODULE_FACTORY(carbons, Carbons)

}  // namespace server
