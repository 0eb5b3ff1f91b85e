// SPDX-License-Identifier: MIT
// XEP-0045 §10.1.3, §16.5.3: what an owner says of a room, as a form and back. The same form is what is stored.
// Leaves out public logging. The lists of admins and owners are the room's (owner.cpp), and stand in its form alone.
#pragma once

#include <cstdint>
#include <string>

#include "server/rooms/affiliations.h"
#include "xmpp/data_form.h"

namespace server::rooms {

struct RoomConfig {
    enum class Whispers : std::uint8_t { anyone, participants, moderators, none };   // who may send private messages

    static constexpr std::size_t longest_password = 256;   // bytes

    std::string name, description, language, password;
    std::uint32_t max_occupants = 0;       // 0: what the service allows
    std::uint32_t history = 0;             // messages for who comes in
    bool is_persistent = false;
    bool is_archived = true;               // while it is persistent
    bool is_public = true;
    bool is_members_only = false;
    bool is_moderated = false;
    bool is_non_anonymous = false;
    bool has_password = false;
    bool may_all_change_subject = false;
    bool may_members_invite = false;       // to a members-only room
    Whispers whispers = Whispers::anyone;
    Roles broadcast = Roles::all();        // whose presence others see
    Roles list_readers = Roles::all();     // who sees who belongs to it, where all see addresses

    xmpp::DataForm form() const;
    std::string stored() const;            // as XML, for read(); nothing that only a reader needs
    static RoomConfig read(std::string_view stored);
    // Takes over the fields that are there. False, and nothing is changed: one of them makes no sense, or is too much.
    struct Most { std::uint32_t occupants, history; };
    bool apply(const xmpp::DataForm& form, const Most& most);

    friend bool operator==(const RoomConfig&, const RoomConfig&) = default;
};

inline constexpr std::string_view ns_room_config = "http://jabber.org/protocol/muc#roomconfig";

}  // namespace server::rooms
