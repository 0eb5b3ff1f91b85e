// SPDX-License-Identifier: MIT
// What the handlers of routes work on. The HTTP thread alone touches it.
#pragma once

#include <map>

#include "server/http/message.h"
#include "server/server.h"

namespace server::http {

struct Service {
    explicit Service(Server& s) : server{s} {}
    Server& server;
    std::map<unsigned, std::uint64_t> answered;   // by status
    std::size_t connections = 0;
    bool probing = false;                         // whether storage is being asked if it is back
};

}  // namespace server::http
