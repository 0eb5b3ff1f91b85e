// SPDX-License-Identifier: MIT
// messages.retention: removes what the logs of accounts need not keep any longer, by age or as soon as every device has
// it, in small transactions with pauses between them. Registrations that came to nothing, tokens and
// invitations that have expired go the same way.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "server/net/loop.h"
#include "storage/result.h"
#include "storage/task.h"

namespace server {

class Worker;

class Retention {
public:
    explicit Retention(Worker& worker) : worker_{worker} {}
    void start();                                   // on the worker's thread; goes on by itself
    void stop();                                    // on the worker's thread
    std::uint64_t removed() const { return removed_; }   // log entries since the start; any thread

private:
    using Removal = storage::Task<storage::Result<std::size_t>>;   // of a batch; how many went

    storage::Task<void> sweep();
    // Batch after batch, with pauses, until one is not full.
    storage::Task<void> remove_all(const char* what, std::function<Removal()> next);

    Worker& worker_;
    net::Timer timer_;
    std::atomic<std::uint64_t> removed_{0};
    bool stopped_ = false;
};

}  // namespace server
