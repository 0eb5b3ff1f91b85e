// SPDX-License-Identifier: MIT
// XEP-0045 §10: what owners do with a room as a whole.
#include <algorithm>

#include "server/rooms/room.h"
#include "xmpp/data_form.h"
#include "xmpp/namespaces.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

using xmpp::Condition;
using xmpp::Element;
using xmpp::Stanza;

namespace {

struct Belonging { std::string_view var, label; Affiliation affiliation, otherwise; };
constexpr Belonging lists[] = {
    {"muc#roomconfig_roomowners", "Owners", Affiliation::owner, Affiliation::admin},
    {"muc#roomconfig_roomadmins", "Admins", Affiliation::admin, Affiliation::member},
};

}  // namespace

IqReply Room::configuration(const Stanza& stanza) const {
    if (affiliation_of(stanza) != Affiliation::owner) return Condition::forbidden;
    xmpp::XmlWriter w;
    w.open("query", ns_muc_owner);
    xmpp::DataForm form = config_.form();
    for (const Belonging& list : lists) {
        xmpp::FormField& field = form.fields.emplace_back();
        field.var = list.var;
        field.type = "jid-multi";
        field.label = list.label;
        for (const auto& [jid, entry] : affiliations_.entries())
            if (entry.affiliation == list.affiliation) field.values.push_back(jid.text());
    }
    form.write(w);
    return w.take();
}

// §16.5.3: "Full List of Room Admins", and of owners: who is not in it any more is a member (§10.7), or an admin (§10.2).
// Without a single owner it says nothing: a form of §10.1.3 asks for further ones.
xmpp::Result<std::vector<Room::AffiliationChange>, xmpp::StanzaError> Room::read_lists(const xmpp::DataForm& form, xmpp::JidView by) const {
    std::map<xmpp::Jid, Affiliation> wanted;
    for (const Belonging& list : lists) {
        const xmpp::FormField* const field = form.field(list.var);
        const bool is_empty = !field || std::ranges::all_of(field->values, &std::string::empty);
        if (!field || (is_empty && list.affiliation == Affiliation::owner)) continue;
        for (const auto& [jid, entry] : affiliations_.entries())
            if (entry.affiliation == list.affiliation) wanted.try_emplace(jid, list.otherwise);
        for (const std::string& value : field->values) {
            if (value.empty()) continue;
            const auto jid = xmpp::Jid::parse(value);
            if (!jid || jid->localpart().empty()) return xmpp::Failure{xmpp::StanzaError{Condition::jid_malformed}};
            Affiliation& given = wanted.try_emplace(jid->bare(), affiliations_.of(jid->view().bare())).first->second;
            given = given == Affiliation::owner && list.affiliation == Affiliation::admin ? given : list.affiliation;
        }
    }
    std::vector<AffiliationChange> changes;
    for (const auto& [jid, affiliation] : wanted) {
        const Affiliations::Entry* const before = affiliations_.find(jid);
        if (before && before->affiliation == affiliation) continue;
        changes.push_back({jid, {affiliation, before ? before->nick : std::string{}, {}}, {}, false, xmpp::Jid{by}});
    }
    return changes;
}

void Room::own(const Stanza& stanza, const Element& query) {
    if (affiliation_of(stanza) != Affiliation::owner) return around_.answer(stanza, jid_, Condition::forbidden);
    if (const Element gone = query.child("destroy", ns_muc_owner)) return destroy(stanza, gone);
    const Element x = query.child("x", xmpp::ns::data_form);
    const xmpp::DataForm form = xmpp::DataForm::parse(x);
    if (x && form.type == "cancel") {
        if (is_locked_) return destroy(stanza, {});   // §10.1.3
        return around_.answer(stanza, jid_, IqReply::result());
    }
    if (!x || form.type != "submit") return around_.answer(stanza, jid_, Condition::bad_request);
    if (!form.fields.empty() && form.form_type() != ns_room_config) return around_.answer(stanza, jid_, Condition::bad_request);
    RoomConfig config = config_;
    if (!config.apply(form, {around_.rules().max_occupants, around_.rules().history})) return around_.answer(stanza, jid_, Condition::not_acceptable);
    auto changes = read_lists(form, stanza.from().bare());
    if (!changes) return around_.answer(stanza, jid_, changes.error());
    if (presences_of_change(config) + presences_of(*changes) > most_presences) return around_.answer(stanza, jid_, too_many_presences());
    if (const auto error = changes->empty() ? std::nullopt : forbids_together(stanza.from().bare(), *changes)) return around_.answer(stanza, jid_, *error);
    configure(stanza, std::move(config), std::move(*changes));
}

void Room::configure(const Stanza& stanza, RoomConfig config, std::vector<AffiliationChange> changes) {
    const auto done = [this, stanza, config](bool stored) {
        if (!stored) return around_.answer(stanza, jid_, xmpp::StanzaError{xmpp::ErrorType::wait, Condition::resource_constraint});
        const RoomConfig before = std::exchange(config_, config);
        is_locked_ = false;
        around_.answer(stanza, jid_, IqReply::result());
        reconfigured(before);
    };
    Change change;
    if (config != config_) change.config = config;
    change_affiliations(std::move(changes), actor_of(stanza), done, std::move(change));
}

// §10.2, §10.2.1
void Room::reconfigured(const RoomConfig& before) {
    history_.trim(config_.history);
    around_.listing_changed();
    if (before == config_) return;
    if (before.broadcast != config_.broadcast) rebroadcast(before.broadcast);   // first: who goes is gone for those who saw it
    if (!before.is_members_only && config_.is_members_only) {
        Tidings tidings;
        tidings.codes.push_back(322);
        std::vector<Leaver> strangers;
        for (Occupant* const who : occupants_.all())
            if (affiliation_of(who->bare()) < Affiliation::member) strangers.push_back({who, tidings});   // as of now
        remove(strangers);
    }
    std::vector<std::uint64_t> codes;
    if (before.is_non_anonymous != config_.is_non_anonymous) {
        codes.push_back(config_.is_non_anonymous ? 172 : 173);
        for (Occupant* const who : occupants_.all()) who->changed();
        RoomConfig otherwise = before;
        otherwise.is_non_anonymous = config_.is_non_anonymous;
        if (otherwise != config_) codes.push_back(104);
    } else {
        codes.push_back(104);
    }
    xmpp::XmlWriter w;
    w.open("message").attr("type", "groupchat").attr("from", jid_.text()).open("x", xmpp::ns::muc_user);
    for (const std::uint64_t code : codes) w.open("status").attr("code", code).close();
    const auto copies = std::make_shared<const Copies>(w.take());
    tell_all(copies, copies);
}

// §10.9
void Room::destroy(const Stanza& stanza, const Element& asked) {
    const std::string_view venue = asked.attr("jid");
    if (!venue.empty() && !xmpp::Jid::parse(venue)) return around_.answer(stanza, jid_, Condition::jid_malformed);
    const std::string reason = reason_of(asked, ns_muc_owner), password = asked.child("password", ns_muc_owner).text();
    if (password.size() > RoomConfig::longest_password)
        return around_.answer(stanza, jid_, xmpp::StanzaError{Condition::policy_violation, "This password is too long."});
    xmpp::XmlWriter w{xmpp::ns::muc_user};
    w.open("destroy").attr_if("jid", venue);
    if (!reason.empty()) w.leaf("reason", reason);
    if (!password.empty()) w.leaf("password", password);
    Change change;
    change.is_removal = true;
    commit(std::move(change), [this, stanza, text = w.take()](bool stored) {
        if (!stored) return around_.answer(stanza, jid_, xmpp::StanzaError{xmpp::ErrorType::wait, Condition::resource_constraint});
        is_destroyed_ = true;
        remove_all(text);
        around_.answer(stanza, jid_, IqReply::result());
    });
}

}  // namespace server::rooms
