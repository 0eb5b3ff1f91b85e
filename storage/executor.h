// SPDX-License-Identifier: MIT
// Where a coroutine goes on after something was done for it elsewhere: the event loop of the thread that asked.
// Every thread that awaits storage sets its Executor once; a worker's is its event loop.
#pragma once

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace storage {

// A move-only callable taking nothing, for handing work to another thread.
class Job {
public:
    Job() = default;
    template <class F>
        requires(!std::is_same_v<std::decay_t<F>, Job>)
    Job(F&& call) : call_{std::make_unique<Callable<std::decay_t<F>>>(std::forward<F>(call))} {}
    void operator()() { call_->run(); }
    explicit operator bool() const { return call_ != nullptr; }

private:
    struct Call {
        virtual ~Call() = default;
        virtual void run() = 0;
    };
    template <class F>
    struct Callable final : Call {
        explicit Callable(F f) : call{std::move(f)} {}
        void run() override { call(); }
        F call;
    };
    std::unique_ptr<Call> call_;
};

class Executor {
public:
    virtual ~Executor() = default;
    // Runs the job soon on the executor's own thread. Any thread may call; jobs of one caller keep their order.
    virtual void post(Job job) = 0;

    static Executor* current() { return current_; }  // of this thread, or nullptr
    static void set_current(Executor* executor) { current_ = executor; }

private:
    static inline thread_local Executor* current_ = nullptr;
};

}  // namespace storage
