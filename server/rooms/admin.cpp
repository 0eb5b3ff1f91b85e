// SPDX-License-Identifier: MIT
// XEP-0045 §5, §8.2–§8.5, §9: lists of roles and affiliations, and who may change whose.
#include <algorithm>

#include "server/rooms/room.h"
#include "xmpp/namespaces.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

using xmpp::Condition;
using xmpp::Element;
using xmpp::JidView;
using xmpp::Stanza;
using xmpp::StanzaError;

namespace {

// Of those who belong to a room; with the outcasts there may be twice as many, so that there is always room for a ban. Written
// out, all of them are less than a stanza may be (parse_trusted).
constexpr std::size_t most_affiliations = 10'000, most_affiliation_bytes = 1024 * 1024;
constexpr std::size_t longest_reason = 300;          // bytes

const StanzaError not_stored{xmpp::ErrorType::wait, Condition::resource_constraint};

}  // namespace

std::string reason_of(const Element& parent, std::string_view ns) {
    std::string reason = parent.child("reason", ns).text();
    if (reason.size() > longest_reason) {
        std::size_t end = longest_reason;
        while (end > 0 && (static_cast<unsigned char>(reason[end]) & 0xc0U) == 0x80U) --end;   // not inside a character
        reason.resize(end);
    }
    return reason;
}

// ---- lists ----------------------------------------------------------------------------------------------------------------

IqReply Room::list(const Stanza& stanza, const Element& query) const {
    const Element item = query.child("item", ns_muc_admin);
    const auto affiliation = parse_affiliation(item.attr("affiliation"));
    const auto role = parse_role(item.attr("role"));
    if (affiliation.has_value() == role.has_value()) return Condition::bad_request;
    const Affiliation own = affiliation_of(stanza);
    const Occupant* const asking = occupant_of(stanza);
    xmpp::XmlWriter w;
    w.open("query", ns_muc_admin);
    if (role) {
        // §8.5: moderators may see who has voice; §9.8: admins, who moderates.
        const bool is_moderator = asking && asking->role == Role::moderator;
        if (own < Affiliation::admin && (!is_moderator || *role == Role::moderator)) return Condition::forbidden;
        occupants_.for_each([&](const Occupant& occupant) {
            if (occupant.role != *role) return;
            w.open("item").attr("nick", occupant.nick()).attr("role", to_string(occupant.role)).attr("affiliation", to_string(occupant.affiliation));
            w.attr("jid", occupant.foremost().jid.text()).close();
        });
        return w.take();
    }
    // §9.2, §9.5, §10.5, §10.8
    const bool is_open_to_members = config_.is_non_anonymous && (asking || own >= Affiliation::member) &&
                                    config_.list_readers.contains(asking ? asking->role : role_at_entry(own));
    const bool may = *affiliation >= Affiliation::admin    ? own == Affiliation::owner || is_open_to_members
                     : *affiliation == Affiliation::member ? own >= Affiliation::admin || is_open_to_members
                                                           : own >= Affiliation::admin;
    if (!may) return Condition::forbidden;
    std::map<JidView, std::string_view> nicks;   // of those who are seen there
    occupants_.for_each([&](const Occupant& occupant) {
        if (is_broadcast(occupant) || own >= Affiliation::admin) nicks.try_emplace(occupant.bare(), occupant.nick());
    });
    for (const auto& [jid, entry] : affiliations_.entries()) {
        if (entry.affiliation != *affiliation) continue;
        const auto there = nicks.find(jid);
        w.open("item").attr("affiliation", to_string(entry.affiliation)).attr("jid", jid.text());
        w.attr_if("nick", entry.nick.empty() && there != nicks.end() ? there->second : std::string_view{entry.nick});
        if (!entry.reason.empty()) w.leaf("reason", entry.reason);
        w.close();
    }
    return w.take();
}

// ---- changes --------------------------------------------------------------------------------------------------------------

// All of what is asked, or nothing (§9.2).
void Room::administer(const Stanza& stanza, const Element& query) {
    const auto answer = [this, stanza](const IqReply& reply) { around_.answer(stanza, jid_, reply); };
    std::vector<RoleChange> roles;
    std::vector<AffiliationChange> affiliations;
    const JidView by = stanza.from().bare();
    for (const Element item : query.children()) {
        if (!item.is("item", ns_muc_admin)) continue;
        const bool is_role = item.find_attr("role").has_value();
        if (is_role == item.find_attr("affiliation").has_value()) return answer(Condition::bad_request);   // §17.4, rule 4
        if (is_role) {
            const auto role = parse_role(item.attr("role"));
            auto nick = xmpp::normalise_resourcepart(item.attr("nick"));
            if (!role || !nick) return answer(Condition::bad_request);
            RoleChange change{std::move(*nick), *role, reason_of(item, ns_muc_admin)};
            if (const auto error = forbids(stanza, change)) return answer(*error);
            if (std::ranges::find(roles, change.nick, &RoleChange::nick) != roles.end()) return answer(Condition::conflict);
            roles.push_back(std::move(change));
        } else {
            if (affiliation_of(stanza) < Affiliation::admin) return answer(Condition::forbidden);   // before anything is looked up
            auto change = read_affiliation(item);
            if (!change) return answer(change.error());
            if (const auto error = forbids(by, *change)) return answer(*error);
            change->by = xmpp::Jid{by};
            affiliations.push_back(std::move(*change));
        }
    }
    if (roles.empty() && affiliations.empty()) return answer(Condition::bad_request);
    if (roles.size() * occupants_.size() + presences_of(affiliations) > most_presences) return answer(too_many_presences());
    if (const auto error = forbids_together(by, affiliations)) return answer(*error);

    const std::string actor = actor_of(stanza);
    const auto confirmed = [this, answer, actor, roles = std::move(roles)](bool stored) {
        if (!stored) return answer(not_stored);
        std::vector<Leaver> kicked;
        for (const RoleChange& change : roles)
            if (Occupant* const who = occupants_.find(change.nick); who && change.role == Role::none)
                kicked.push_back({who, {.codes = {307}, .reason = change.reason, .actor = actor}});
        remove(kicked, [&answer] { answer(IqReply::result()); });   // §8.2: in this order
        for (const RoleChange& change : roles) apply(change, actor);
    };
    change_affiliations(std::move(affiliations), actor, confirmed);
}

// §8.2–§8.4, §9.6, §9.7
std::optional<StanzaError> Room::forbids(const Stanza& by, const RoleChange& change) const {
    const Occupant* const actor = occupant_of(by);
    const Affiliation own = affiliation_of(by);
    if (own < Affiliation::admin && (!actor || actor->role != Role::moderator)) return Condition::forbidden;
    const Occupant* const who = occupants_.find(change.nick);
    if (!who) return Condition::item_not_found;
    const bool concerns_moderators = change.role == Role::moderator || who->role == Role::moderator;
    if (concerns_moderators && own < Affiliation::admin && who != actor)
        return change.role == Role::moderator ? StanzaError{Condition::forbidden} : StanzaError{Condition::not_allowed};
    if (change.role == Role::moderator && own < Affiliation::admin) return Condition::forbidden;
    if (change.role == Role::none) return who != actor && who->affiliation > own ? std::optional<StanzaError>{Condition::not_allowed} : std::nullopt;
    if (change.role == Role::moderator) return std::nullopt;
    // Neither voice nor moderation is taken from admins, by whomever, nor voice from who has the same standing.
    if (who->affiliation >= Affiliation::admin) return Condition::not_allowed;
    if (who == actor) return std::nullopt;
    if (change.role == Role::visitor && who->affiliation > Affiliation::none && who->affiliation >= own) return Condition::not_allowed;
    return std::nullopt;
}

xmpp::Result<Room::AffiliationChange, StanzaError> Room::read_affiliation(const Element& item) const {
    const auto affiliation = parse_affiliation(item.attr("affiliation"));
    if (!affiliation) return xmpp::Failure{StanzaError{Condition::bad_request}};
    AffiliationChange change;
    change.reason = reason_of(item, ns_muc_admin);
    change.entry.affiliation = *affiliation;
    if (const auto jid = item.find_attr("jid")) {
        const auto parsed = xmpp::Jid::parse(*jid);
        if (!parsed) return xmpp::Failure{StanzaError{Condition::jid_malformed}};
        change.jid = parsed->bare();
        if (parsed->localpart().empty() && *affiliation > Affiliation::none) return xmpp::Failure{StanzaError{Condition::bad_request}};
    } else {
        const Occupant* const who = occupants_.find(item.attr("nick"));
        if (item.attr("nick").empty()) return xmpp::Failure{StanzaError{Condition::bad_request}};
        if (!who) return xmpp::Failure{StanzaError{Condition::item_not_found}};
        change.jid = xmpp::Jid{who->bare()};
    }
    // §9.5: a nickname is left as it is, unless one is given with the JID.
    const Affiliations::Entry* const before = affiliations_.find(change.jid);
    if (before) change.entry.nick = before->nick;
    if (const auto nick = item.find_attr("nick"); nick && item.find_attr("jid")) {
        const auto normal = nick->empty() ? std::optional<std::string>{std::string{}} : xmpp::normalise_resourcepart(*nick);
        if (!normal) return xmpp::Failure{StanzaError{Condition::bad_request}};
        if (!normal->empty()) {
            if (auto error = keeps_nick(change.jid, *normal)) return xmpp::Failure{std::move(*error)};
        }
        change.entry.nick = *normal;
    }
    if (*affiliation < Affiliation::member) change.entry.nick.clear();
    if (*affiliation == Affiliation::outcast) change.entry.reason = change.reason;
    return change;
}

// §9, §10.3–§10.8
std::optional<StanzaError> Room::forbids(JidView by, const AffiliationChange& change) const {
    const Affiliation own = affiliation_of(by), before = affiliation_of(change.jid.view()), after = change.entry.affiliation;
    if (own < Affiliation::admin) return Condition::forbidden;
    if (after == Affiliation::outcast) {
        if (change.jid.view() == by || (change.jid.is_domain() && change.jid.domainpart() == by.domainpart())) return Condition::conflict;   // §9.1
        if (before >= own && own != Affiliation::owner) return Condition::not_allowed;
    }
    if (own != Affiliation::owner && (before >= Affiliation::admin || after >= Affiliation::admin)) return Condition::forbidden;
    return std::nullopt;
}

std::optional<StanzaError> Room::forbids_together(JidView by, std::span<const AffiliationChange> changes) const {
    if (leaves_no_owner(changes)) return Condition::conflict;
    std::map<std::string_view, JidView> nicks;
    for (const AffiliationChange& change : changes) {
        if (change.entry.nick.empty()) continue;
        if (nicks.try_emplace(change.entry.nick, change.jid).first->second != change.jid.view()) return Condition::conflict;
    }
    if (auto error = exceeds_limits(changes)) return error;
    const auto invitees = std::ranges::count_if(changes, [this](const AffiliationChange& change) { return calls_for_invitation(change); });
    return forbids_inviting(by, static_cast<std::size_t>(invitees));
}

std::size_t Room::presences_of(std::span<const AffiliationChange> changes) const {
    std::map<JidView, std::size_t> named;
    for (const AffiliationChange& change : changes) ++named[change.jid];
    std::map<std::string_view, std::size_t> by_domain;   // those who go out together
    std::size_t presences = 0;
    occupants_.for_each([&](const Occupant& who) {
        if (const auto found = named.find(who.bare()); found != named.end()) presences += found->second * occupants_.size();
        const std::string_view domain = who.bare().domainpart();
        if (named.contains(JidView{domain, std::string_view::npos, std::string_view::npos})) ++by_domain[domain];
    });
    for (const auto& [domain, leavers] : by_domain) presences += leavers * (occupants_.size() - leavers);
    return presences;
}

// What takes nothing more passes.
std::optional<StanzaError> Room::exceeds_limits(std::span<const AffiliationChange> changes) const {
    std::size_t entries = affiliations_.size(), bytes = affiliations_.bytes();
    for (const AffiliationChange& change : changes) {
        const Affiliations::Entry* const before = affiliations_.find(change.jid);
        const std::size_t less = before ? Affiliations::bytes_of(change.jid, *before) : 0;
        const bool stays = change.entry.affiliation != Affiliation::none || !change.entry.nick.empty();
        const std::size_t more = stays ? Affiliations::bytes_of(change.jid, change.entry) : 0;
        entries += stays && !before ? 1 : 0;
        bytes = bytes + more - less;
        const std::size_t times = change.entry.affiliation == Affiliation::outcast ? 2 : 1;
        const bool are_too_many = stays && !before && entries > times * most_affiliations;
        if (are_too_many || (more > less && bytes > times * most_affiliation_bytes))
            return StanzaError{Condition::policy_violation, "Too many belong to this room."};
    }
    return std::nullopt;
}

// §10.4: "MUST NOT allow an owner to revoke his or her own owner status if there are no other owners"
bool Room::leaves_no_owner(std::span<const AffiliationChange> changes) const {
    if (!affiliations_.has_owner()) return false;
    std::map<JidView, bool> owners;
    for (const auto& [jid, entry] : affiliations_.entries()) owners[jid] = entry.affiliation == Affiliation::owner;
    for (const AffiliationChange& change : changes) owners[change.jid] = change.entry.affiliation == Affiliation::owner;
    return std::ranges::none_of(owners, [](const auto& each) { return each.second; });
}

void Room::change_affiliations(std::vector<AffiliationChange> changes, const std::string& actor, std::function<void(bool)> confirmed, Change change) {
    if (changes.empty() && !change.config) return confirmed(true);
    for (const AffiliationChange& each : changes) change.affiliations.emplace_back(each.jid, each.entry);
    commit(std::move(change), [this, changes = std::move(changes), actor, confirmed = std::move(confirmed)](bool stored) {
        std::vector<const AffiliationChange*> invited;
        if (stored) {
            for (const AffiliationChange& each : changes) {
                if (calls_for_invitation(each)) invited.push_back(&each);
                affiliations_.set(each.jid, each.entry);
                comes_or_goes(each.jid);
            }
        }
        confirmed(stored);   // first, as the examples have it
        if (!stored) return;
        for (const AffiliationChange* const each : invited) send_invitation(each->jid, each->by, {}, {});
        for (const AffiliationChange& each : changes) apply(each, actor);
    });
}

// §9.5: "SHOULD send an invitation to any user who has been added to the member list of a members-only room"; those whom an
// occupant invites get that one instead.
bool Room::calls_for_invitation(const AffiliationChange& change) const {
    if (!config_.is_members_only || change.entry.affiliation < Affiliation::member || change.is_invited) return false;
    return affiliations_.of(change.jid) == Affiliation::none && !occupants_.of(change.jid);
}

void Room::apply(const RoleChange& change, const std::string& actor) {
    Occupant* const who = occupants_.find(change.nick);
    if (!who) return;
    Tidings tidings;
    tidings.actor = actor;
    tidings.reason = change.reason;
    if (who->role == change.role) return;
    give_role(*who, change.role, tidings);
}

// What an occupant's standing makes of who is there.
void Room::apply(const AffiliationChange& change, const std::string& actor) {
    const bool concerns_admins = std::exchange(has_owner_, affiliations_.has_owner()) != affiliations_.has_owner();   // of the server
    Tidings tidings;
    tidings.actor = actor;
    tidings.reason = change.reason;
    std::vector<Leaver> leavers;
    for (Occupant* const who : occupants_.all()) {
        const bool is_named = change.jid.is_domain() ? who->bare().domainpart() == change.jid.domainpart() : who->bare() == change.jid.view();
        if (!is_named && !(concerns_admins && around_.is_admin(who->bare()))) continue;
        const Affiliation before = std::exchange(who->affiliation, affiliation_of(who->bare()));
        if (before == who->affiliation) continue;
        const bool is_banned = who->affiliation == Affiliation::outcast;
        if (is_banned || (config_.is_members_only && who->affiliation < Affiliation::member)) {
            leavers.push_back({who, tidings});
            leavers.back().tidings.codes.push_back(is_banned ? 301 : 321);
            continue;
        }
        // §5.1.3: what is gained with an affiliation, and what was had by one alone.
        const Role entitled = role_at_entry(who->affiliation);
        const bool was_by_affiliation = before >= Affiliation::admin && who->affiliation < Affiliation::admin;
        give_role(*who, was_by_affiliation ? entitled : std::max(entitled, who->role), tidings);
    }
    remove(leavers);
}

std::string Room::actor_of(const Stanza& stanza) const {
    const Occupant* const who = occupant_of(stanza);
    return who && is_broadcast(*who) ? std::string{who->nick()} : std::string{};
}

}  // namespace server::rooms
