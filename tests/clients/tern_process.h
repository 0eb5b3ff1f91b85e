// SPDX-License-Identifier: MIT
// The real server as a process of its own, in a directory of its own, on whatever ports are free.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tests {

class TernProcess {
public:
    using Environment = std::vector<std::pair<std::string, std::string>>;
    // Starts `BINARY serve` in `directory` (data in `directory`/data) and waits until it listens. Throws
    // std::runtime_error with the server's log when it does not come up.
    TernProcess(const std::string& binary, std::string directory, const Environment& environment);
    ~TernProcess();
    TernProcess(const TernProcess&) = delete;
    TernProcess& operator=(const TernProcess&) = delete;

    struct Address { std::string host; std::uint16_t port = 0; };
    const Address& c2s() const { return c2s_; }
    const Address& direct_tls() const { return direct_tls_; }
    const Address& http() const { return http_; }
    const std::string& data() const { return data_; }
    pid_t pid() const { return pid_; }

    int stop();                       // SIGTERM; the exit code, or -1 when it had to be killed
    void kill();                      // as kill -9
    std::string log() const;
    std::vector<std::string> logged_errors() const;

private:
    void start(const std::string& binary, const Environment& environment);
    void wait_until_up();
    bool wait_for_exit(int milliseconds);
    [[noreturn]] void fail(const std::string& why);

    std::string directory_, data_;
    pid_t pid_ = -1;
    int exit_code_ = -1;
    Address c2s_, direct_tls_, http_;
};

}  // namespace tests
