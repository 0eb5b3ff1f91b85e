// SPDX-License-Identifier: MIT
// XEP-0045: persistent rooms, as storage.h has the rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/result.h"
#include "storage/task.h"
#include "xmpp/date_time.h"
#include "xmpp/jid.h"

namespace storage {

using AccountId = std::uint64_t;

enum class Affiliation : std::uint8_t { outcast, none, member, admin, owner };   // rising

struct RoomAffiliation {
    Jid jid;                      // bare; of an outcast perhaps a domain
    Affiliation affiliation = Affiliation::none;
    std::string nick;             // reserved, or empty
    std::string reason;
};

struct Room {
    Jid jid;                      // bare
    Jid founder;
    std::string secret;           // raw bytes: what occupants' ids are made with
    std::string config;           // a data form as XML
    std::string subject;          // a message as XML, or ""
    std::string listed_as;        // its name in the list of rooms; "": it is in none
    Time created{};
    AccountId log = 0;            // an account without devices, by the room's address: whose log has what is said there (Messages)
    std::vector<RoomAffiliation> affiliations;
};

struct RoomChange {               // what is not set stays as it is
    std::optional<std::string> config;
    std::string listed_as;        // goes with config
    std::optional<std::string> subject;
    std::vector<RoomAffiliation> affiliations;   // Affiliation::none without a nick: it is forgotten
};

struct ListedRoom {
    Jid jid;
    std::string name;
};

// Persistent rooms; of others nothing is stored.
class Rooms {
public:
    virtual ~Rooms() = default;
    virtual Task<Result<std::optional<Room>>> find(Jid jid) = 0;
    // In the place of one with that address, whose log stays. Room::log is in the result.
    virtual Task<Result<AccountId>> put(Room room) = 0;
    virtual Task<Result<void>> change(Jid room, RoomChange change) = 0;   // not_found when there is none; all of it, or nothing
    virtual Task<Result<void>> remove(Jid room) = 0;             // with its log
    virtual Task<Result<std::uint64_t>> count_founded(Jid founder) = 0;
    virtual Task<Result<std::vector<ListedRoom>>> listed(std::string domain) = 0;
};

}  // namespace storage
