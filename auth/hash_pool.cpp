// SPDX-License-Identifier: MIT
// Threads that run derive_verifiers(), and the awaiter that brings the result back to the thread that asked.
#include "auth/hash_pool.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "auth/crypto.h"
#include "auth/sasl.h"
#include "storage/executor.h"

namespace auth {

namespace {

using Steady = std::chrono::steady_clock;

struct Work {
    std::string password, salt;
    std::uint32_t iterations = 0;
    std::optional<storage::Verifiers> result;
    std::coroutine_handle<> waiting;
    storage::Executor* executor = nullptr;
    Steady::time_point since;

    // The last touch of this thread: the coroutine that owns the Work may be gone when post() returns.
    void give_back() {
        executor->post([handle = waiting] { handle.resume(); });
    }
};

}  // namespace

struct HashPool::State {
    State(bool in_line, std::size_t most) : runs_inline{in_line}, most_waiting{most} {}

    const bool runs_inline;
    const std::size_t most_waiting;
    mutable std::mutex mutex;
    std::condition_variable wake;
    std::deque<Work*> queue;  // guarded by mutex, as are the two below; the coroutine frames own the Work
    std::uint64_t high_water = 0;
    bool stopping = false;
    std::vector<std::thread> threads;

    bool push(Work& work) {
        {
            const std::lock_guard lock{mutex};
            if (stopping || queue.size() >= most_waiting) return false;
            queue.push_back(&work);
            high_water = std::max<std::uint64_t>(high_water, queue.size());
        }
        wake.notify_one();
        return true;
    }

    void run() {
        std::unique_lock lock{mutex};
        while (true) {
            wake.wait(lock, [this] { return stopping || !queue.empty(); });
            if (stopping) return;
            Work& work = *queue.front();
            queue.pop_front();
            lock.unlock();
            work.result = derive_verifiers(work.password, work.salt, work.iterations);
            work.give_back();
            lock.lock();
        }
    }

    struct Awaiter {
        State& state;
        Work& work;
        bool await_ready() const noexcept { return false; }
        // false: too many wait; the coroutine goes on at once, without a result.
        bool await_suspend(std::coroutine_handle<> handle) {
            work.waiting = handle;
            return state.push(work);
        }
        void await_resume() const noexcept {}
    };
};

HashPool::HashPool(std::size_t threads, std::size_t waiting) : state_{std::make_unique<State>(threads == 0, waiting)} {
    for (std::size_t i = 0; i < threads; ++i)
        state_->threads.emplace_back([state = state_.get()] { state->run(); });
}

HashPool::~HashPool() { close(); }

void HashPool::close() {
    std::deque<Work*> unanswered;
    {
        const std::lock_guard lock{state_->mutex};
        state_->stopping = true;
        unanswered.swap(state_->queue);
    }
    state_->wake.notify_all();
    for (std::thread& thread : state_->threads)
        if (thread.joinable()) thread.join();
    for (Work* work : unanswered) work->give_back();
}

storage::Task<std::optional<storage::Verifiers>> HashPool::derive(std::string password, std::string salt,
                                                                  std::uint32_t iterations) {
    Work work;
    work.password = std::move(password);
    work.salt = std::move(salt);
    work.iterations = iterations;
    work.executor = storage::Executor::current();
    work.since = Steady::now();
    if (state_->runs_inline || work.executor == nullptr) {  // nowhere to come back to: hash here
        work.result = derive_verifiers(work.password, work.salt, work.iterations);
    } else {
        State::Awaiter hashed{*state_, work};
        co_await hashed;
    }
    wipe(work.password);
    co_return std::move(work.result);
}

storage::QueueDepth HashPool::depth() const {
    const std::lock_guard lock{state_->mutex};
    storage::QueueDepth depth;
    depth.name = "hash";
    depth.depth = state_->queue.size();
    depth.high_water = state_->high_water;
    if (!state_->queue.empty()) {
        depth.oldest = std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() -
                                                                             state_->queue.front()->since);
    }
    return depth;
}

}  // namespace auth
