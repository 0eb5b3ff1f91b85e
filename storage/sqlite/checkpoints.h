// SPDX-License-Identifier: MIT
// Moves what the write-ahead log holds into the database file, on a thread and a connection of its own, so that commits
// do not wait for it (https://sqlite.org/wal.html#ckpt). The log begins anew with a commit that finds all of it moved:
// the last pages, few by then, are moved by the committing thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

struct sqlite3;

namespace storage::sqlite {

class Checkpoints {
public:
    explicit Checkpoints(std::string path) : path_{std::move(path)} {}
    ~Checkpoints();
    Checkpoints(const Checkpoints&) = delete;
    Checkpoints& operator=(const Checkpoints&) = delete;

    // Hears of the commits of a connection that writes, on its thread. The connection goes before this does.
    void follow(sqlite3* writer);

private:
    static int on_commit(void* self, sqlite3* writer, const char* database, int pages);
    void committed(sqlite3* writer, int pages);
    bool is_running() noexcept;     // the thread; it is started when there is none
    void run();

    const std::string path_;
    std::mutex mutex_;              // guards what follows
    std::condition_variable wake_;
    unsigned log_ = 0;              // its number: how often it began anew
    int pages_ = 0;                 // in the log
    int moved_ = 0;                 // of these, from the first on
    int next_try_ = 0;              // of a committing thread: when the log has so many
    bool wanted_ = false, stopping_ = false;
    std::thread thread_;            // from the first time that there is enough to do
};

}  // namespace storage::sqlite
