// SPDX-License-Identifier: MIT
// What a stream holds only until its resource is bound.
#pragma once

#include <memory>

#include "auth/sasl.h"
#include "server/stream.h"

namespace server {

struct Stream::Login {
    std::unique_ptr<auth::Exchange> exchange;
    std::string username;      // being looked up
    unsigned failures = 0;
};

}  // namespace server
