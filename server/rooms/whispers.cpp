// SPDX-License-Identifier: MIT
// XEP-0045 §7.5, §17.4, XEP-0410: what goes through a room to one occupant: private messages, requests and their answers.
// Neither side learns the other's address.
#include <algorithm>
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

// XML of what went wrong, without the words that could be said with it.
std::string error_alone(const Stanza& stanza) {
    const xmpp::Element given = stanza.child("error", xmpp::ns::client);
    xmpp::StanzaError error{xmpp::parse_condition(given.child_in(xmpp::ns::stanzas).name()).value_or(Condition::undefined_condition)};
    using enum xmpp::ErrorType;
    for (const xmpp::ErrorType type : {auth, cancel, continue_, modify, wait})
        if (to_string(type) == given.attr("type")) error.type = type;
    return error.xml();
}

// "12-7-id": two numbers of sessions before an id of a client's; what is left is that.
std::optional<std::uint64_t> take_number(std::string_view& id) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), number);
    const auto length = static_cast<std::size_t>(end - id.data());
    if (error != std::errc{} || length == id.size() || *end != '-') return std::nullopt;
    id.remove_prefix(length + 1);
    return number;
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
        if (!from || !occupants_.at(stanza.from()) || !addressee || addressee == from || !may_whisper(*addressee, *from)) return;
    } else {
        if (!from) return refuse(stanza, to, Condition::not_acceptable);
        if (stanza.type() == "groupchat") return refuse(stanza, to, Condition::bad_request);
        if (!addressee) return refuse(stanza, to, Condition::item_not_found);
        if (!may_whisper(*from, *addressee)) return refuse(stanza, to, Condition::forbidden);
    }
    // To these sessions and no others of their accounts; who is gone is found out by it.
    const auto copies = std::make_shared<const Copies>(stanza.is_error() ? passed_error(stanza, *from) : passed_on(stanza, *from, "<x xmlns='http://jabber.org/protocol/muc#user'/>"));
    around_.send_once(copies, sessions_of(*addressee));
}

std::string Room::passed_error(const Stanza& stanza, const Occupant& from) const {
    xmpp::XmlWriter w;
    w.open("message").attr("type", "error").attr_if("id", stanza.id()).attr("from", from.address.text()).raw(error_alone(stanza));
    w.open("occupant-id", xmpp::ns::occupant_id).attr("id", from.id);
    return w.take();
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

// Whom the answer is for, and by which nickname it comes, stands in the id: the numbers of the sessions that ask and are asked.
void Room::pass_request(const Stanza& iq, JidView to) {
    Occupant* const from = occupants_.at(iq.from());
    const xmpp::Element payload = iq.element().first_child();
    if (!from) return refuse(iq, to, forbids_asking_occupants(iq));
    const Occupant* const addressee = occupants_.find(to.resourcepart());
    if (!addressee) return refuse(iq, to, Condition::item_not_found);
    if (addressee == from && payload.is("ping", "urn:xmpp:ping")) return around_.answer(iq, to, IqReply::result());   // XEP-0410 §3.3
    const std::string id = std::to_string(from->seat(iq.from())->number) + "-" + std::to_string(addressee->foremost().number) + "-" + std::string{iq.id()};
    const xmpp::Jid& real = addressee->foremost().jid;
    const xmpp::Jid target = is_for_the_account(payload) ? real.bare() : real;
    around_.send(with_id(iq, from->address, target, id), target);
}

Condition forbids_asking_occupants(const Stanza& iq) {
    const std::string_view ns = iq.element().first_child().ns();
    return ns == xmpp::ns::disco_info || ns == xmpp::ns::disco_items ? Condition::bad_request : Condition::not_acceptable;
}

void Room::pass_answer(const Stanza& iq, JidView to) {
    std::string_view id = iq.id();
    const auto asking = take_number(id), asked = asking ? take_number(id) : std::nullopt;
    const Occupant* const asked_by = occupants_.find(to.resourcepart());
    if (!asked || !asked_by) return;
    const Occupant* from = occupants_.at(iq.from());
    if (iq.from().is_bare()) {
        const auto is_asked = [&asked](const Seat& seat) { return seat.number == *asked; };
        occupants_.for_each([&](const Occupant& each) {
            if (each.bare() == iq.from() && std::ranges::any_of(each.seats, is_asked)) from = &each;
        });
    }
    const auto seat = std::ranges::find(asked_by->seats, *asking, &Seat::number);
    if (!from || seat == asked_by->seats.end()) return;
    const xmpp::Jid target = seat->jid;
    around_.send(with_id(iq, from->address, target, id), target);
}

}  // namespace server::rooms
