// SPDX-License-Identifier: MIT
#include "tests/bench/meter.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace bench {

namespace {

// The fields of /proc/PID/stat after the name, which may contain anything: the first is field 3 of proc(5).
std::vector<std::string> stat_of(int pid) {
    std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
    std::string line;
    if (!std::getline(file, line) || line.rfind(')') == std::string::npos) return {};
    std::istringstream rest{line.substr(line.rfind(')') + 1)};
    std::vector<std::string> fields;
    for (std::string field; rest >> field;) fields.push_back(field);
    return fields;
}

}  // namespace

std::vector<int> ServerProcess::processes() const {
    std::multimap<int, int> children;
    DIR* const directory = ::opendir("/proc");
    while (const dirent* const entry = ::readdir(directory)) {
        const int pid = std::atoi(entry->d_name);
        if (pid <= 0) continue;
        if (const auto fields = stat_of(pid); fields.size() > 1)
            children.emplace(std::atoi(fields[1].c_str()), pid);
    }
    ::closedir(directory);
    std::vector<int> found{pid_};
    for (std::size_t i = 0; i < found.size(); ++i) {
        const auto [first, last] = children.equal_range(found[i]);
        for (auto child = first; child != last; ++child) found.push_back(child->second);
    }
    return found;
}

double ServerProcess::cpu_seconds() const {
    if (pid_ == 0) return 0;
    double ticks = 0;
    for (const int pid : processes())
        if (const auto fields = stat_of(pid); fields.size() > 12)
            ticks += std::atof(fields[11].c_str()) + std::atof(fields[12].c_str());
    return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double ServerProcess::anonymous_bytes() const {
    double kilobytes = 0;
    for (const int pid : processes()) {
        std::ifstream status{"/proc/" + std::to_string(pid) + "/status"};
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("RssAnon:")) kilobytes += std::atof(line.c_str() + 8);
    }
    return kilobytes * 1024;
}

void ServerProcess::wait_until_quiet() const {
    if (pid_ == 0) return;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    for (double before = -1, now = cpu_seconds();
         now - before > 0.02 && std::chrono::steady_clock::now() < end; now = cpu_seconds()) {
        before = now;
        std::this_thread::sleep_for(std::chrono::milliseconds{250});
    }
}

void ServerProcess::profile(bool on) const {
    if (!is_profiled_) return;
    const std::string command = std::string{"callgrind_control -i "} + (on ? "on " : "off ") +
                                std::to_string(pid_) + " >/dev/null 2>&1";
    if (std::system(command.c_str()) != 0) throw std::runtime_error{"callgrind_control failed"};
}

double own_cpu_seconds() {
    rusage usages{};
    ::getrusage(RUSAGE_SELF, &usages);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    return seconds(usages.ru_utime) + seconds(usages.ru_stime);
}

void Latencies::add(std::chrono::nanoseconds latency) {
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), steps));
    const auto power = static_cast<unsigned>(std::bit_width(value)) - 1;
    const auto step = static_cast<unsigned>(value >> (power - 5)) - steps;
    ++counts_[power * steps + step];
    ++count_;
    worst_ = std::max(worst_, value);
}

double Latencies::milliseconds_at(double share) const {
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    std::uint64_t seen = 0;
    for (unsigned i = 0; i < counts_.size(); ++i)
        if ((seen += counts_[i]) >= wanted && seen > 0)
            return std::ldexp(1.0 + (i % steps + 0.5) / steps, static_cast<int>(i / steps)) / 1e6;
    return 0;
}

Report& Report::add(std::string_view name, double value) {
    char text[40];
    std::snprintf(text, sizeof text, std::abs(value) >= 1000 ? "%.0f" : "%.4g", value);
    fields_.append(fields_.empty() ? "\"" : ", \"").append(name).append("\": ").append(text);
    return *this;
}

Report& Report::add(std::string_view name, std::string_view value) {
    fields_.append(fields_.empty() ? "\"" : ", \"").append(name).append("\": \"").append(value).append("\"");
    return *this;
}

Report& Report::add(const Latencies& latencies) {
    return add("p50_ms", latencies.milliseconds_at(0.5))
        .add("p99_ms", latencies.milliseconds_at(0.99))
        .add("p999_ms", latencies.milliseconds_at(0.999))
        .add("worst_ms", latencies.worst_milliseconds());
}

void Report::print() const { std::printf("{%s}\n", fields_.c_str()); }

}  // namespace bench
