// SPDX-License-Identifier: MIT
// The log's writer thread. It sleeps until something is appended, and takes all that came while it was
// committing as the next group: the busier, the larger the groups.
#include "storage/sql/group_commit.h"

namespace storage::sql {

namespace {

constexpr std::size_t most_entries_at_once = 2000;
constexpr std::size_t most_bytes_at_once = 8U << 20U;
constexpr int most_tries_when_busy = 10;
constexpr std::chrono::milliseconds first_pause{20}, longest_pause{1000}, pause_when_full{200};
// Cursors and marks alone are not urgent: nobody waits for them, and the next append takes them along.
constexpr std::chrono::milliseconds longest_idle{50};
constexpr std::chrono::milliseconds last_chance{3000};

StorageError too_long() {
    return {StorageError::Kind::unavailable, "the database did not answer for too long"};
}

// One job for each executor, in the order of the entries.
void tell(std::vector<Append> ended) {
    std::vector<std::pair<Executor*, std::vector<Append>>> by_executor;
    for (Append& append : ended) {
        auto found = std::find_if(by_executor.begin(), by_executor.end(),
                                  [&](const auto& group) { return group.first == append.executor; });
        if (found == by_executor.end()) {
            found = by_executor.emplace(by_executor.end(), append.executor, std::vector<Append>{});
        }
        found->second.push_back(std::move(append));
    }
    for (auto& [executor, group] : by_executor) {
        auto job = [appends = std::move(group)] {
            for (const Append& append : appends) {
                if (!append.committed) continue;
                append.committed(append.error ? Result<void>{Failure<StorageError>{*append.error}}
                                              : Result<void>{});
            }
        };
        if (executor) {
            executor->post(Job{std::move(job)});
        } else {
            job();
        }
    }
}

void tell(Append append) {
    std::vector<Append> one;
    one.push_back(std::move(append));
    tell(std::move(one));
}

}  // namespace

GroupCommit::GroupCommit(const Options& options, Seat seat, std::function<void(Request&)> hand_on)
    : options_{options}, seat_{std::move(seat)}, hand_on_{std::move(hand_on)} {
    if (!options_.run_inline) thread_ = std::jthread{[this] { run(); }};
}

GroupCommit::~GroupCommit() { finish(); }

void GroupCommit::finish() {
    {
        const std::lock_guard lock{mutex_};
        // A database that is known to be down gets a last chance, no more: nothing of this was acknowledged.
        if (!stopping_) give_up_ = Clock::now() + (delay_.count() > 0 ? std::min(options_.wait, last_chance) : options_.wait);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    const std::lock_guard lock{mutex_};
    finished_ = true;
}

// ---- what other threads ask ---------------------------------------------------------------------

void GroupCommit::append(LogEntry entry, std::function<void(const Result<void>&)> committed) {
    Append append;
    append.entry = std::move(entry);
    append.committed = std::move(committed);
    append.executor = Executor::current();
    append.asked = Clock::now();
    if (options_.run_inline) {
        LogSlice slice;
        slice.appends.push_back(std::move(append));
        return write_inline(std::move(slice));
    }
    const std::size_t size = append.size();
    Lock lock{mutex_};
    if (stopping_ || queue_.size() + in_flight_ >= options_.log_entries ||
        queue_bytes_ + size > options_.log_bytes) {
        lock.unlock();
        if (append.committed) append.committed(Failure<StorageError>{{StorageError::Kind::unavailable, "too much waits for the database already"}});
        return;
    }
    append.number = ++asked_;
    queue_.push_back(std::move(append));
    queue_bytes_ += size;
    high_water_ = std::max<std::uint64_t>(high_water_, queue_.size() + in_flight_);
    const bool wake = asleep_ || queue_.size() == most_entries_at_once;
    lock.unlock();
    if (wake) wake_.notify_one();
}

void GroupCommit::advance_cursor(AccountId account, std::string device, LogId to) {
    DeviceKey key{account, std::move(device)};
    if (options_.run_inline) {
        LogSlice slice;
        slice.cursors.emplace(std::move(key), to);
        return write_inline(std::move(slice));
    }
    bool wake = false;
    {
        const std::lock_guard lock{mutex_};
        LogId& cursor = cursors_[std::move(key)];
        cursor = std::max(cursor, to);
        ++asked_;
        wake = asleep_ && cursors_.size() == 1;
    }
    if (wake) wake_.notify_one();
}

void GroupCommit::mark_delivered(AccountId account, std::string device, LogId id) {
    Mark mark{{account, std::move(device)}, id};
    if (options_.run_inline) {
        LogSlice slice;
        slice.marks.push_back(mark);
        note_mark(mark);
        return write_inline(std::move(slice));
    }
    bool wake = false;
    {
        const std::lock_guard lock{mutex_};
        if (marks_.size() >= options_.log_entries) return;  // the entry will be delivered once more
        note_mark(mark);
        marks_.push_back(std::move(mark));
        ++asked_;
        wake = asleep_;
    }
    if (wake) wake_.notify_one();
}

bool GroupCommit::resume_when_settled(Request& request) {
    bool wake = false;
    {
        const std::lock_guard lock{mutex_};
        if (settled_ == asked_ || finished_) return false;
        waiters_.push_back({asked_, &request});
        wake = asleep_;
    }
    if (wake) wake_.notify_one();
    return true;
}

void GroupCommit::expect_marks(std::map<DeviceKey, LogId> highest) {
    const std::lock_guard lock{mutex_};
    highest_mark_ = std::move(highest);
}

QueueDepth GroupCommit::depth() const {
    const std::lock_guard lock{mutex_};
    QueueDepth depth;
    depth.name = "log commits";
    depth.depth = queue_.size() + in_flight_ + telling_ + waiters_.size();
    depth.high_water = high_water_;
    if (in_flight_ > 0 || !queue_.empty()) {
        const auto oldest = in_flight_ > 0 ? oldest_in_flight_ : queue_.front().asked;
        depth.oldest = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - oldest);
    }
    return depth;
}

// ---- the writer ---------------------------------------------------------------------------------

void GroupCommit::run() {
    seat_.connector().thread_begins();
    Lock lock{mutex_};
    for (;;) {
        wait_for_work(lock);
        if (!has_work()) break;  // stopping
        LogSlice slice = take_slice();
        lock.unlock();
        const Seat::Outcome outcome = seat_.attempt(Access::transact, slice);
        lock.lock();
        const Next next = conclude(slice, outcome);
        let_go(lock);
        if (next == Next::after_a_pause) wake_.wait_for(lock, delay_);  // only finish() wakes it
    }
    lock.unlock();
    seat_.leave();
    seat_.connector().thread_ends();
}

void GroupCommit::wait_for_work(Lock& lock) {
    asleep_ = true;
    wake_.wait(lock, [this] { return stopping_ || has_work(); });
    if (queue_.empty() && delay_.count() == 0) {
        wake_.wait_for(lock, longest_idle,
                       [this] { return stopping_ || !queue_.empty() || !waiters_.empty(); });
    }
    asleep_ = false;
    // One entry alone goes at once; where there was company, company is waited for.
    if (queue_.empty() || last_group_ <= 1 || delay_.count() > 0) return;
    wake_.wait_until(lock, queue_.front().asked + options_.group_commit,
                     [this] { return stopping_ || queue_.size() >= most_entries_at_once; });
}

LogSlice GroupCommit::take_slice() {
    LogSlice slice;
    std::size_t bytes = 0;
    const bool may_be_there = !queue_.empty() && queue_.front().may_be_there;
    while (!queue_.empty() && queue_.front().may_be_there == may_be_there &&
           slice.appends.size() < most_entries_at_once && bytes < most_bytes_at_once) {
        bytes += queue_.front().size();
        slice.appends.push_back(std::move(queue_.front()));
        queue_.pop_front();
    }
    slice.cursors.swap(cursors_);
    slice.marks.swap(marks_);
    find_passed_marks(slice);
    slice.last_number = queue_.empty() ? asked_ : slice.appends.back().number;
    in_flight_ = slice.appends.size();
    if (in_flight_ > 0) oldest_in_flight_ = slice.appends.front().asked;
    return slice;
}

GroupCommit::Next GroupCommit::conclude(LogSlice& slice, const Seat::Outcome& outcome) {
    Next next = Next::at_once;
    last_group_ = std::exchange(in_flight_, 0);
    if (!outcome.error) {
        delay_ = std::chrono::milliseconds{0};
        busy_tries_ = 0;
        forget_passed_marks(slice);
        for (Append& append : slice.appends) end(std::move(append));
        settle(slice.last_number);
    } else {
        const Error& error = *outcome.error;
        const bool has_appends = !slice.appends.empty();
        if (error.kind == Error::Kind::full || error.is_of_the_row()) {
            for (Append& append : slice.appends) {
                append.error = to_storage_error(error);
                end(std::move(append));
            }
            slice.appends.clear();
        }
        put_back(slice, outcome.is_unknown);
        // Cursors alone are left: who reads without them may be sent something twice, but is not kept out by a full disk.
        if (error.kind == Error::Kind::full) settle(slice.last_number);
        next = after_failure(error, has_appends);
        expire();
    }
    if (!has_work()) settle(asked_);
    return next;
}

GroupCommit::Next GroupCommit::after_failure(const Error& error, bool has_appends) {
    if (error.kind == Error::Kind::full) {
        delay_ = pause_when_full;
        return has_appends ? Next::at_once
                           : Next::after_a_pause;  // appends have failed, cursors wait for better times
    }
    if (error.kind == Error::Kind::busy && ++busy_tries_ < most_tries_when_busy) return Next::at_once;
    // A lost connection is made again at once, the first time.
    const bool first_time = delay_.count() == 0;
    delay_ = first_time ? first_pause : std::min(delay_ * 2, longest_pause);
    return first_time && error.kind == Error::Kind::lost ? Next::at_once : Next::after_a_pause;
}

void GroupCommit::end(Append append) {
    queue_bytes_ -= append.size();
    ended_.push_back(std::move(append));
}

void GroupCommit::put_back(LogSlice& slice, bool may_be_there) {
    for (auto append = slice.appends.rbegin(); append != slice.appends.rend(); ++append) {
        append->may_be_there = append->may_be_there || may_be_there;
        queue_.push_front(std::move(*append));
    }
    for (const auto& [key, to] : slice.cursors) {
        LogId& cursor = cursors_[key];
        cursor = std::max(cursor, to);
    }
    marks_.insert(marks_.begin(), slice.marks.begin(), slice.marks.end());
}

void GroupCommit::settle(std::uint64_t number) {
    settled_ = std::max(settled_, number);
    const auto first_to_stay = std::find_if(
        waiters_.begin(), waiters_.end(), [this](const Waiter& waiter) { return waiter.number > settled_; });
    for (auto waiter = waiters_.begin(); waiter != first_to_stay; ++waiter)
        resumed_.push_back(waiter->request);
    waiters_.erase(waiters_.begin(), first_to_stay);
}

// The database has not answered: what waited for too long fails, and when it is time to stop, everything.
void GroupCommit::expire() {
    const auto now = Clock::now();
    const bool give_up = stopping_ && now >= give_up_;
    while (!queue_.empty() && (give_up || queue_.front().asked + options_.log_age <= now)) {
        queue_.front().error = too_long();
        end(std::move(queue_.front()));
        queue_.pop_front();
    }
    if (give_up) {
        cursors_.clear();
        marks_.clear();
    }
    std::erase_if(waiters_, [&](const Waiter& waiter) {
        if (waiter.request->deadline > now && !give_up) return false;
        waiter.request->fail(too_long());
        refused_.push_back(waiter.request);
        return true;
    });
}

// Tells everyone for whom something has ended, without the lock.
void GroupCommit::let_go(Lock& lock) {
    if (ended_.empty() && resumed_.empty() && refused_.empty()) return;
    auto ended = std::exchange(ended_, {});
    const auto resumed = std::exchange(resumed_, {});
    const auto refused = std::exchange(refused_, {});
    telling_ = ended.size() + resumed.size() + refused.size();
    lock.unlock();
    tell(std::move(ended));
    for (Request* request : resumed) hand_on_(*request);
    for (Request* request : refused) request->finish();
    lock.lock();
    telling_ = 0;
}

void GroupCommit::write_inline(LogSlice slice) {
    find_passed_marks(slice);
    Seat::Outcome outcome = seat_.attempt(Access::transact, slice);
    for (int tries = 1; outcome.error && tries < most_tries_when_busy; ++tries) {
        if (outcome.error->kind != Error::Kind::busy && outcome.error->kind != Error::Kind::lost) break;
        for (Append& append : slice.appends) append.may_be_there = append.may_be_there || outcome.is_unknown;
        outcome = seat_.attempt(Access::transact, slice);
    }
    if (!outcome.error) forget_passed_marks(slice);
    for (Append& append : slice.appends) {
        if (outcome.error) append.error = to_storage_error(*outcome.error);
        tell(std::move(append));
    }
}

// ---- marks that a cursor has passed -------------------------------------------------------------

void GroupCommit::find_passed_marks(LogSlice& slice) const {
    if (highest_mark_.empty()) return;
    for (const auto& [device, to] : slice.cursors) {
        const auto highest = highest_mark_.find(device);
        if (highest != highest_mark_.end() && highest->second <= to) slice.passed.push_back({device, to});
    }
}

void GroupCommit::forget_passed_marks(const LogSlice& slice) {
    for (const Mark& passed : slice.passed) {
        const auto highest = highest_mark_.find(passed.device);
        if (highest != highest_mark_.end() && highest->second <= passed.id) highest_mark_.erase(highest);
    }
}

void GroupCommit::note_mark(const Mark& mark) {
    LogId& highest = highest_mark_[mark.device];
    highest = std::max(highest, mark.id);
}

}  // namespace storage::sql
