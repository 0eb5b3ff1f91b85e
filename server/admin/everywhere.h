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

}  // namespace server::admin
