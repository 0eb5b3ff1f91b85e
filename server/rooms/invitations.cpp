// SPDX-License-Identifier: MIT
// XEP-0045 §7.8.2, §7.13, §8.6: messages that ask the room for something: mediated invitations, their decline, and voice.
// Whom an invitation names may not exist, or be banned; nobody is told, for then anybody could find out who is.
#include <algorithm>

#include "server/rooms/room.h"
#include "xmpp/namespaces.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

using xmpp::Condition;
using xmpp::Element;
using xmpp::Stanza;

namespace {

constexpr std::string_view ns_request = "http://jabber.org/protocol/muc#request";
constexpr std::size_t most_invitees = 50;   // at once
constexpr std::size_t longest_thread = 300; // bytes
constexpr std::size_t most_open = 200;      // invitations that may be declined

}  // namespace

bool Room::mediate(const Stanza& stanza) {
    const Element x = stanza.child("x", xmpp::ns::muc_user);
    if (x.child("invite", xmpp::ns::muc_user)) {
        invite(stanza, x);
        return true;
    }
    if (const Element refused = x.child("decline", xmpp::ns::muc_user)) {
        decline(stanza, refused);
        return true;
    }
    const xmpp::DataForm form = xmpp::DataForm::parse(stanza.child("x", xmpp::ns::data_form));
    if (form.form_type() != ns_request) return false;
    ask_for_voice(stanza, form);
    return true;
}

void Room::invite(const Stanza& stanza, const Element& x) {
    const Occupant* const who = occupants_.at(stanza.from());
    if (!who) return refuse(stanza, jid_, Condition::not_acceptable);
    if (is_locked_) return refuse(stanza, jid_, Condition::item_not_found);
    const Affiliation needed = config_.may_members_invite ? Affiliation::member : Affiliation::admin;
    if (config_.is_members_only && who->affiliation < needed) return refuse(stanza, jid_, Condition::forbidden);   // §9.5

    std::vector<std::pair<xmpp::Jid, Element>> invitees;
    std::vector<AffiliationChange> changes;
    for (const Element child : x.children()) {
        if (!child.is("invite", xmpp::ns::muc_user)) continue;
        auto invitee = xmpp::Jid::parse(child.attr("to"));
        if (!invitee || invitee->localpart().empty()) return refuse(stanza, jid_, Condition::jid_malformed);
        const Affiliation now = affiliations_.of(invitee->view().bare());
        if (now == Affiliation::outcast && who->affiliation >= Affiliation::admin) return refuse(stanza, jid_, Condition::not_allowed);
        // "any invitation sent SHOULD automatically trigger the addition of the invitee to the member list"
        if (config_.is_members_only && now == Affiliation::none) {
            const Affiliations::Entry* const entry = affiliations_.find(invitee->view().bare());
            changes.push_back({invitee->bare(), {Affiliation::member, entry ? entry->nick : std::string{}, {}}, {}, true});
        }
        invitees.emplace_back(std::move(*invitee), child);
    }
    if (const auto error = exceeds_limits(changes)) return refuse(stanza, jid_, *error);
    if (const auto error = forbids_inviting(who->bare(), invitees.size())) return refuse(stanza, jid_, *error);
    change_affiliations(std::move(changes), {}, [this, stanza, invitees = std::move(invitees)](bool stored) {
        if (!stored) return refuse(stanza, jid_, {xmpp::ErrorType::wait, Condition::resource_constraint});
        for (const auto& [invitee, asked] : invitees)
            if (affiliations_.of(invitee.view().bare()) != Affiliation::outcast) send_invitation(invitee, xmpp::Jid{stanza.from().bare()}, asked, stanza.id());
    });
}

std::optional<xmpp::StanzaError> Room::forbids_inviting(xmpp::JidView inviter, std::size_t count) const {
    if (count == 0) return std::nullopt;
    if (count > most_invitees) return xmpp::StanzaError{Condition::policy_violation, "Too many invitations at once."};
    if (around_.may_invite(inviter, static_cast<std::uint32_t>(count))) return std::nullopt;
    return xmpp::StanzaError{xmpp::ErrorType::wait, Condition::policy_violation, "You have invited too many. Try again later."};
}

// `invite`: what who invites says, or nothing.
void Room::send_invitation(const xmpp::Jid& invitee, const xmpp::Jid& inviter, const Element& invite, std::string_view id) {
    xmpp::XmlWriter w;
    w.open("message").attr("from", jid_.text()).attr("to", invitee.text()).attr_if("id", id).open("x", xmpp::ns::muc_user);
    w.open("invite").attr("from", inviter.text());
    if (const std::string reason = reason_of(invite, xmpp::ns::muc_user); !reason.empty()) w.leaf("reason", reason);
    if (const Element thread = invite.child("continue", xmpp::ns::muc_user); thread && thread.attr("thread").size() <= longest_thread)
        w.open("continue").attr_if("thread", thread.attr("thread")).close();
    w.close();
    if (config_.has_password) w.leaf("password", config_.password);
    if (invitations_.size() >= most_open) invitations_.pop_front();
    invitations_.push_back({invitee.bare(), inviter});
    around_.send(w.take(), invitee);
}

// Whom this room has invited tells who did so, once: others cannot be reached by way of a room, nor learn who is there.
void Room::decline(const Stanza& stanza, const Element& refused) {
    auto inviter = xmpp::Jid::parse(refused.attr("to"));
    if (!inviter) return refuse(stanza, jid_, Condition::jid_malformed);
    if (inviter->view().bare() == jid_.view()) {
        const Occupant* const occupant = occupants_.find(inviter->resourcepart());
        if (!occupant) return;
        inviter = occupant->foremost().jid;
    }
    const auto invitation = std::ranges::find(invitations_, Invitation{xmpp::Jid{stanza.from().bare()}, inviter->bare()});
    if (invitation == invitations_.end()) return;
    invitations_.erase(invitation);
    if (affiliation_of(stanza) == Affiliation::outcast) return;
    xmpp::XmlWriter w;
    w.open("message").attr("from", jid_.text()).attr("to", inviter->text()).attr_if("id", stanza.id()).open("x", xmpp::ns::muc_user);
    w.open("decline").attr("from", stanza.from().bare().text());
    if (const std::string reason = reason_of(refused, xmpp::ns::muc_user); !reason.empty()) w.leaf("reason", reason);
    around_.send(w.take(), *inviter);
}

void Room::ask_for_voice(const Stanza& stanza, const xmpp::DataForm& form) {
    const Occupant* const who = occupants_.at(stanza.from());
    if (!who) return refuse(stanza, jid_, Condition::not_acceptable);
    if (const xmpp::FormField* const allow = form.field("muc#request_allow")) {   // §8.6: a moderator's answer
        if (who->role != Role::moderator) return refuse(stanza, jid_, Condition::forbidden);
        const bool is_allowed = !allow->values.empty() && (allow->values.front() == "1" || allow->values.front() == "true");
        const Occupant* const asked = occupants_.find(form.value("muc#roomnick"));
        if (is_allowed && asked && asked->role == Role::visitor) apply(RoleChange{std::string{asked->nick()}, Role::participant, {}}, {});
        return;
    }
    if (who->role != Role::visitor || form.value("muc#role") != "participant") return;
    xmpp::DataForm question;
    question.title = "Voice request";
    question.instructions.emplace_back("To approve this request for voice, select the checkbox and submit the form.");
    question.hidden_form_type(ns_request);
    const auto add = [&question](std::string_view var, std::string_view type, std::string_view label, std::string_view value) {
        xmpp::FormField& field = question.fields.emplace_back();
        field.var = var;
        field.type = type;
        field.label = label;
        field.values.emplace_back(value);
    };
    add("muc#role", "text-single", "Requested role", "participant");
    add("muc#jid", "jid-single", "User ID", stanza.from().text());
    add("muc#roomnick", "text-single", "Room Nickname", who->nick());
    add("muc#request_allow", "boolean", "Grant voice to this person?", "false");
    xmpp::XmlWriter w;
    w.open("message").attr("from", jid_.text());
    question.write(w);
    const auto copies = std::make_shared<const Copies>(w.take());
    for (const Occupant* const moderator : occupants_.with(Role::moderator)) around_.send_once(copies, sessions_of(*moderator));
}

}  // namespace server::rooms
