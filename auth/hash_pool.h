// SPDX-License-Identifier: MIT
// Password hashing takes milliseconds and must not stop an event loop: a few threads with a bounded queue.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "storage/storage.h"

namespace auth {

class HashPool {
public:
    // 0 threads: hashes at once on the caller's thread (in-process scenes).
    explicit HashPool(std::size_t threads, std::size_t waiting = 1000);
    ~HashPool();   // closes
    // Ends the threads, and answers with nothing whoever waits or comes later. While those who wait can still be reached.
    void close();

    // RFC 5802 §3; nullopt when too many wait already: temporary-auth-failure.
    storage::Task<std::optional<storage::Verifiers>> derive(std::string password, std::string salt, std::uint32_t iterations);
    storage::QueueDepth depth() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace auth
