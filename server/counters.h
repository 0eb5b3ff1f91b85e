// SPDX-License-Identifier: MIT
// What a worker has done since the server started. Its thread alone counts, and reads when metrics are asked for: the hot
// path shares no line of memory for it.
#pragma once

#include <array>
#include <cstdint>

#include "xmpp/stanza.h"

namespace server {

struct Counters {
    using ByKind = std::array<std::uint64_t, 3>;   // by xmpp::Kind: message, presence, iq
    ByKind received{}, sent{};                     // stanzas from clients, and to them
    std::uint64_t errors_returned = 0;             // stanzas that were answered by an error
    std::uint64_t logged = 0, not_logged = 0;      // messages given to accounts' logs, and those that could not be stored
    std::uint64_t logins = 0, logins_refused = 0, resumptions = 0, accounts_made = 0;   // made: by name and password
    std::uint64_t connections = 0, bytes_received = 0, bytes_sent = 0;

    static void count(ByKind& kinds, xmpp::Kind kind) {
        if (kind != xmpp::Kind::other) ++kinds[static_cast<std::size_t>(kind)];
    }
};

}  // namespace server
