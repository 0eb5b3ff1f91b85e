// SPDX-License-Identifier: MIT
// Accounts that are fetched for what can wait. A user's first presence probes every contact (RFC 6121 §4.3.1); when
// thousands log in at once, their own accounts must not stand in line behind those of contacts who are not even there.
#pragma once

#include <atomic>
#include <deque>
#include <functional>

#include "storage/storage.h"
#include "xmpp/jid.h"

namespace server {

class Account;
class Worker;

// The worker's own, but for depth().
class Unhurried {
public:
    explicit Unhurried(Worker& worker) : worker_{worker} {}
    // As Worker::with_account, a few accounts at a time. When too many wait `found` is dropped, never called.
    using Found = std::function<void(Account*, bool failed)>;
    void with_account(xmpp::JidView bare, Found found);
    storage::QueueDepth depth() const;   // any thread

private:
    struct Waiting {
        xmpp::Jid bare;
        Found found;
        storage::Time since;
    };
    void start();
    void show_depth();

    Worker& worker_;
    std::deque<Waiting> waiting_;
    unsigned fetching_ = 0;
    // What others may see of the queue.
    std::atomic<std::uint64_t> depth_ = 0, high_water_ = 0;
    std::atomic<storage::Time::rep> oldest_ = 0;
};

}  // namespace server
