// SPDX-License-Identifier: MIT
// XEP-0045 §7.5, §17.4, XEP-0410: what goes through a room to one occupant: private messages, requests and their answers.
// Neither side learns the other's address.
#include <charconv>

#include "server/rooms/room.h"
#include "xmpp/namespaces.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

using xmpp::Condition;
using xmpp::JidView;
using xmpp::Stanza;

namespace {

// An IQ with another id.
std::string with_id(const Stanza& iq, JidView from, JidView to, std::string_view id) {
    xmpp::XmlWriter w;
    w.open("iq").attr("type", iq.type()).attr("id", id).attr("from", from.text()).attr("to", to.text());
    std::string payload;
    for (const xmpp::Element child : iq.children()) child.append_to(payload, xmpp::ns::client);
    return w.raw(payload).take();
}

// Profiles are the account's (XEP-0054, XEP-0292, PEP); whatever else is asked is for the client.
bool is_for_the_account(const xmpp::Element& payload) {
    return payload.ns() == "vcard-temp" || payload.ns() == "urn:ietf:params:xml:ns:vcard-4.0" || payload.ns() == "http://jabber.org/protocol/pubsub";
}

}  // namespace

void Room::whisper(const Stanza& stanza, JidView to) {
    const Occupant* const from = occupants_.at(stanza.from());
    const Occupant* const addressee = occupants_.find(to.resourcepart());
    if (stanza.is_error()) {
        // Of what was said to all, or of a private message.
        failed(stanza);
        if (!from || !occupants_.at(stanza.from()) || !addressee || addressee == from) return;
    } else {
        if (!from) return refuse(stanza, to, Condition::not_acceptable);
        if (stanza.type() == "groupchat") return refuse(stanza, to, Condition::bad_request);
        if (!addressee) return refuse(stanza, to, Condition::item_not_found);
        if (!may_whisper(*from, *addressee)) return refuse(stanza, to, Condition::forbidden);
    }
    // To these sessions and no others of their accounts; who is gone is found out by it.
    const auto copies = std::make_shared<const Copies>(passed_on(stanza, *from, stanza.is_error() ? "" : "<x xmlns='http://jabber.org/protocol/muc#user'/>"));
    const std::vector<Seat> seats = addressee->seats;
    for (const Seat& seat : seats) around_.send_all({copies}, seat.jid);
}

// The answer to a moderator, and a moderator's word, always go through.
bool Room::may_whisper(const Occupant& from, const Occupant& to) const {
    using Whispers = RoomConfig::Whispers;
    switch (config_.whispers) {
        case Whispers::anyone: return true;
        case Whispers::participants: return has_voice(from) || to.role == Role::moderator;
        case Whispers::moderators: return from.role == Role::moderator || to.role == Role::moderator;
        case Whispers::none: break;
    }
    return false;
}

// Whom the answer is for stands in the id: the number of the session that asks.
void Room::pass_request(const Stanza& iq, JidView to) {
    Occupant* const from = occupants_.at(iq.from());
    const xmpp::Element payload = iq.element().first_child();
    if (!from) return refuse(iq, to, payload.ns() == xmpp::ns::disco_info || payload.ns() == xmpp::ns::disco_items ? Condition::bad_request : Condition::not_acceptable);   // §6.6
    const Occupant* const addressee = occupants_.find(to.resourcepart());
    if (!addressee) return refuse(iq, to, Condition::item_not_found);
    if (addressee == from && payload.is("ping", "urn:xmpp:ping")) return around_.answer(iq, to, IqReply::result());   // XEP-0410 §3.3
    const std::string id = std::to_string(from->seat(iq.from())->number) + "-" + std::string{iq.id()};
    const xmpp::Jid& real = addressee->foremost().jid;
    const xmpp::Jid target = is_for_the_account(payload) ? real.bare() : real;
    around_.send(with_id(iq, from->address, target, id), target);
}

void Room::pass_answer(const Stanza& iq, JidView to) {
    const Occupant* from = occupants_.at(iq.from());
    if (!from && iq.from().is_bare()) from = occupants_.of(iq.from());
    const Occupant* const asked_by = occupants_.find(to.resourcepart());
    if (!from || !asked_by) return;
    const std::string_view id = iq.id();
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
    if (error != std::errc{} || end == id.data() + id.size() || *end != '-') return;
    for (const Seat& seat : asked_by->seats) {
        if (seat.number != number) continue;
        const xmpp::Jid target = seat.jid;
        return around_.send(with_id(iq, from->address, target, id.substr(static_cast<std::size_t>(end - id.data()) + 1)), target);
    }
}

}  // namespace server::rooms
