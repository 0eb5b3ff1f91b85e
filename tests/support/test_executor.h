// SPDX-License-Identifier: MIT
// The test's own thread as an Executor: runs what was posted until something is true.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "storage/executor.h"
#include "storage/task.h"

namespace tests {

class TestExecutor final : public storage::Executor {
public:
    TestExecutor() { set_current(this); }
    ~TestExecutor() override { set_current(nullptr); }
    TestExecutor(const TestExecutor&) = delete;
    TestExecutor& operator=(const TestExecutor&) = delete;

    void post(storage::Job job) override {
        const std::lock_guard lock{mutex_};
        jobs_.push_back(std::move(job));
        wake_.notify_one();  // under the lock: once it is free, the executor may be gone
    }

    // False when it did not become true in time.
    template <class Predicate>
    bool run_until(Predicate predicate, std::chrono::milliseconds deadline = std::chrono::seconds{60}) {
        const auto end = std::chrono::steady_clock::now() + deadline;
        while (!predicate()) {
            std::unique_lock lock{mutex_};
            if (!wake_.wait_until(lock, end, [this] { return !jobs_.empty(); })) return false;
            storage::Job job = std::move(jobs_.front());
            jobs_.pop_front();
            lock.unlock();
            job();
        }
        return true;
    }

    // The result of a task, waited for.
    template <class T>
    T run(storage::Task<T> task, std::chrono::milliseconds deadline = std::chrono::seconds{60}) {
        std::optional<T> result;
        std::exception_ptr exception;
        bool done = false;
        storage::detach(keep(std::move(task), result), [&](std::exception_ptr e) {
            exception = e;
            done = true;
        });
        if (!run_until([&] { return done; }, deadline))
            throw std::runtime_error{"a task did not end in time"};
        if (exception) std::rethrow_exception(exception);
        return std::move(*result);
    }

private:
    template <class T>
    static storage::Task<void> keep(storage::Task<T> task, std::optional<T>& result) {
        T value = co_await task;
        result.emplace(std::move(value));
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<storage::Job> jobs_;
};

}  // namespace tests
