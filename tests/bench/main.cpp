// SPDX-License-Identifier: MIT
// tern-bench: a load generator for any XMPP server. Start reading at crowd.h, then work_chat.cpp.
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <map>
#include <stdexcept>

#include "tests/bench/works.h"

int main(int count, char** arguments) {
    const std::map<std::string, void (*)(const bench::Options&)> works{
        {"register", bench::run_register}, {"befriend", bench::run_befriend}, {"idle", bench::run_idle},
        {"login", bench::run_login},       {"chat", bench::run_chat},         {"latency", bench::run_latency},
        {"presence", bench::run_presence}, {"offline", bench::run_offline},   {"storm", bench::run_storm},
        {"relay", bench::run_relay},       {"room", bench::run_room}};
    std::signal(SIGPIPE, SIG_IGN);
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    try {
        const bench::Options options = bench::read_options(count, arguments);
        const auto work = works.find(options.work);
        if (work == works.end()) throw std::invalid_argument{"unknown work: " + options.work};
        work->second(options);
        return 0;
    } catch (const std::invalid_argument& problem) {
        std::fprintf(stderr, "%s\n%s", problem.what(), bench::usage);
        return 2;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "tern-bench: %s\n", problem.what());
        return 1;
    }
}
