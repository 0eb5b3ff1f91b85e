// SPDX-License-Identifier: MIT
// Asking another worker: the coroutine goes to that worker's thread through its mailbox, looks, and comes back with a
// value. Nothing that it looked at may be kept.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "server/server.h"
#include "storage/executor.h"
#include "storage/task.h"

namespace server::admin {

// The coroutine goes on on that executor's thread.
struct Hop {
    explicit Hop(storage::Executor& executor) : to{executor} {}
    storage::Executor& to;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> coroutine) const {
        to.post([coroutine] { coroutine.resume(); });
    }
    void await_resume() const noexcept {}
};

// visit(Worker&) on the worker's thread; its value, which must not be void, here.
template <class Visit>
storage::Task<std::invoke_result_t<Visit&, Worker&>> on_worker(Worker& worker, Visit visit) {
    storage::Executor& home = *storage::Executor::current();
    std::optional<std::invoke_result_t<Visit&, Worker&>> value;
    std::exception_ptr exception;
    Hop there{worker.loop};
    co_await there;
    try {
        value.emplace(visit(worker));
    } catch (...) {  // handed on at home, not swallowed
        exception = std::current_exception();
    }
    Hop back{home};
    co_await back;
    if (exception) std::rethrow_exception(exception);
    co_return std::move(*value);
}

// One after the other; their values in the order of the workers.
template <class Visit>
storage::Task<std::vector<std::invoke_result_t<Visit&, Worker&>>> on_every_worker(Server& server, Visit visit) {
    std::vector<std::invoke_result_t<Visit&, Worker&>> values;
    for (const auto& worker : server.workers()) {
        auto asking = on_worker(*worker, visit);
        values.push_back(co_await asking);
    }
    co_return std::move(values);
}

// The task's result, or nothing when it takes longer; it comes to its end by itself then. On that loop's thread.
template <class T>
storage::Task<std::optional<T>> within(net::Loop& loop, net::Duration time, storage::Task<T> task) {
    struct Race {
        std::optional<T> result;
        std::coroutine_handle<> waiting;
        net::Timer timer;
        void decide() {
            timer.cancel();
            if (const auto waiter = std::exchange(waiting, nullptr)) waiter.resume();
        }
    };
    struct Decided {
        Race& race;
        bool await_ready() const { return race.result.has_value(); }
        void await_suspend(std::coroutine_handle<> waiter) const { race.waiting = waiter; }
        void await_resume() const {}
    };
    const auto race = std::make_shared<Race>();
    race->timer.start(loop, time, [race = race.get()] { race->decide(); });
    storage::detach(
        [](storage::Task<T> running, std::shared_ptr<Race> its) -> storage::Task<void> {
            T result = co_await running;
            its->result.emplace(std::move(result));
            its->decide();
        }(std::move(task), race),
        [](const std::exception_ptr&) {});   // then the time runs out
    const Decided decided{*race};
    co_await decided;
    co_return std::move(race->result);
}

}  // namespace server::admin
