// SPDX-License-Identifier: MIT
// XEP-0045 §5: roles, which end with a visit, and affiliations, which do not; with them the reserved nicknames.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "storage/storage.h"
#include "xmpp/jid.h"

namespace server::rooms {

using storage::Affiliation;
enum class Role : std::uint8_t { none, visitor, participant, moderator };        // rising

// Some of the roles that an occupant may have.
class Roles {
public:
    static constexpr Roles all() { return Roles{0b1110}; }
    constexpr Roles() = default;
    constexpr bool contains(Role role) const { return (bits_ >> static_cast<unsigned>(role) & 1U) != 0; }
    constexpr void add(Role role) { bits_ |= 1U << static_cast<unsigned>(role); }
    friend constexpr bool operator==(Roles, Roles) = default;

private:
    explicit constexpr Roles(unsigned bits) : bits_{bits} {}
    unsigned bits_ = 0;
};

std::string_view to_string(Affiliation affiliation);
std::string_view to_string(Role role);
std::optional<Affiliation> parse_affiliation(std::string_view text);
std::optional<Role> parse_role(std::string_view text);

// Who is what in one room, by bare JID; an outcast may be a domain.
class Affiliations {
public:
    struct Entry {
        Affiliation affiliation = Affiliation::none;
        std::string nick;                            // reserved for who it is, or empty
        std::string reason;                          // of a ban
    };
    // §9.2: the bare JID itself, then its domain among the outcasts.
    Affiliation of(xmpp::JidView bare) const;
    const Entry* find(xmpp::JidView jid) const;      // that very one
    // Nobody has a nickname that another has reserved. Affiliation::none without a nickname is forgotten.
    void set(const xmpp::Jid& jid, Entry entry);
    const xmpp::Jid* owner_of_nick(std::string_view nick) const;
    bool has_owner() const { return owners_ > 0; }
    std::size_t size() const { return entries_.size(); }
    std::size_t bytes() const { return bytes_; }     // of all that is said of them
    static std::size_t bytes_of(const xmpp::Jid& jid, const Entry& entry) { return jid.text().size() + entry.nick.size() + entry.reason.size(); }
    const std::map<xmpp::Jid, Entry>& entries() const { return entries_; }

private:
    std::map<xmpp::Jid, Entry> entries_;
    std::map<std::string, xmpp::Jid, std::less<>> nicks_;
    std::size_t bytes_ = 0, owners_ = 0;
};

}  // namespace server::rooms
