// SPDX-License-Identifier: MIT
// One thread's event loop: sockets by epoll, timers, a mailbox for other threads, and an end-of-turn list where all
// output of a turn leaves at once. With a manual clock and no sockets it runs in-process scenes, step by step.
#pragma once

#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "storage/executor.h"
#include "xmpp/date_time.h"

namespace server::net {

using storage::Executor;
using storage::Job;
using Duration = std::chrono::microseconds;
using Time = xmpp::Time;

// Where "now" comes from. Wall time for stamps; steady time for timers, so that a clock that jumps fires nothing early.
class Clock {
public:
    virtual ~Clock() = default;
    virtual Time wall() const = 0;
    virtual Duration steady() const = 0;
};
class SystemClock final : public Clock {
public:
    Time wall() const override;
    Duration steady() const override;
};
class ManualClock final : public Clock {  // in-process scenes
public:
    Time wall() const override { return Time{start_ + passed_}; }
    Duration steady() const override { return passed_; }
    void advance(Duration by) { passed_ += by; }

private:
    Duration start_ = std::chrono::hours{24 * 365 * 55};
    Duration passed_{};
};

// Something that epoll tells about. Owned elsewhere; must be removed from the loop before it goes.
class Pollable {
public:
    virtual void on_ready(std::uint32_t events) = 0;  // EPOLLIN (with EPOLLRDHUP at its end), EPOLLOUT, EPOLLHUP, EPOLLERR
    bool may_wait() const { return may_wait_; }

protected:
    ~Pollable() = default;
    // While nobody is logged in there: the others are served first, and it gets a few milliseconds of a turn with its like,
    // and with those whose peer has gone. A thousand handshakes keep no message waiting, nor do a thousand broken connections.
    bool may_wait_ = false;
};

// Work to do once at the end of the turn (flush a socket). Intrusive: being listed costs nothing.
class EndOfTurn {
public:
    virtual ~EndOfTurn() = default;
    virtual void on_end_of_turn() = 0;

private:
    friend class Loop;
    bool listed_ = false;
};

class Loop;

// Fires once, on the loop's thread, unless destroyed or cancelled before. Restarting moves it.
class Timer {
public:
    Timer() = default;
    ~Timer() { cancel(); }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    void start(Loop& loop, Duration after, std::function<void()> fire);
    void cancel();
    bool is_running() const { return loop_ != nullptr; }

private:
    friend class Loop;
    Loop* loop_ = nullptr;
    std::multimap<Duration, Timer*>::iterator at_;
    std::function<void()> fire_;
};

// co_await Sleep{loop, after};
class Sleep {
public:
    Sleep(Loop& loop, Duration after) : loop_{loop}, after_{after} {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiter) { timer_.start(loop_, after_, [waiter] { waiter.resume(); }); }
    void await_resume() const {}

private:
    Loop& loop_;
    Duration after_;
    Timer timer_;
};

class Loop final : public Executor {
public:
    explicit Loop(std::string name, const Clock& clock);
    ~Loop() override;

    // Any thread. The mailbox is drained in batches, once a turn; one wake-up a batch.
    void post(Job job) override;
    void stop();                       // any thread: run() returns after this turn
    bool discard();                    // drops what is in the mailbox, undone; when no thread runs it. False: it was empty

    // The loop's thread.
    void run();
    bool turn(Duration wait);          // one turn; false when nothing was there to do. run() is turn() until stop()
    void add(int fd, std::uint32_t events, Pollable& pollable);
    void change(int fd, std::uint32_t events, Pollable& pollable);
    void remove(int fd);
    void at_end_of_turn(EndOfTurn& work);
    void after_output(EndOfTurn& work);   // when nothing is left to do at the end of the turn: what was sent is with the kernel, or cannot be yet
    void forget(EndOfTurn& work);      // before it is destroyed or moves to another loop
    bool is_here() const { return Executor::current() == this; }

    Time wall() const { return clock_.wall(); }
    Duration now() const { return now_; }     // steady, read once a turn
    const Clock& clock() const { return clock_; }
    const std::string& name() const { return name_; }
    std::chrono::microseconds until_next_timer() const;  // max() when there is none

    // More waits in the mailbox than it takes in a turn or two: who fills it should pause. Any thread.
    bool is_behind() const { return waiting_.load(std::memory_order_relaxed) > most_waiting; }
    static constexpr std::size_t most_waiting = 1000;

    struct MailboxDepth { std::uint64_t depth, high_water; Duration oldest; };
    MailboxDepth mailbox() const;      // any thread

private:
    friend class Timer;
    bool drain_mailbox();
    bool fire_timers();
    bool poll(Duration wait);
    void serve_who_may_wait();
    bool end_turn();

    std::string name_;
    const Clock& clock_;
    Duration now_;
    int epoll_ = -1;
    int wake_ = -1;
    std::multimap<Duration, Timer*> timers_;
    std::vector<EndOfTurn*> end_of_turn_, after_output_;
    std::vector<EndOfTurn*> ending_;
    struct Watched {
        Pollable* pollable = nullptr;
        std::uint32_t due = 0;                // events that it waits to be told of
    };
    std::vector<Watched> watched_;            // by file descriptor
    std::deque<int> may_wait_;                // descriptors, to be served when the others are, in this turn or another
    std::atomic<bool> stopping_{false};
    std::atomic<std::size_t> waiting_{0};     // in the mailbox

    mutable std::mutex mutex_;                // guards what follows
    std::vector<Job> mailbox_;
    Duration oldest_{};
    std::uint64_t high_water_ = 0;
    bool woken_ = false;
    std::vector<Job> batch_;                  // the loop's thread alone
};

}  // namespace server::net
