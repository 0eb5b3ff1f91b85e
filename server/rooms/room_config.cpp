// SPDX-License-Identifier: MIT
// XEP-0045 §16.5.3: the configuration form.
#include "server/rooms/room_config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "xmpp/parser.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

namespace {

constexpr std::size_t longest_name = 256, longest_description = 2000, longest_language = 35;   // bytes
constexpr std::array<std::string_view, 4> whisper_names = {"anyone", "participants", "moderators", "none"};

struct Flag { std::string_view var, label; bool RoomConfig::*at; };
constexpr Flag flags[] = {
    {"muc#roomconfig_persistentroom", "Persistent: stays when nobody is there", &RoomConfig::is_persistent},
    {"muc#roomconfig_enablearchiving", "Archive: in a persistent room what is said is kept, for those who may come in", &RoomConfig::is_archived},
    {"muc#roomconfig_publicroom", "Public: is in the list of rooms", &RoomConfig::is_public},
    {"muc#roomconfig_membersonly", "Members only", &RoomConfig::is_members_only},
    {"muc#roomconfig_allowinvites", "Members may invite others to a room for members only", &RoomConfig::may_members_invite},
    {"muc#roomconfig_moderatedroom", "Moderated: newcomers have no voice", &RoomConfig::is_moderated},
    {"muc#roomconfig_changesubject", "Participants may change the subject", &RoomConfig::may_all_change_subject},
    {"muc#roomconfig_passwordprotectedroom", "A password is needed to enter", &RoomConfig::has_password},
};

struct Line { std::string_view var, type, label; std::string RoomConfig::*at; std::size_t longest; };
constexpr Line lines[] = {
    {"muc#roomconfig_roomname", "text-single", "Name", &RoomConfig::name, longest_name},
    {"muc#roomconfig_roomdesc", "text-single", "Description", &RoomConfig::description, longest_description},
    {"muc#roomconfig_lang", "text-single", "Language of the discussions", &RoomConfig::language, longest_language},
    {"muc#roomconfig_roomsecret", "text-private", "Password", &RoomConfig::password, RoomConfig::longest_password},
};

struct RoleList { std::string_view var, label; Roles RoomConfig::*at; };
constexpr RoleList role_lists[] = {
    {"muc#roomconfig_presencebroadcast", "Whose presence the others see", &RoomConfig::broadcast},
    {"muc#roomconfig_getmemberlist", "Who may see the list of members, where everybody sees addresses", &RoomConfig::list_readers},
};
constexpr std::array<std::pair<Role, std::string_view>, 3> role_labels = {{{Role::moderator, "Moderators"}, {Role::participant, "Participants"}, {Role::visitor, "Visitors"}}};

xmpp::FormField& add(xmpp::DataForm& form, std::string_view var, std::string_view type, std::string_view label, std::string value) {
    xmpp::FormField& field = form.fields.emplace_back();
    field.var = var;
    field.type = type;
    field.label = label;
    field.values.push_back(std::move(value));
    return field;
}

// XEP-0004 §3.3
std::optional<bool> boolean(std::string_view text) {
    if (text == "1" || text == "true") return true;
    if (text == "0" || text == "false") return false;
    return std::nullopt;
}

std::optional<std::uint32_t> number(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<Roles> roles(const std::vector<std::string>& names) {
    Roles roles;
    for (const std::string& name : names) {
        const auto role = parse_role(name);
        if (!role || *role == Role::none) return std::nullopt;
        roles.add(*role);
    }
    return roles;
}

bool put(RoomConfig& config, const xmpp::FormField& field, const RoomConfig::Most& most) {
    const std::string value = field.values.empty() ? std::string{} : field.values.front();
    for (const Flag& flag : flags) {
        if (field.var != flag.var) continue;
        const auto given = boolean(value);
        if (given) config.*flag.at = *given;
        return given.has_value();
    }
    for (const Line& line : lines) {
        if (field.var != line.var) continue;
        config.*line.at = value;
        return value.size() <= line.longest;
    }
    for (const RoleList& list : role_lists) {
        if (field.var != list.var) continue;
        const auto given = roles(field.values);
        if (given) config.*list.at = *given;
        return given.has_value();
    }
    if (field.var == "muc#roomconfig_whois") {
        config.is_non_anonymous = value == "anyone";
        return value == "anyone" || value == "moderators";
    }
    if (field.var == "muc#roomconfig_allowpm") {
        const auto found = std::ranges::find(whisper_names, value);
        if (found == whisper_names.end()) return false;
        config.whispers = static_cast<RoomConfig::Whispers>(found - whisper_names.begin());
        return true;
    }
    if (field.var == "muc#roomconfig_maxusers") {
        const auto given = value.empty() || value == "none" ? std::optional<std::uint32_t>{0} : number(value);
        if (given) config.max_occupants = *given;
        return given && *given <= most.occupants;
    }
    if (field.var == "muc#maxhistoryfetch") {
        const auto given = number(value);
        if (given) config.history = std::min(*given, most.history);
        return given.has_value();
    }
    return true;   // not known to us
}

}  // namespace

xmpp::DataForm RoomConfig::form() const {
    xmpp::DataForm form;
    form.title = "Configuration of the room";
    form.hidden_form_type(ns_room_config);
    for (const Line& line : lines) add(form, line.var, line.type, line.label, this->*line.at);
    for (const Flag& flag : flags) add(form, flag.var, "boolean", flag.label, this->*flag.at ? "1" : "0");
    add(form, "muc#roomconfig_whois", "list-single", "Who sees the addresses of occupants", is_non_anonymous ? "anyone" : "moderators").options = {
        {"Moderators", "moderators"}, {"Everybody", "anyone"}};
    add(form, "muc#roomconfig_allowpm", "list-single", "Who may send private messages",
        std::string{whisper_names[static_cast<std::size_t>(whispers)]}).options = {
        {"Everybody", "anyone"}, {"Who has voice", "participants"}, {"Moderators", "moderators"}, {"Nobody", "none"}};
    for (const RoleList& list : role_lists) {
        auto& field = add(form, list.var, "list-multi", list.label, {});
        field.values.clear();
        for (const auto& [role, label] : role_labels) {
            field.options.emplace_back(label, to_string(role));
            if ((this->*list.at).contains(role)) field.values.emplace_back(to_string(role));
        }
    }
    auto& limit = add(form, "muc#roomconfig_maxusers", "list-single", "Most occupants", max_occupants == 0 ? "none" : std::to_string(max_occupants));
    for (const std::string_view option : {"10", "20", "50", "100", "500", "1000"}) limit.options.emplace_back(option, option);
    limit.options.emplace_back("No limit", "none");
    if (max_occupants != 0 && std::ranges::none_of(limit.options, [&](const auto& option) { return option.second == limit.values.front(); }))
        limit.options.emplace_back(limit.values.front(), limit.values.front());
    add(form, "muc#maxhistoryfetch", "text-single", "Messages that newcomers are sent", std::to_string(history));
    return form;
}

std::string RoomConfig::stored() const {
    xmpp::DataForm form = this->form();
    form.type = "submit";
    form.title.clear();
    for (xmpp::FormField& field : form.fields) {
        field.label.clear();
        field.options.clear();
    }
    xmpp::XmlWriter w;
    form.write(w);
    return w.take();
}

RoomConfig RoomConfig::read(std::string_view stored) {
    RoomConfig config;
    constexpr std::uint32_t any = std::numeric_limits<std::uint32_t>::max();
    config.apply(xmpp::DataForm::parse(xmpp::parse_or_empty(stored).element()), {any, any});
    return config;
}

bool RoomConfig::apply(const xmpp::DataForm& form, const Most& most) {
    RoomConfig changed = *this;
    for (const xmpp::FormField& field : form.fields)
        if (!put(changed, field, most)) return false;
    if (changed.has_password && changed.password.empty()) return false;   // §10.1.3
    *this = std::move(changed);
    return true;
}

}  // namespace server::rooms
