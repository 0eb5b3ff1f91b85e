// SPDX-License-Identifier: MIT
#include "server/unhurried.h"

#include <algorithm>

#include "server/worker.h"

namespace server {

namespace {

constexpr unsigned at_once = 2;             // of one worker: the database's connections serve logins in between
constexpr std::size_t most_waiting = 100'000;

}  // namespace

void Unhurried::with_account(xmpp::JidView bare, Found found) {
    if (waiting_.size() >= most_waiting) return;
    Waiting waiting{xmpp::Jid{bare}, std::move(found), worker_.now()};
    waiting_.push_back(std::move(waiting));
    start();
    show_depth();
}

void Unhurried::start() {
    while (fetching_ < at_once && !waiting_.empty()) {
        Waiting next = std::move(waiting_.front());
        waiting_.pop_front();
        ++fetching_;
        worker_.with_account(next.bare.view(), [this, found = std::move(next.found)](Account* account, bool failed) {
            --fetching_;
            found(account, failed);
            // Not at once: the account may have been there, and start() is on the stack.
            if (!waiting_.empty()) worker_.loop.post([this] { start(); show_depth(); });
        });
    }
}

void Unhurried::show_depth() {
    depth_.store(waiting_.size(), std::memory_order_relaxed);
    high_water_.store(std::max<std::uint64_t>(high_water_.load(std::memory_order_relaxed), waiting_.size()), std::memory_order_relaxed);
    oldest_.store(waiting_.empty() ? 0 : waiting_.front().since.time_since_epoch().count(), std::memory_order_relaxed);
}

storage::QueueDepth Unhurried::depth() const {
    storage::QueueDepth depth;
    depth.name = worker_.loop.name() + " probes";
    depth.depth = depth_.load(std::memory_order_relaxed);
    depth.high_water = high_water_.load(std::memory_order_relaxed);
    const storage::Time oldest{storage::Time::duration{oldest_.load(std::memory_order_relaxed)}};
    if (oldest != storage::Time{}) depth.oldest = std::max(worker_.now() - oldest, storage::Time::duration{0});
    return depth;
}

}  // namespace server
