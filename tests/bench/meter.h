// SPDX-License-Identifier: MIT
// What is measured: the processor time and memory of the server's processes, latencies, and the line that
// reports them.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/options.h"

namespace bench {

// A process and all that descend from it.
class ServerProcess {
public:
    explicit ServerProcess(const Options& options) : pid_{options.pid}, is_profiled_{options.is_profiled} {}
    double cpu_seconds() const;
    double anonymous_bytes() const;  // what it has of its own, without files it maps
    // Waits until it uses no time any more: work that goes on after the last answer counts as well.
    void wait_until_quiet() const;
    void profile(bool on) const;  // where it runs under callgrind

private:
    std::vector<int> processes() const;
    const int pid_;
    const bool is_profiled_;
};

double own_cpu_seconds();

// Counts by size, within 2 %.
class Latencies {
public:
    void add(std::chrono::nanoseconds latency);
    double milliseconds_at(double share) const;
    double worst_milliseconds() const { return static_cast<double>(worst_) / 1e6; }
    std::uint64_t count() const { return count_; }

private:
    static constexpr unsigned steps = 32;  // between two powers of two
    std::array<std::uint64_t, 64 * steps> counts_{};
    std::uint64_t count_ = 0, worst_ = 0;
};

// One line of JSON.
class Report {
public:
    Report& add(std::string_view name, double value);
    Report& add(std::string_view name, std::string_view value);
    Report& add(const Latencies& latencies);
    void print() const;

private:
    std::string fields_;
};

}  // namespace bench
