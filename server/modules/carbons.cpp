// SPDX-License-Identifier: MIT
// XEP-0280: Message Carbons 1.0.1 — every device of an account sees both sides of a conversation. Rules of §6.1 in full;
// private messages (<private/>, and the hint <no-copy/>) are never copied. Copies are not logged again.
#include <algorithm>

#include "server/account.h"
#include "server/host.h"
#include "server/worker.h"

namespace server {

namespace {

constexpr std::string_view carbons_ns = "urn:xmpp:carbons:2";
constexpr std::string_view forward_ns = "urn:xmpp:forward:0";
constexpr std::string_view hints_ns = "urn:xmpp:hints";
constexpr std::string_view muc_user_ns = "http://jabber.org/protocol/muc#user";
constexpr std::string_view conference_ns = "jabber:x:conference";
constexpr std::string_view receipts_ns = "urn:xmpp:receipts";
constexpr std::string_view chat_states_ns = "http://jabber.org/protocol/chatstates";
constexpr std::string_view markers_ns = "urn:xmpp:chat-markers:0";

// §6.1: what instant messaging is made of.
bool is_eligible(const xmpp::Stanza& message, bool is_received) {
    if (message.child("private", carbons_ns) || message.child("no-copy", hints_ns)) return false;
    const std::string_view type = message.type();
    if (type == "groupchat" || type == "headline") return false;
    if (const xmpp::Element muc = message.child("x", muc_user_ns)) {
        if (muc.child("invite", muc_user_ns)) return true;      // a mediated invitation
        if (is_received) return false;                          // a room sends it to all clients that joined
    }
    if (message.child("x", conference_ns)) return true;         // a direct invitation
    if (type == "chat" || type == "error") return true;
    return std::ranges::any_of(message.children(), [](const xmpp::Element& child) {
        return child.is("body", xmpp::ns::client) || child.ns() == receipts_ns || child.ns() == chat_states_ns || child.ns() == markers_ns;
    });
}

// §11: nobody else's copies are passed on as if they were ours.
bool is_copy(const xmpp::Element& child) { return child.ns() == carbons_ns && (child.name() == "received" || child.name() == "sent"); }

class Carbons final : public Module {
public:
    explicit Carbons(Host& host) : enabled_{host} {
        host.disco.feature(carbons_ns);
        host.disco.feature("urn:xmpp:carbons:rules:0");   // §6.2
        host.disco.account_feature(carbons_ns);
        host.iq.set<&Carbons::enable>(Asked::account, carbons_ns, "enable", this);
        host.iq.set<&Carbons::disable>(Asked::account, carbons_ns, "disable", this);
        host.at<&Carbons::copy_sent>(host.outbound, Station::copy, this);
        host.at<&Carbons::strip_forged>(host.inbound, Station::stamp, this);
        host.at<&Carbons::copy_received>(host.inbound, Station::copy, this);
    }

private:
    IqReply enable(Iq& iq) { return turn(iq, true); }
    IqReply disable(Iq& iq) { return turn(iq, false); }
    IqReply turn(Iq& iq, bool on) {
        if (!iq.is_own() || !iq.session) return xmpp::Condition::forbidden;
        enabled_[*iq.session] = on;
        return IqReply::result();
    }

    // §8: what this resource sends, to the others.
    Verdict copy_sent(Passage& passage) {
        if (passage.stanza.kind() != xmpp::Kind::message || !is_eligible(passage.stanza, false)) return Verdict::pass();
        copy(passage, "sent", [&](Session& session) { return &session != passage.sender; });
        return Verdict::pass();
    }

    // §7: what one resource is given, to those that are not given it anyway. A message to the bare JID reaches every
    // resource that takes messages; one to a full JID that is not there goes the same way (RFC 6121 §8.5.3.2.1).
    Verdict copy_received(Passage& passage) {
        if (passage.stanza.kind() != xmpp::Kind::message || !is_eligible(passage.stanza, true)) return Verdict::pass();
        if (passage.from.bare() == passage.account.jid().view()) return Verdict::pass();   // they have it as "sent"
        const Session* const named = passage.to.is_full() ? passage.account.session(passage.to.resourcepart()) : nullptr;
        copy(passage, "received", [&](Session& session) { return named ? &session != named : !session.takes_messages(); });
        return Verdict::pass();
    }

    Verdict strip_forged(Passage& passage) {
        if (passage.stanza.kind() != xmpp::Kind::message) return Verdict::pass();
        for (const xmpp::Element child : passage.stanza.children())
            if (is_copy(child)) passage.stripped.push_back(child);
        return Verdict::pass();
    }

    template <class Wanted>
    void copy(Passage& passage, std::string_view direction, Wanted wanted) {
        const auto sessions = passage.account.sessions();
        std::string forwarded;
        for (const auto& session : sessions) {
            if (!enabled_[*session] || !wanted(*session)) continue;
            // A logged message that the session will get by its log is not copied as well; a copy counts as delivered.
            if (passage.logged_as != 0 && passage.direction == storage::Direction::incoming && !session->is_sent_live()) continue;
            if (forwarded.empty()) forwarded = forward(passage);
            xmpp::XmlWriter w;
            w.open("message").attr("from", passage.account.jid().text()).attr("to", session->jid().text());
            w.attr_if("type", passage.stanza.type());   // §7, §8: the type of the original
            w.open(direction, carbons_ns).open("forwarded", forward_ns).raw(forwarded);
            const xmpp::Stanza carbon = xmpp::parse_trusted(w.take());
            std::string xml;
            carbon.write(xml, {});
            session->send(&carbon, xmpp::Wire{xml}, {passage.logged_as, session->is_caught_up()});
        }
    }

    // The original with its edits, in the namespace that it has on a stream.
    static std::string forward(Passage& passage) {
        constexpr std::string_view tag = "<message";
        const xmpp::Wire wire = passage.wire();
        std::string xml{tag};
        xml.append(" xmlns='").append(xmpp::ns::client).append("'").append(wire.bytes().substr(tag.size()));
        return xml;
    }

    SessionSlot<bool> enabled_;
};

}  // namespace

MODULE_FACTORY(carbons, Carbons)

}  // namespace server
