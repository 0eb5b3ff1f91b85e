// SPDX-License-Identifier: MIT
// All devices, on a thread and a poll() of their own, and what other threads may ask of them.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/faults/proof/device.h"

namespace tests {

class Fleet {
public:
    Fleet(const Plan& plan, Chronicle& chronicle, std::uint64_t seed);
    ~Fleet();

    // ---- for other threads ----
    void announce(const Incarnation& server);  // where to connect from now on; not up: nowhere
    void cut(int device, Device::Cut how, std::chrono::milliseconds until_back);
    void leave(int device, std::chrono::milliseconds until_back);
    // Waits until so many messages are acked, until then, or until no more will be sent. False: no more are
    // to come.
    bool wait(std::uint64_t acked, Clock::time_point until);
    std::uint64_t acked() const;
    // No new messages, all devices back, everything acked and a last message by everybody to everybody, which
    // must come behind everything else. What is missing then is lost. When this returns no thread touches the
    // ledger any more.
    void settle();

    Ledger& ledger() { return ledger_; }
    Device::Resumptions resumptions() const;

private:
    enum class Phase : std::uint8_t { sending, calming, saying_last, settled };
    using Request = std::function<void()>;

    void post(Request request);
    void run();
    void take_requests();
    void turn();
    void advance();
    void report();
    bool is_stuck();

    const Plan& plan_;
    Chronicle& chronicle_;
    Ledger ledger_;
    std::vector<std::unique_ptr<Device>> devices_;
    Incarnation server_;
    std::uint64_t may_send_;
    Phase phase_ = Phase::sending;
    std::uint64_t last_progress_ = 0;
    Clock::time_point progress_at_ = Clock::now();

    int wake_ = -1;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Request> requests_;
    std::uint64_t acked_ = 0;
    bool has_ended_ = false;  // will not send, or is stuck
    std::thread thread_;
};

}  // namespace tests
