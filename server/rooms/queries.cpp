// SPDX-License-Identifier: MIT
// XEP-0045 §6.4–§6.6, §7.10–§7.12: what anybody may ask of a room, and registering a nickname with it.
#include "server/archive_protocol.h"
#include "server/rooms/room.h"
#include "server/tombstone.h"
#include "xmpp/data_form.h"
#include "xmpp/namespaces.h"
#include "xmpp/parser.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

using xmpp::Condition;
using xmpp::Element;
using xmpp::JidView;
using xmpp::Stanza;

namespace {

constexpr std::string_view ns_register = "jabber:iq:register";
constexpr std::string_view ns_muc_register = "http://jabber.org/protocol/muc#register";
constexpr std::string_view reserved_nick = "x-roomuser-item";          // §7.12
constexpr std::string_view traffic = "http://jabber.org/protocol/muc#traffic";   // §18.1.1

xmpp::DataForm info_form(const RoomConfig& config, std::string_view subject, std::size_t occupants) {
    xmpp::DataForm form;
    form.type = "result";
    form.hidden_form_type("http://jabber.org/protocol/muc#roominfo");
    const auto add = [&form](std::string_view var, std::string_view type, std::string value) {
        xmpp::FormField& field = form.fields.emplace_back();
        field.var = var;
        field.type = type;
        field.values.push_back(std::move(value));
    };
    add("muc#roominfo_description", "text-single", config.description);
    if (!config.language.empty()) add("muc#roominfo_lang", "text-single", config.language);
    if (!subject.empty()) add("muc#roominfo_subject", "text-single", std::string{subject});
    add("muc#roominfo_occupants", "text-single", std::to_string(occupants));
    add("muc#roomconfig_changesubject", "boolean", config.may_all_change_subject ? "1" : "0");
    add("muc#maxhistoryfetch", "text-single", std::to_string(config.history));
    return form;
}

std::vector<std::string_view> features_of(const RoomConfig& config) {
    return {ns_muc, "http://jabber.org/protocol/muc#stable_id", "http://jabber.org/protocol/muc#self-ping-optimization",
            "http://jabber.org/protocol/muc#request", xmpp::ns::disco_info, xmpp::ns::disco_items, ns_register, xmpp::ns::stanza_id, xmpp::ns::occupant_id,
            ns_retract, ns_moderate,
            config.has_password ? "muc_passwordprotected" : "muc_unsecured",
            config.is_public ? "muc_public" : "muc_hidden",
            config.is_persistent ? "muc_persistent" : "muc_temporary",
            config.is_members_only ? "muc_membersonly" : "muc_open",
            config.is_moderated ? "muc_moderated" : "muc_unmoderated",
            config.is_non_anonymous ? "muc_nonanonymous" : "muc_semianonymous"};
}

// Admins alone let somebody in or give a voice, where not everybody has that.
bool may_register(Affiliation affiliation, const RoomConfig& config) {
    return affiliation != Affiliation::outcast && (affiliation != Affiliation::none || !(config.is_members_only || config.is_moderated));
}

}  // namespace

void Room::iq(const Stanza& stanza, JidView to) {
    if (is_request(stanza) && is_malformed(stanza)) return refuse(stanza, to, Condition::bad_request);
    if (to.is_full()) return is_request(stanza) ? pass_request(stanza, to) : pass_answer(stanza, to);
    if (!is_request(stanza)) return;
    if (is_locked_ && affiliation_of(stanza) < Affiliation::owner) return refuse(stanza, to, Condition::item_not_found);   // as if there was none
    const Element payload = stanza.element().first_child();
    // These answer by themselves, when what they change is stored.
    if (stanza.type() == "set" && payload.is("query", ns_muc_admin)) return administer(stanza, payload);
    if (stanza.type() == "set" && payload.is("query", ns_muc_owner)) return own(stanza, payload);
    if (stanza.type() == "set" && payload.is("query", ns_register)) return register_nick(stanza, payload);
    if (stanza.type() == "set" && payload.is("moderate", ns_moderate)) return moderate(stanza, payload);
    if (payload.ns() == ns_mam) return read_archive(stanza);
    around_.answer(stanza, to, reply(stanza, payload));
}

IqReply Room::reply(const Stanza& stanza, const Element& payload) {
    if (payload.is("ping", "urn:xmpp:ping")) return IqReply::result();
    if (stanza.type() == "get") {
        if (payload.is("query", xmpp::ns::disco_info)) return info(stanza, payload);
        if (payload.is("query", xmpp::ns::disco_items)) return items(stanza, payload);
        if (payload.is("query", ns_register)) return registration(stanza);
        if (payload.is("query", ns_muc_admin)) return list(stanza, payload);
        if (payload.is("query", ns_muc_owner)) return configuration(stanza);
    }
    return Condition::service_unavailable;
}

IqReply Room::info(const Stanza& stanza, const Element& query) const {
    const std::string_view node = query.attr("node");
    xmpp::XmlWriter w;
    w.open("query", xmpp::ns::disco_info).attr_if("node", node);
    if (node == reserved_nick) {
        const Affiliations::Entry* const entry = affiliations_.find(stanza.from().bare());
        if (entry && !entry->nick.empty()) w.open("identity").attr("category", "conference").attr("type", "text").attr("name", entry->nick).close();
        return w.take();
    }
    if (node == traffic) return Condition::service_unavailable;   // nothing is kept out
    if (!node.empty()) return Condition::item_not_found;
    w.open("identity").attr("category", "conference").attr("type", "text").attr("name", config_.name.empty() ? jid_.localpart() : config_.name).close();
    for (const std::string_view feature : features_of(config_)) w.open("feature").attr("var", feature).close();
    if (keeps_archive()) {
        for (const std::string_view feature : ArchiveProtocol::features()) w.open("feature").attr("var", feature).close();
        w.open("feature").attr("var", retract_tombstones).close();
    }
    // §14.4: what is spoken of is told to those alone who may come in.
    const bool may_know = config_.is_public && !config_.is_members_only && !config_.has_password;
    const auto is_known = [&] { return affiliation_of(stanza) >= Affiliation::member || occupants_.of(stanza.from().bare()); };
    const std::string subject = !subject_.empty() && (may_know || is_known()) ? xmpp::parse_trusted(subject_).child("subject", xmpp::ns::client).text() : std::string{};
    info_form(config_, subject, occupants_.size()).write(w);
    return w.take();
}

// §6.5: "advised to turn off such information sharing by default": for those inside, and no more than they see anyway.
IqReply Room::items(const Stanza& stanza, const Element& query) const {
    if (!query.attr("node").empty()) return Condition::item_not_found;
    xmpp::XmlWriter w;
    w.open("query", xmpp::ns::disco_items);
    const auto write = [&w](const Occupant* each) { w.open("item").attr("jid", each->address.text()).attr("name", each->nick()).close(); };
    if (const Occupant* const asking = occupants_.at(stanza.from())) {
        for_each_broadcast(write);
        if (!is_broadcast(*asking)) write(asking);
    }
    return w.take();
}

// ---- §7.10 ----------------------------------------------------------------------------------------------------------------

IqReply Room::registration(const Stanza& stanza) const {
    const Affiliation affiliation = affiliation_of(stanza);
    const Affiliations::Entry* const entry = affiliations_.find(stanza.from().bare());
    xmpp::XmlWriter w;
    w.open("query", ns_register);
    if (entry && affiliation != Affiliation::outcast && !entry->nick.empty()) return w.leaf("registered").leaf("username", entry->nick).take();
    if (!may_register(affiliation, config_)) return Condition::not_allowed;
    xmpp::DataForm form;
    form.title = "Registration with the room";
    form.instructions.emplace_back("The nickname is kept for you.");
    form.hidden_form_type(ns_muc_register);
    xmpp::FormField& nick = form.fields.emplace_back();
    nick.var = "muc#register_roomnick";
    nick.label = "Nickname";
    nick.required = true;
    form.write(w);
    return w.take();
}

void Room::register_nick(const Stanza& stanza, const Element& query) {
    const auto answer = [this, stanza](const IqReply& reply) { around_.answer(stanza, jid_, reply); };
    const xmpp::Jid bare{stanza.from().bare()};
    const Affiliation affiliation = affiliations_.of(bare);
    const auto confirmed = [answer](bool stored) {
        answer(stored ? IqReply::result() : IqReply{xmpp::StanzaError{xmpp::ErrorType::wait, Condition::resource_constraint}});
    };
    if (query.child("remove", ns_register)) {   // XEP-0077 §3.2: what was registered goes, what others gave stays
        const Affiliations::Entry* const entry = affiliations_.find(bare);
        if (!entry || affiliation == Affiliation::outcast) return answer(Condition::registration_required);
        return change_affiliations({{bare, {affiliation, {}, {}}, {}}}, {}, confirmed);
    }
    const xmpp::DataForm form = xmpp::DataForm::parse(query.child("x", xmpp::ns::data_form));
    if (form.type != "submit" || form.form_type() != ns_muc_register) return answer(Condition::bad_request);
    if (!may_register(affiliation, config_)) return answer(Condition::not_allowed);
    const auto nick = xmpp::normalise_resourcepart(form.value("muc#register_roomnick"));
    if (!nick || nick->find_first_not_of(' ') == std::string::npos) return answer(Condition::not_acceptable);
    if (const auto error = keeps_nick(bare, *nick)) return answer(*error);
    // No more than the nickname: who may register now is not to be a member when members alone have a voice, or a place.
    std::vector<AffiliationChange> changes{{bare, {affiliation, *nick, {}}, {}}};
    if (const auto error = exceeds_limits(changes)) return answer(*error);
    change_affiliations(std::move(changes), {}, confirmed);
}

}  // namespace server::rooms
