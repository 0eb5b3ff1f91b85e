// SPDX-License-Identifier: MIT
// What asking the storage comes to. Nothing throws for what the world does: a database that is down, full or slow is a
// StorageError.
#pragma once

#include <string>
#include <utility>

#include "xmpp/date_time.h"
#include "xmpp/jid.h"
#include "xmpp/result.h"

namespace storage {

using xmpp::Failure;
using xmpp::Jid;
using xmpp::JidView;
using xmpp::Time;

struct StorageError {
    enum class Kind {
        unavailable,  // cannot connect, connection lost, read-only, waited too long for a free connection
        full,         // no space left on the device
        conflict,     // the key exists already
        not_found,    // what should be changed is not there
        broken,       // the database answered what it never should: schema, corruption
    };
    StorageError(Kind k, std::string t) : kind{k}, text{std::move(t)} {}
    Kind kind;
    std::string text;  // for the log; holds no values that users stored
};

template <class T>
using Result = xmpp::Result<T, StorageError>;

}  // namespace storage
