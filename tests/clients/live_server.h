// SPDX-License-Identifier: MIT
// The real server for attacks and faults: `tern serve` with a directory and a database of its own and four
// people in it, and what the process costs while it is mistreated.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "tests/clients/tern_process.h"
#include "tests/support/temporary_directory.h"

namespace tests {

class LiveServer {
public:
    struct Options {
        TernProcess::Environment settings{};  // TERN_SECTION_KEY, value
        std::string storage_url{};            // empty: SQLite in the data directory
        std::function<void(const std::string& data)>
            prepare{};           // may make the data directory, or a link to one
        bool is_started = true;  // false: start() does it
    };
    // Accounts: romeo, juliet, benvolio, mercutio at localhost, with `password`; juliet's second device has
    // `second`.
    static constexpr const char* password = "secret";
    static constexpr const char* second = "another";

    explicit LiveServer(const std::string& binary) : LiveServer{binary, Options{}} {}
    LiveServer(const std::string& binary, Options options);

    void make_people() const;  // in a database that is not there when the server object is made
    void start();
    void kill_and_start_again();
    TernProcess& process() const { return *process_; }
    TernProcess& operator*() const { return *process_; }
    const std::string& directory() const { return directory_.path(); }
    std::string data() const { return directory_.path() + "/data"; }
    std::string sms_file() const { return directory_.path() + "/sms.jsonl"; }
    std::string log() const;  // also while it does not come up
    bool is_alive() const;

private:
    std::string binary_;
    TemporaryDirectory directory_;
    Options options_;
    std::unique_ptr<TernProcess> process_;
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr double instrumented = 10;  // what sanitizers add is not the server's
#else
inline constexpr double instrumented = 1;
#endif

// What a process has used of the machine since this object was made.
class Burden {
public:
    explicit Burden(pid_t process);
    double cpu_seconds() const;
    double megabytes() const;  // resident memory, more than at the start
    static std::size_t descriptors(pid_t process);
    static std::size_t sockets(pid_t process);  // of the descriptors; those of databases come and go

private:
    pid_t process_;
    double cpu_, resident_;
};

}  // namespace tests
