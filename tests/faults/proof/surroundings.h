// SPDX-License-Identifier: MIT
// The server with what it stands on: a database, a disk. Only the thread that made it may touch it: the
// processes die with that thread.
#pragma once

#include <memory>
#include <string>

#include "tests/clients/tern_process.h"
#include "tests/faults/proof/device.h"
#include "tests/support/mariadb.h"
#include "tests/support/temporary_directory.h"

namespace tests {

// A disk in memory that can be made as small as what is on it.
class ShrinkingDisk {
public:
    ShrinkingDisk();
    ~ShrinkingDisk();
    ShrinkingDisk(const ShrinkingDisk&) = delete;
    ShrinkingDisk& operator=(const ShrinkingDisk&) = delete;

    bool is_mounted() const { return is_mounted_; }  // it needs root
    const std::string& path() const { return directory_.path(); }
    void shrink() const;
    void grow() const;

private:
    TemporaryDirectory directory_;
    bool is_mounted_;
};

class Surroundings {
public:
    Surroundings(const Plan& plan, bool wants_disk);

    void start();  // throws with the server's log when it does not come up
    void kill();
    void upgrade();  // the same program again, in the same process; throws when it does not come up
    int stop();      // SIGTERM; the exit code
    void freeze();
    void thaw();
    Incarnation incarnation() const;
    const TernProcess& process() const { return *process_; }

    MariaDb* database() const { return database_.get(); }
    const ShrinkingDisk* disk() const { return disk_.get(); }
    std::string log_file() const { return directory_.path() + "/log"; }

private:
    void make_accounts() const;

    const Plan& plan_;
    std::unique_ptr<MariaDb> database_;
    std::unique_ptr<ShrinkingDisk> disk_;
    TemporaryDirectory directory_;
    std::string storage_url_;
    std::unique_ptr<TernProcess> process_;
    std::uint32_t crashes_ = 0;
};

}  // namespace tests
