// SPDX-License-Identifier: MIT
// What becomes known of a message that the database refused, whoever's log it was for; its sender is told elsewhere.
#pragma once

#include <string_view>

#include "storage/result.h"

namespace server {

class Worker;

// Counts it, and says it in the log: not each, a full disk refuses many. `jid`: whose log.
void note_not_stored(Worker& worker, std::string_view jid, const storage::StorageError& why);

}  // namespace server
