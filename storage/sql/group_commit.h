// SPDX-License-Identifier: MIT
// The writer of the accounts' logs: collects what all threads append, and commits it in groups, in order.
// While the database does not answer it keeps everything, within bounds, and tries again; no entry is written
// twice.
#pragma once

#include <deque>
#include <thread>

#include "storage/sql/log_slice.h"
#include "storage/sql/pool.h"

namespace storage::sql {

class GroupCommit {
public:
    // `hand_on` gets the requests that waited here for what was appended before them.
    GroupCommit(const Options& options, Seat seat, std::function<void(Request&)> hand_on);
    ~GroupCommit();
    GroupCommit(const GroupCommit&) = delete;
    GroupCommit& operator=(const GroupCommit&) = delete;

    void append(LogEntry entry, std::function<void(const Result<void>&)> committed);
    void advance_cursor(AccountId account, std::string device, LogId to);
    void mark_delivered(AccountId account, std::string device, LogId id);
    // True: the request goes on once everything that was given to the log before is in the database, or fails
    // at its deadline. False: all of it is there already.
    bool resume_when_settled(Request& request);

    // Marks that an earlier run left in the database, the highest of each device.
    void expect_marks(std::map<DeviceKey, LogId> highest);
    // Ends when everything has been committed or has failed. Nothing may be given to the log any more.
    void finish();
    QueueDepth depth() const;

private:
    using Lock = std::unique_lock<std::mutex>;
    struct Waiter {
        std::uint64_t number;
        Request* request;
    };
    enum class Next : std::uint8_t { at_once, after_a_pause };

    void run();
    bool has_work() const { return !queue_.empty() || !cursors_.empty() || !marks_.empty(); }
    void wait_for_work(Lock& lock);
    LogSlice take_slice();
    Next conclude(LogSlice& slice, const Seat::Outcome& outcome);
    Next after_failure(const Error& error, bool has_appends);
    void end(Append append);
    void put_back(LogSlice& slice, bool may_be_there);
    void settle(std::uint64_t number);
    void expire();
    void let_go(Lock& lock);
    void write_inline(LogSlice slice);
    void find_passed_marks(LogSlice& slice) const;
    void forget_passed_marks(const LogSlice& slice);
    void note_mark(const Mark& mark);

    const Options options_;
    Seat seat_;
    const std::function<void(Request&)> hand_on_;

    mutable std::mutex mutex_;  // guards everything below
    std::condition_variable wake_;
    bool asleep_ = false;  // the writer waits for work: wake it
    bool stopping_ = false, finished_ = false;
    Clock::time_point give_up_{};
    std::deque<Append> queue_;
    std::size_t queue_bytes_ = 0;         // with what is being committed
    std::map<DeviceKey, LogId> cursors_;  // the highest of each device
    std::vector<Mark> marks_;
    std::map<DeviceKey, LogId> highest_mark_;  // of devices that may have marks in the database
    std::uint64_t asked_ = 0, settled_ = 0;
    std::vector<Waiter> waiters_;  // by rising number
    std::size_t in_flight_ = 0, last_group_ = 0;
    Clock::time_point oldest_in_flight_{};
    std::uint64_t high_water_ = 0;
    std::chrono::milliseconds delay_{0};  // before the next try; 0: the last one went well
    int busy_tries_ = 0;
    std::vector<Append> ended_;  // committed or failed, to be told
    std::size_t telling_ = 0;    // whose end is being told: until they know, they are not done with
    std::vector<Request*> resumed_, refused_;

    std::jthread thread_;
};

}  // namespace storage::sql
