// SPDX-License-Identifier: MIT
// A MariaDB server of the test's own: its files in a temporary directory, on a port that was free. Gone with
// it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/support/temporary_directory.h"

namespace tests {

class MariaDb {
public:
    // Throws, and so fails the test, when mariadbd is not installed or does not start.
    explicit MariaDb(std::vector<std::string> more_arguments = {});
    ~MariaDb();
    MariaDb(const MariaDb&) = delete;
    MariaDb& operator=(const MariaDb&) = delete;

    static MariaDb& shared();  // one for the whole program

    std::string create_database();  // a new name each time
    void drop_database(const std::string& name);
    void execute(const std::string& database, const std::string& sql);
    std::string query(const std::string& database, const std::string& sql);  // the first value
    std::string url(const std::string& database) const;                      // of a user with a password
    std::uint16_t port() const { return port_; }

    void kill();     // as kill -9
    void restart();  // after kill(); waits until it answers
    void freeze();   // it keeps its connections and answers nothing
    void thaw();

    static constexpr const char* password = "s3cret:p@ss/word";

private:
    void start();
    void stop();

    const std::vector<std::string> more_arguments_;
    TemporaryDirectory directory_;
    std::uint16_t port_ = 0;
    pid_t pid_ = -1;
    int databases_ = 0;
};

}  // namespace tests
