// SPDX-License-Identifier: MIT
// A restart without loss: when the server goes down, sessions that wait to be resumed are stored; the next process has
// them again, available as they were, before the first client is let in. What a session consists of is written and read
// by its owners (Host::storing, Host::restored). After a crash nothing is stored, and messages come from the log.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "storage/storage.h"

namespace server {

class Account;
class Server;
class Worker;

class Restart {
public:
    explicit Restart(Server& server) : server_{server} {}

    // Reads what was stored. Call on a thread with an Executor.
    storage::Task<storage::Result<void>> read();
    // Has the workers restore it when their loops turn, and removes it from storage then, so that a server that is killed
    // leaves no session that others have seen the end of. A start that fails before this loses none.
    void begin();
    // Blocks until that is done; the loops turn on other threads. False: it could not be removed.
    bool wait() const;
    // On the worker's thread, whose streams are gone: its sessions go to storage. Problems are logged.
    static storage::Task<void> store(Worker& worker);

private:
    using Waiting = std::deque<storage::StoredSession>;
    storage::Task<void> restore_each(Worker& worker, std::shared_ptr<Waiting> waiting);

    storage::Task<std::shared_ptr<Account>> load(Worker& worker, xmpp::Jid bare) const;   // nullptr: it cannot be had
    storage::Task<void> remove();

    Server& server_;
    std::vector<std::shared_ptr<Waiting>> waiting_;   // for each worker
    std::atomic<std::size_t> at_work_ = 0;            // restore_each(); 0 when the last of them has removed what was stored
    std::atomic<std::size_t> ended_ = 0;              // of these
    std::atomic<bool> is_removed_ = true;
    storage::Time patience_ends_{};                   // with a database that does not answer
};

}  // namespace server
