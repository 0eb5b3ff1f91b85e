// SPDX-License-Identifier: MIT
// XEP-0045 §7.2.2–§7.2.4, §17.3: an occupant's presence as others see it, and who that is: where presence of its role is not
// broadcast, itself alone, moderators no more than others.
#include <algorithm>

#include "server/rooms/room.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

using xmpp::Stanza;

std::string Room::presence_of(const Occupant& who, const Stanza& said, Says says, bool with_jid, const Tidings& tidings, bool to_itself) const {
    const bool is_renamed = !tidings.new_nick.empty();   // §7.6: is there still
    const Role role = says == Says::unavailable && !is_renamed ? Role::none : who.role;
    xmpp::XmlWriter w;
    w.open("x", xmpp::ns::muc_user).open("item").attr("affiliation", to_string(who.affiliation)).attr("role", to_string(role));
    if (with_jid) w.attr("jid", who.foremost().jid.text());   // §17.3, rule 10
    if (is_renamed) w.attr("nick", tidings.new_nick);
    if (!tidings.actor.empty()) w.open("actor").attr("nick", tidings.actor).close();
    if (!tidings.reason.empty()) w.leaf("reason", tidings.reason);
    w.close();
    const auto write = [&w](unsigned code) { w.open("status").attr("code", std::uint64_t{code}).close(); };
    if (to_itself) write(110);
    std::ranges::for_each(tidings.codes, write);
    if (to_itself) std::ranges::for_each(tidings.own_codes, write);
    w.close().open("occupant-id", xmpp::ns::occupant_id).attr("id", who.id).close();
    const std::string more = w.take();

    std::string xml;
    if (said) {
        Stanza::Rewrite rewrite;
        rewrite.from = who.address;
        rewrite.to = xmpp::JidView{};
        rewrite.append = more;
        rewrite.strip = is_for_the_room_to_say;
        rewrite.context = &jid_;
        said.write(xml, rewrite);
        return xml;
    }
    xml = says == Says::available ? "<presence from='" : "<presence type='unavailable' from='";
    xmpp::append_escaped_attribute(xml, who.address.text());
    return xml.append("'>").append(more).append("</presence>");
}

SharedCopies Room::shown(Occupant& who, bool with_jid) {
    SharedCopies& made = with_jid ? who.shown_with_jid : who.shown;
    if (!made) made = std::make_shared<const Copies>(presence_of(who, who.foremost().presence, Says::available, with_jid, {}, false));
    return made;
}

void Room::tell_all(SharedCopies to_moderators, SharedCopies to_others, std::vector<xmpp::Jid> except, xmpp::JidView by) {
    for (const Occupants::Hearers& there : occupants_.hearers())
        around_.announce(there.home, {there.audience, to_moderators, to_others, except, xmpp::Jid{by}});
}

void Room::tell_others(const Occupant& who, const Stanza& said, Says says, const Tidings& tidings) {
    const auto made = [&](bool with_jid) { return std::make_shared<const Copies>(presence_of(who, said, says, with_jid, tidings, false)); };
    const SharedCopies full = made(true);
    tell_all(full, config_.is_non_anonymous ? full : made(false), sessions_of(who));
}

void Room::tell_itself(const Occupant& who, const Stanza& said, Says says, const Tidings& tidings, const xmpp::Jid* but) {
    SharedCopies copies;
    for (const Seat& seat : who.seats) {
        if (but && seat.jid == *but) continue;
        if (!copies) copies = std::make_shared<const Copies>(presence_of(who, said, says, true, tidings, true));
        around_.send_all({copies}, seat.jid);
    }
}

void Room::show(Occupant& who, const Tidings& tidings, const xmpp::Jid* welcomed) {
    const bool is_plain = tidings.codes.empty() && tidings.reason.empty() && tidings.actor.empty();
    if (is_broadcast(who) && is_plain) {
        tell_all(shown(who, true), shown(who, config_.is_non_anonymous), sessions_of(who));
    } else if (is_broadcast(who)) {
        tell_others(who, who.foremost().presence, Says::available, tidings);
    }
    tell_itself(who, who.foremost().presence, Says::available, tidings, welcomed);
}

// §5.1.3: with a role that is not broadcast one is gone, as far as the others can see.
void Room::give_role(Occupant& who, Role role, const Tidings& tidings) {
    if (is_broadcast(who) && !config_.broadcast.contains(role)) tell_others(who, {}, Says::unavailable, {});
    occupants_.set_role(who, role);
    show(who, tidings);
}

// The roles to be broadcast have changed.
void Room::rebroadcast(Roles before) {
    for (Occupant* const who : occupants_.all()) {
        if (before.contains(who->role) == is_broadcast(*who)) continue;
        if (is_broadcast(*who)) tell_others(*who, who->foremost().presence, Says::available, {});
        else tell_others(*who, {}, Says::unavailable, {});
    }
}

std::size_t Room::presences_of_change(const RoomConfig& config) const {
    std::size_t concerned = 0;
    for (const Role role : {Role::visitor, Role::participant, Role::moderator})
        if (config.broadcast.contains(role) != config_.broadcast.contains(role)) concerned += occupants_.with(role).size();
    std::size_t strangers = 0;
    if (config.is_members_only && !config_.is_members_only)
        occupants_.for_each([&strangers](const Occupant& who) { strangers += who.affiliation < Affiliation::member ? 1 : 0; });
    return concerned * occupants_.size() + strangers * (occupants_.size() - strangers);
}

xmpp::StanzaError too_many_presences() { return {xmpp::Condition::policy_violation, "Too many are there for that."}; }

}  // namespace server::rooms
