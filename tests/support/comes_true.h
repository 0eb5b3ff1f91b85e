// SPDX-License-Identifier: MIT
// Waiting for what no event tells of.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace tests {

inline bool comes_true(const std::function<bool()>& condition, std::chrono::seconds wait = std::chrono::seconds{10}) {
    const auto until = std::chrono::steady_clock::now() + wait;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
    return true;
}

}  // namespace tests
