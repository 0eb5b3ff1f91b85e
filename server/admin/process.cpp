// SPDX-License-Identifier: MIT
// Reads /proc/self and getrusage(2).
#include "server/admin/process.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include <sys/resource.h>
#include <unistd.h>

namespace server::admin {
namespace {

double seconds(const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; }

}  // namespace

ProcessUsage process_usage() {
    ProcessUsage usage;
    std::uint64_t pages = 0, resident = 0;
    if (std::ifstream memory{"/proc/self/statm"}; memory >> pages >> resident)
        usage.resident_bytes = resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));

    rusage used{};
    if (getrusage(RUSAGE_SELF, &used) == 0) usage.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) usage.most_files = files.rlim_cur;

    std::error_code error;
    for (std::filesystem::directory_iterator entry{"/proc/self/fd", error}, end; !error && entry != end; entry.increment(error)) ++usage.open_files;
    if (usage.open_files > 0) --usage.open_files;  // the one that was just used to count

    std::ifstream status{"/proc/self/status"};
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("Threads:")) usage.threads = std::stoull(line.substr(8));
    return usage;
}

}  // namespace server::admin
