// SPDX-License-Identifier: MIT
// What the kernel knows of this process (/proc/self), for `tern status` and metrics. What cannot be read is 0.
#pragma once

#include <cstdint>

namespace server::admin {

struct ProcessUsage {
    std::uint64_t resident_bytes = 0;
    double cpu_seconds = 0;            // user and system, all threads
    std::uint64_t open_files = 0, most_files = 0;
    std::uint64_t threads = 0;
};
ProcessUsage process_usage();

}  // namespace server::admin
