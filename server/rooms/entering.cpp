// SPDX-License-Identifier: MIT
// XEP-0045 §7.2, §7.6, §7.7: available presence enters a room, changes what is seen of who is there, or a nickname.
#include <algorithm>

#include "auth/crypto.h"
#include "server/rooms/room.h"
#include "xmpp/parser.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

using xmpp::Condition;
using xmpp::Element;
using xmpp::JidView;
using xmpp::Stanza;
using xmpp::StanzaError;

namespace {

constexpr std::size_t longest_nick = 256;            // bytes
constexpr std::size_t most_presence_bytes = 4U << 20;   // of all who are there: everybody who enters gets them
constexpr std::size_t longest_show = 4;              // bytes (RFC 6121 §4.7.2.1)
constexpr std::uint32_t places_for_admins = 10;      // beyond the limit
constexpr std::size_t most_seats = 20;               // sessions of one occupant

// §17.1: "Room Nicknames that consist only of one or more space characters".
bool is_visible(std::string_view nick) { return nick.find_first_not_of(' ') != std::string_view::npos; }

}  // namespace

void Room::available(const Stanza& presence, JidView to) {
    const Element x = presence.child("x", ns_muc);
    if (!is_visible(to.resourcepart())) return refuse(presence, to, Condition::jid_malformed);   // §7.2.1
    if (presence.size() > longest_presence) return refuse(presence, to, {Condition::policy_violation, "This presence is too long for a room."});
    Occupant* const who = occupants_.at(presence.from());
    if (who && to.resourcepart() != who->nick()) return change_nick(*who, presence, to);
    if (who) {
        occupants_.set_presence(*who, presence.from(), passed_to_others(presence, who->seat(presence.from())));
        // §17.3, rule 3: lost its synchronization.
        show(*who, {}, x ? &who->foremost().jid : nullptr);
        if (x) welcome(*who, x, codes_of_entry());
        return;
    }
    if (x) return enter(presence, to);
    around_.send(no_occupant(to, affiliation_of(presence)), presence.from());
}

std::string no_occupant(JidView address, Affiliation affiliation) {
    xmpp::XmlWriter w;
    w.open("presence").attr("type", "unavailable").attr("from", address.text()).open("x", xmpp::ns::muc_user);
    w.open("item").attr("affiliation", to_string(affiliation)).attr("role", "none").leaf("reason", "You are not in the room.").close();
    for (const std::uint64_t code : {110, 307, 333}) w.open("status").attr("code", code).close();
    return w.take();
}

void Room::enter(const Stanza& presence, JidView to) {
    const Element x = presence.child("x", ns_muc);
    if (auto error = keeps_out(presence, x, to.resourcepart())) return refuse(presence, to, std::move(*error));
    const JidView bare = presence.from().bare();
    const bool is_new_room = is_locked_ && occupants_.empty();
    Seat seat{xmpp::Jid{presence.from()}, around_.home_of(bare), ++seats_given_, passed_to_others(presence, nullptr)};

    comes_or_goes(bare);
    std::vector<unsigned> codes = codes_of_entry();
    if (is_new_room) codes.push_back(201);                // §10.1.1
    if (Occupant* const there = occupants_.find(to.resourcepart())) {   // §7.2.8: another session of the same
        occupants_.add(*there, std::move(seat));
        show(*there, {}, &there->foremost().jid);
        return welcome(*there, x, std::move(codes));
    }
    Occupant who;
    who.address = xmpp::Jid{to};
    who.affiliation = affiliation_of(bare);
    who.role = role_at_entry(who.affiliation);
    who.id = id_of(bare);
    who.seats.push_back(std::move(seat));
    Occupant& added = occupants_.add(std::move(who));
    show(added, {}, &added.foremost().jid);
    welcome(added, x, std::move(codes));
}

// §17.3, rule 7: all of it, so long as those of a room are not too much for who enters; then whether somebody is away.
// `instead_of`: whose presence it takes the place of.
Stanza Room::passed_to_others(const Stanza& presence, const Seat* instead_of) const {
    const std::size_t before = occupants_.presence_bytes() - (instead_of ? instead_of->presence.size() : 0);
    if (before + presence.size() <= most_presence_bytes) return presence;
    xmpp::XmlWriter w;
    w.open("presence").attr("from", presence.from().text()).attr("to", presence.to().text()).attr_if("id", presence.id());
    const std::string show = presence.child("show", xmpp::ns::client).text();
    if (!show.empty() && show.size() <= longest_show) w.leaf("show", show);
    return xmpp::parse_trusted(w.take());
}

// §7.2.3
std::vector<unsigned> Room::codes_of_entry() const { return config_.is_non_anonymous ? std::vector<unsigned>{100} : std::vector<unsigned>{}; }

// In the order of §7.2.5 to §7.2.10; who is banned learns nothing else.
std::optional<StanzaError> Room::keeps_out(const Stanza& presence, const Element& x, std::string_view nick) const {
    const Affiliation affiliation = affiliation_of(presence);
    const JidView bare = presence.from().bare();
    if (affiliation == Affiliation::outcast) return Condition::forbidden;
    if (is_locked_ && affiliation != Affiliation::owner) return Condition::item_not_found;
    if (config_.is_members_only && affiliation < Affiliation::member) return Condition::registration_required;
    if (config_.has_password && !auth::equal_in_constant_time(x.child("password", ns_muc).text(), config_.password)) return Condition::not_authorized;
    if (auto error = keeps_nick(bare, nick)) return error;
    if (const Occupant* const there = occupants_.find(nick)) {
        if (there->seats.size() >= most_seats) return StanzaError{xmpp::ErrorType::wait, Condition::resource_constraint};
    } else if (is_full_for(bare)) {
        return StanzaError{xmpp::ErrorType::wait, Condition::service_unavailable};   // §7.2.9
    }
    return std::nullopt;
}

std::optional<StanzaError> Room::keeps_nick(JidView bare, std::string_view nick) const {
    if (nick.size() > longest_nick) return StanzaError{Condition::policy_violation, "This nickname is too long."};
    const xmpp::Jid* const owner = affiliations_.owner_of_nick(nick);
    if (owner && owner->view() != bare) return Condition::conflict;
    const Occupant* const there = occupants_.find(nick);
    if (there && there->bare() != bare) return Condition::conflict;
    return std::nullopt;
}

bool Room::is_full_for(JidView bare) const {
    const std::uint32_t most = config_.max_occupants == 0 ? around_.rules().max_occupants : std::min(config_.max_occupants, around_.rules().max_occupants);
    return occupants_.size() >= (affiliation_of(bare) >= Affiliation::admin ? most + places_for_admins : most);
}

// §5.1.2
Role Room::role_at_entry(Affiliation affiliation) const {
    if (affiliation >= Affiliation::admin) return Role::moderator;
    return config_.is_moderated && affiliation < Affiliation::member ? Role::visitor : Role::participant;
}

// §7.1: others, itself, what was said, the subject; what is said from now on comes behind.
void Room::welcome(Occupant& who, const Element& x, std::vector<unsigned> codes) {
    const Seat& seat = who.foremost();
    std::vector<SharedCopies> stanzas;
    for_each_broadcast([&](Occupant* other) {
        if (other != &who) stanzas.push_back(shown(*other, shows_jids_to(who)));
    });
    Tidings tidings;
    tidings.own_codes = std::move(codes);
    stanzas.push_back(std::make_shared<const Copies>(presence_of(who, seat.presence, Says::available, true, tidings, true)));
    for (SharedCopies& message : history_.read(HistoryRequest::parse(x.child("history", ns_muc), around_.now()), config_.history, jid_.text()))
        stanzas.push_back(std::move(message));
    stanzas.push_back(current_subject());
    around_.send_all(std::move(stanzas), seat.jid);
}

// §7.6: all its sessions go by the new one.
void Room::change_nick(Occupant& who, const Stanza& presence, JidView to) {
    const JidView bare = presence.from().bare();
    auto error = keeps_nick(bare, to.resourcepart());
    if (!error && occupants_.find(to.resourcepart())) error.emplace(Condition::conflict);   // oneself, twice there
    if (error) return refuse(presence, to, std::move(*error));
    Tidings tidings;
    tidings.new_nick = to.resourcepart();
    tidings.codes.push_back(303);
    if (is_broadcast(who)) tell_others(who, {}, Says::unavailable, tidings);
    tell_itself(who, {}, Says::unavailable, tidings);
    occupants_.rename(who, xmpp::Jid{to});
    occupants_.set_presence(who, presence.from(), passed_to_others(presence, who.seat(presence.from())));
    const Element x = presence.child("x", ns_muc);
    show(who, {}, x ? &who.foremost().jid : nullptr);
    if (x) welcome(who, x, codes_of_entry());
}

}  // namespace server::rooms
