// SPDX-License-Identifier: MIT
// The event loop: mailbox, timers, sockets, end of turn, in that order, every turn.
#include "server/net/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <system_error>

namespace server::net {

Time SystemClock::wall() const { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

Duration SystemClock::steady() const {
    return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

constexpr std::chrono::milliseconds time_for_who_may_wait{2};
constexpr std::size_t most_events = 2048;   // of a turn: who may wait shall not fill it while others stand behind them

// ---- timers ----------------------------------------------------------------------------------------------------------

void Timer::start(Loop& loop, Duration after, std::function<void()> fire) {
    cancel();
    loop_ = &loop;
    fire_ = std::move(fire);
    at_ = loop.timers_.emplace(loop.clock_.steady() + after, this);
}

void Timer::cancel() {
    if (!loop_) return;
    loop_->timers_.erase(at_);
    loop_ = nullptr;
}

// ---- the loop --------------------------------------------------------------------------------------------------------

Loop::Loop(std::string name, const Clock& clock) : name_{std::move(name)}, clock_{clock}, now_{clock.steady()} {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (epoll_ < 0 || wake_ < 0) throw std::system_error{errno, std::generic_category(), "event loop"};
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = wake_;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event);
}

Loop::~Loop() {
    for (auto& [at, timer] : timers_) timer->loop_ = nullptr;
    ::close(wake_);
    ::close(epoll_);
}

void Loop::post(Job job) {
    bool wake = false;
    {
        const std::lock_guard lock{mutex_};
        if (mailbox_.empty()) oldest_ = clock_.steady();
        mailbox_.push_back(std::move(job));
        high_water_ = std::max<std::uint64_t>(high_water_, mailbox_.size());
        waiting_.store(mailbox_.size(), std::memory_order_relaxed);
        wake = !std::exchange(woken_, true);
    }
    if (wake && !is_here()) {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);  // full counter: it is awake already
    }
}

void Loop::stop() {
    stopping_ = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
}

bool Loop::discard() {
    std::vector<Job> dropped;
    {
        const std::lock_guard lock{mutex_};
        dropped.swap(mailbox_);
    }
    return !dropped.empty();  // letting go of them may post more
}

void Loop::run() {
    while (!stopping_) turn(Duration::max());
}

bool Loop::turn(Duration wait) {
    Executor* const before = Executor::current();
    Executor::set_current(this);
    now_ = clock_.steady();
    bool worked = drain_mailbox();
    worked |= fire_timers();
    worked |= !may_wait_.empty();
    {
        const std::lock_guard lock{mutex_};
        if (!mailbox_.empty() || !end_of_turn_.empty() || !after_output_.empty()) wait = Duration::zero();
    }
    worked |= poll(worked ? Duration::zero() : wait);
    worked |= end_turn();
    if (!may_wait_.empty()) {
        serve_who_may_wait();
        end_turn();
    }
    Executor::set_current(before);
    return worked;
}

// All output leaves.
bool Loop::end_turn() {
    const bool worked = !end_of_turn_.empty() || !after_output_.empty();
    while (!end_of_turn_.empty() || !after_output_.empty()) {  // what they do may list others
        ending_.swap(end_of_turn_.empty() ? after_output_ : end_of_turn_);
        for (EndOfTurn* work : ending_) {
            if (!work) continue;
            work->listed_ = false;
            work->on_end_of_turn();
        }
        ending_.clear();
    }
    return worked;
}

bool Loop::drain_mailbox() {
    {
        const std::lock_guard lock{mutex_};
        woken_ = false;
        if (mailbox_.empty()) return false;
        batch_.swap(mailbox_);
        waiting_.store(0, std::memory_order_relaxed);
    }
    // Each is let go of at once: what a job held ends before the next begins.
    for (Job& job : batch_) std::exchange(job, {})();
    batch_.clear();
    return true;
}

bool Loop::fire_timers() {
    bool fired = false;
    while (!timers_.empty() && timers_.begin()->first <= now_) {
        Timer* const timer = timers_.begin()->second;
        timers_.erase(timers_.begin());
        timer->loop_ = nullptr;
        const auto fire = std::move(timer->fire_);  // it may start the timer anew, or destroy it
        fire();
        fired = true;
    }
    return fired;
}

std::chrono::microseconds Loop::until_next_timer() const {
    if (timers_.empty()) return Duration::max();
    return std::max(Duration::zero(), timers_.begin()->first - clock_.steady());
}

bool Loop::poll(Duration wait) {
    wait = std::min(wait, until_next_timer());
    int milliseconds = -1;
    if (wait != Duration::max()) {
        const auto rounded_up = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
        milliseconds = static_cast<int>(std::min<std::int64_t>(rounded_up, 3600 * 1000));
    }
    std::array<epoll_event, most_events> events;
    const int count = ::epoll_wait(epoll_, events.data(), events.size(), milliseconds);
    now_ = clock_.steady();
    bool worked = false;
    for (int i = 0; i < count; ++i) {
        const int fd = events[i].data.fd;
        if (fd == wake_) {
            std::uint64_t drained = 0;
            [[maybe_unused]] const auto got = ::read(wake_, &drained, sizeof drained);
            continue;
        }
        worked = true;
        Watched& watched = watched_[fd];
        if (!watched.pollable) continue;   // removed by an earlier event of this turn
        const bool leaves = events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
        if (leaves || watched.pollable->may_wait()) {
            if (watched.due == 0) may_wait_.push_back(fd);
            watched.due |= events[i].events;
        } else {
            watched.pollable->on_ready(events[i].events | std::exchange(watched.due, 0));
        }
    }
    return worked;
}

// Those for whom no time is left are first in the next turn. epoll does not tell of all of them again (EPOLLONESHOT).
void Loop::serve_who_may_wait() {
    const Duration end = clock_.steady() + time_for_who_may_wait;
    while (!may_wait_.empty()) {
        Watched& watched = watched_[may_wait_.front()];
        may_wait_.pop_front();
        if (watched.due == 0) continue;   // removed, or served with the others
        watched.pollable->on_ready(std::exchange(watched.due, 0));
        if (clock_.steady() >= end) break;
    }
}

namespace {

// Who reads is told of the end of the peer's half as well.
bool control(int epoll, int operation, int fd, std::uint32_t events) {
    epoll_event event{};
    event.events = events & EPOLLIN ? events | EPOLLRDHUP : events;
    event.data.fd = fd;
    return ::epoll_ctl(epoll, operation, fd, &event) == 0;
}

}  // namespace

void Loop::add(int fd, std::uint32_t events, Pollable& pollable) {
    if (static_cast<std::size_t>(fd) >= watched_.size()) watched_.resize(fd + 64);
    watched_[fd] = {&pollable, 0};
    if (!control(epoll_, EPOLL_CTL_ADD, fd, events))
        throw std::system_error{errno, std::generic_category(), "epoll_ctl add"};
}

void Loop::change(int fd, std::uint32_t events, Pollable& pollable) {
    assert(watched_.at(fd).pollable == &pollable);
    watched_[fd].pollable = &pollable;
    control(epoll_, EPOLL_CTL_MOD, fd, events);
}

void Loop::remove(int fd) {
    if (static_cast<std::size_t>(fd) < watched_.size()) watched_[fd] = {};
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

void Loop::at_end_of_turn(EndOfTurn& work) {
    if (std::exchange(work.listed_, true)) return;
    end_of_turn_.push_back(&work);
}

void Loop::after_output(EndOfTurn& work) {
    if (std::exchange(work.listed_, true)) return;
    after_output_.push_back(&work);
}

void Loop::forget(EndOfTurn& work) {
    if (!std::exchange(work.listed_, false)) return;
    for (auto* list : {&end_of_turn_, &ending_, &after_output_})
        for (EndOfTurn*& listed : *list)
            if (listed == &work) listed = nullptr;
    std::erase(end_of_turn_, nullptr);
}

Loop::MailboxDepth Loop::mailbox() const {
    const std::lock_guard lock{mutex_};
    return {mailbox_.size(), high_water_, mailbox_.empty() ? Duration::zero() : clock_.steady() - oldest_};
}

}  // namespace server::net
