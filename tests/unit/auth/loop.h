// SPDX-License-Identifier: MIT
// An Executor for tests that runs what is posted to it on the thread that waits, and tasks to their end.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>

#include "storage/executor.h"
#include "storage/task.h"

namespace auth_test {

class Loop final : public storage::Executor {
public:
    Loop() { set_current(this); }
    ~Loop() override { set_current(nullptr); }

    void post(storage::Job job) override {
        const std::lock_guard lock{mutex_};
        jobs_.push_back(std::move(job));
        wake_.notify_one();  // under the lock: the loop may be gone as soon as the waiter has seen the job
    }

    // Starts the task; its result appears in `into` when the loop has run far enough.
    template <class T>
    void start(storage::Task<T> task, std::optional<T>& into) {
        ++running_;
        storage::detach(store(std::move(task), into), [this](std::exception_ptr exception) {
            --running_;
            if (exception) failed_ = exception;
        });
    }

    void run_until_idle() {
        run_while([this] { return running_ > 0; });
    }

    // Until this one is done; others may still be on their way.
    template <class T>
    T run(storage::Task<T> task) {
        std::optional<T> result;
        start(std::move(task), result);
        run_while([&] { return !result && !failed_; });
        return std::move(result.value());
    }

private:
    template <class Condition>
    void run_while(Condition condition) {
        while (condition()) {
            storage::Job job;
            {
                std::unique_lock lock{mutex_};
                wake_.wait(lock, [this] { return !jobs_.empty(); });
                job = std::move(jobs_.front());
                jobs_.pop_front();
            }
            job();
        }
        if (failed_) std::rethrow_exception(std::exchange(failed_, nullptr));
    }

    template <class T>
    static storage::Task<void> store(storage::Task<T> task, std::optional<T>& into) {
        into.emplace(co_await task);
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<storage::Job> jobs_;  // guarded by mutex_
    int running_ = 0;                // the loop's thread only, as is failed_
    std::exception_ptr failed_;
};

}  // namespace auth_test
