// SPDX-License-Identifier: MIT
// XEP-0045 §7.14, §11, §18.1.2: who leaves a room, and who is found to be gone.
#include <algorithm>

#include "server/rooms/room.h"
#include "xmpp/namespaces.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

using xmpp::Condition;
using xmpp::Stanza;

namespace {

// §18.1.2: "delivery-related errors"
bool says_that_it_is_gone(const Stanza& error) {
    const xmpp::Element why = error.child("error", xmpp::ns::client).child_in(xmpp::ns::stanzas);
    const auto condition = xmpp::parse_condition(why.name());
    constexpr Condition gone[] = {Condition::gone,     Condition::item_not_found,          Condition::recipient_unavailable,
                                  Condition::redirect, Condition::remote_server_not_found, Condition::remote_server_timeout};
    return condition && std::ranges::find(gone, *condition) != std::end(gone);
}

}  // namespace

// Whatever nickname it is for: a session that ends says so to all that it ever had. §17.3, rule 5: others are ignored.
void Room::unavailable(const Stanza& presence) {
    if (Occupant* const who = occupants_.at(presence.from())) leave(*who, presence);
}

void Room::leave(Occupant& who, const Stanza& presence) {
    // §10.1.3: a room that was never unlocked ends here, and says so.
    if (is_locked_ && who.affiliation == Affiliation::owner) {
        is_destroyed_ = true;
        return remove_all("<destroy/>");
    }
    remove_seat(who, presence.from(), {}, presence.size() <= longest_presence ? presence : Stanza{});
}

void Room::failed(const Stanza& error) {
    Occupant* const who = occupants_.at(error.from());
    if (!who || !says_that_it_is_gone(error)) return;
    Tidings tidings;
    tidings.codes.push_back(333);
    remove_seat(*who, error.from(), tidings);
}

// The other sessions of that nickname stay.
void Room::remove_seat(Occupant& who, xmpp::JidView full, const Tidings& tidings, const Stanza& farewell) {
    comes_or_goes(who.bare());
    if (who.seats.size() == 1) return remove(who, tidings, farewell);
    const bool was_foremost = who.foremost().jid.view() == full;
    Occupant leaver = who;
    std::erase_if(leaver.seats, [&](const Seat& seat) { return seat.jid.view() != full; });
    tell_itself(leaver, farewell, Says::unavailable, tidings);
    occupants_.remove(who, xmpp::Jid{full});
    if (was_foremost) show(who);
}

void Room::remove(Occupant& who, const Tidings& tidings, const Stanza& farewell) {
    tell_itself(who, farewell, Says::unavailable, tidings);
    if (is_broadcast(who)) tell_others(who, farewell, Says::unavailable, tidings);
    occupants_.remove(who);
    if (is_over()) around_.listing_changed();
}

// At once: each hears of itself, those who stay of all of them.
void Room::remove(const std::vector<Leaver>& leavers, const std::function<void()>& before_others_hear) {
    std::vector<std::pair<Occupant, const Tidings*>> seen;
    for (const Leaver& each : leavers) {
        comes_or_goes(each.who->bare());
        tell_itself(*each.who, {}, Says::unavailable, each.tidings);
        if (is_broadcast(*each.who)) seen.emplace_back(*each.who, &each.tidings);
        occupants_.remove(*each.who);
    }
    if (before_others_hear) before_others_hear();
    for (const auto& [who, tidings] : seen) tell_others(who, {}, Says::unavailable, *tidings);
    if (is_over()) around_.listing_changed();
}

void Room::shut_down() {
    Tidings tidings;
    tidings.codes.push_back(332);
    remove_all({}, tidings);
}

// §10.9, §11.2: each is told of itself alone.
void Room::remove_all(std::string_view destroy, const Tidings& tidings) {
    for (Occupant* const who : occupants_.all()) {
        xmpp::XmlWriter w;
        w.open("presence").attr("type", "unavailable").attr("from", who->address.text()).open("x", xmpp::ns::muc_user);
        w.open("item").attr("affiliation", "none").attr("role", "none").close().raw(destroy);
        w.open("status").attr("code", std::uint64_t{110}).close();
        for (const unsigned code : tidings.codes) w.open("status").attr("code", std::uint64_t{code}).close();
        w.close().open("occupant-id", xmpp::ns::occupant_id).attr("id", who->id);
        const auto copies = std::make_shared<const Copies>(w.take());
        for (const Seat& seat : who->seats) around_.send_all({copies}, seat.jid);
        occupants_.remove(*who);
    }
    around_.listing_changed();
}

}  // namespace server::rooms
