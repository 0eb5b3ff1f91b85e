// SPDX-License-Identifier: MIT
// What the handlers of routes work on. The HTTP thread alone touches it.
#pragma once

#include <map>
#include <vector>

#include "auth/rate_limit.h"
#include "server/http/message.h"
#include "server/server.h"

namespace server::http {

struct Service {
    Service(Server& s, net::Loop& l) : server{s}, loop{l} {}
    Server& server;
    net::Loop& loop;
    auth::RateLimit key_checks{60, std::chrono::minutes{1}};   // by address: each costs a hash
    std::map<unsigned, std::uint64_t> answered;   // by status
    std::size_t connections = 0;
    // How much each worker holds, and when that was last counted: it has to look at every account.
    struct Census { std::size_t sessions = 0, accounts = 0; };
    std::vector<Census> census;
    net::Duration counted_at{};
    bool probing = false;                         // whether storage is being asked if it is back
};

}  // namespace server::http
