// SPDX-License-Identifier: MIT
// Task<T>: a coroutine that starts when awaited and resumes its awaiter when done. What can block runs elsewhere and is
// reached by co_await; the coroutine goes on on the thread it came from (Executor).
// g++ 12: keep `co_await` a statement of its own, and never build aggregates in the same full expression.
#pragma once

#include <cassert>
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace storage {

template <class T>
class Task;

namespace detail {

struct PromiseCommon {
    std::coroutine_handle<> awaiter = std::noop_coroutine();
    std::exception_ptr exception;

    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
        bool await_ready() noexcept { return false; }
        template <class P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) noexcept { return self.promise().awaiter; }
        void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void unhandled_exception() { exception = std::current_exception(); }
};

template <class T>
struct Promise : PromiseCommon {
    std::optional<T> value;
    Task<T> get_return_object();
    template <class U>
    void return_value(U&& result) { value.emplace(std::forward<U>(result)); }
    T take() {
        if (exception) std::rethrow_exception(exception);
        return std::move(*value);
    }
};

template <>
struct Promise<void> : PromiseCommon {
    Task<void> get_return_object();
    void return_void() {}
    void take() {
        if (exception) std::rethrow_exception(exception);
    }
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
public:
    using promise_type = detail::Promise<T>;
    explicit Task(std::coroutine_handle<promise_type> handle) : handle_{handle} {}
    Task(Task&& other) noexcept : handle_{std::exchange(other.handle_, nullptr)} {}
    Task& operator=(Task&& other) noexcept { std::swap(handle_, other.handle_); return *this; }
    ~Task() { if (handle_) handle_.destroy(); }

    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
        handle_.promise().awaiter = awaiter;
        return handle_;
    }
    T await_resume() { return handle_.promise().take(); }

private:
    std::coroutine_handle<promise_type> handle_;
};

template <class T>
Task<T> detail::Promise<T>::get_return_object() { return Task<T>{std::coroutine_handle<Promise>::from_promise(*this)}; }
inline Task<void> detail::Promise<void>::get_return_object() { return Task<void>{std::coroutine_handle<Promise>::from_promise(*this)}; }

namespace detail {
struct Detached {
    struct promise_type {
        Detached get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }  // detach() catches before this
    };
};
}  // namespace detail

// Starts a task and lets it run by itself. `done` is called with its exception or nullptr, on the thread that ends it.
template <class T, class Done>
detail::Detached detach(Task<T> task, Done done) {
    std::exception_ptr exception;
    try {
        co_await task;
    } catch (...) {  // handed on, not swallowed
        exception = std::current_exception();
    }
    done(exception);
}

}  // namespace storage
