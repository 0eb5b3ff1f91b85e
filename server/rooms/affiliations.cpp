// SPDX-License-Identifier: MIT
// XEP-0045 §5: roles and affiliations.
#include "server/rooms/affiliations.h"

#include <algorithm>
#include <array>

namespace server::rooms {

namespace {

constexpr std::array<std::string_view, 5> affiliation_names = {"outcast", "none", "member", "admin", "owner"};
constexpr std::array<std::string_view, 4> role_names = {"none", "visitor", "participant", "moderator"};

template <class E, std::size_t N>
std::optional<E> parse(const std::array<std::string_view, N>& names, std::string_view text) {
    const auto found = std::ranges::find(names, text);
    if (found == names.end()) return std::nullopt;
    return static_cast<E>(found - names.begin());
}

}  // namespace

std::string_view to_string(Affiliation affiliation) { return affiliation_names[static_cast<std::size_t>(affiliation)]; }
std::string_view to_string(Role role) { return role_names[static_cast<std::size_t>(role)]; }
std::optional<Affiliation> parse_affiliation(std::string_view text) { return parse<Affiliation>(affiliation_names, text); }
std::optional<Role> parse_role(std::string_view text) { return parse<Role>(role_names, text); }

const Affiliations::Entry* Affiliations::find(xmpp::JidView jid) const {
    const auto found = entries_.find(xmpp::Jid{jid});
    return found == entries_.end() ? nullptr : &found->second;
}

Affiliation Affiliations::of(xmpp::JidView bare) const {
    if (const Entry* const entry = find(bare); entry && entry->affiliation != Affiliation::none) return entry->affiliation;
    const std::string_view domain = bare.domainpart();
    const Entry* const all = find(xmpp::JidView{domain, std::string_view::npos, std::string_view::npos});
    return all && all->affiliation == Affiliation::outcast ? Affiliation::outcast : Affiliation::none;
}

void Affiliations::set(const xmpp::Jid& jid, Entry entry) {
    if (const auto before = entries_.find(jid); before != entries_.end()) {
        bytes_ -= bytes_of(jid, before->second);
        owners_ -= before->second.affiliation == Affiliation::owner ? 1 : 0;
        nicks_.erase(before->second.nick);
        entries_.erase(before);
    }
    if (entry.affiliation == Affiliation::outcast) entry.nick.clear();   // §9.1
    if (!entry.nick.empty() && !nicks_.try_emplace(entry.nick, jid).second) entry.nick.clear();
    if (entry.affiliation == Affiliation::none && entry.nick.empty()) return;
    bytes_ += bytes_of(jid, entry);
    owners_ += entry.affiliation == Affiliation::owner ? 1 : 0;
    entries_.emplace(jid, std::move(entry));
}

const xmpp::Jid* Affiliations::owner_of_nick(std::string_view nick) const {
    const auto found = nicks_.find(nick);
    return found == nicks_.end() ? nullptr : &found->second;
}

}  // namespace server::rooms
