// SPDX-License-Identifier: MIT
#include "server/not_stored.h"

#include "server/log.h"
#include "server/worker.h"

namespace server {

void note_not_stored(Worker& worker, std::string_view jid, const storage::StorageError& why) {
    ++worker.counters.not_logged;
    if (const std::uint64_t times = worker.not_stored.count(worker.now()))
        log::error("message not stored", {{"jid", jid}, {"why", why.text}, {"times", std::to_string(times)}});
}

}  // namespace server
