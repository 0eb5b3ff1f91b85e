// SPDX-License-Identifier: MIT
// What goes on when the test says so.
#pragma once

#include <coroutine>
#include <deque>

namespace tests {

using Held = std::deque<std::coroutine_handle<>>;

// const Turn turn{held}; co_await turn;
struct Turn {
    Held& held;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiter) const { held.push_back(waiter); }
    void await_resume() const {}
};

}  // namespace tests
