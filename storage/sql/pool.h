// SPDX-License-Identifier: MIT
// Threads at the database and the bounded queue in front of them. A request waits in its coroutine's frame,
// is worked on by one thread with its own connection, and goes on at the executor that it came from.
#pragma once

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "storage/executor.h"
#include "storage/sql/seat.h"

namespace storage::sql {

using Clock = std::chrono::steady_clock;

class Request : public Work {
public:
    explicit Request(Access a) : access{a} {}
    virtual void fail(StorageError error) = 0;
    void finish() {  // the request is gone once its coroutine goes on
        const auto handle = waiting;
        if (executor) {
            executor->post(Job{[handle] { handle.resume(); }});
        } else {
            handle.resume();
        }
    }

    Access access;
    Executor* executor = nullptr;
    std::coroutine_handle<> waiting;
    Clock::time_point asked{}, deadline{};
};

// Keeps trying until it is done, has failed, or may not wait any longer. `pause` waits for so long, or says
// that it cannot. The request has its result afterwards.
void perform(Request& request, Seat& seat, const std::function<bool(std::chrono::milliseconds)>& pause);

class Pool {
public:
    // `together`: how many waiting requests a thread takes at once, reads or writes. Writes share a transaction, so that their
    // commits cost one; more than one only where this pool has all writes of the database, which SQLite asks for.
    Pool(std::string name, std::vector<Seat> seats, std::size_t waiting, std::size_t together = 1);
    ~Pool();  // after all that wait were worked on, or have failed
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    // Of searches no more than half of the threads work on any, and a tenth of those that may wait are any.
    bool submit(Request& request);  // false: too many wait already
    QueueDepth depth() const;  // what is being worked on as well

private:
    using Pause = std::function<bool(std::chrono::milliseconds)>;

    void work(Seat& seat);
    bool is_search_next() const;
    bool has_work() const { return !waiting_.empty() || is_search_next(); }
    void wake_another();
    std::vector<Request*> take();
    static void perform(const std::vector<Request*>& batch, Seat& seat, const Pause& pause);
    bool pause(std::chrono::milliseconds how_long);

    const std::string name_;
    const std::size_t bound_, together_;
    std::vector<Seat> seats_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;     // something waits, or it is over
    std::condition_variable stopped_;  // ends pauses
    std::deque<Request*> waiting_, searches_;
    std::size_t searching_ = 0;        // threads
    std::uint64_t high_water_ = 0, in_work_ = 0;
    std::size_t asleep_ = 0;           // threads that wait for something
    bool woken_ = false;               // one of them is on its way, and wakes the next when there is more than it takes
    bool stopping_ = false;
    std::vector<std::jthread> threads_;
};

}  // namespace storage::sql
