// SPDX-License-Identifier: MIT
// By passive checkpoints alone: they wait for nobody and keep nobody waiting (https://sqlite.org/c3ref/wal_checkpoint_v2.html).
#include "storage/sqlite/checkpoints.h"

#include <sqlite3.h>

#include <exception>
#include <limits>

namespace storage::sqlite {

namespace {

// Pages of the log. The thread begins at `enough` and goes on until `little` is left. A committing thread moves as little
// itself, or whatever there is when the thread does not keep up, or readers hold on to an older state.
constexpr int enough = 1000, little = 100, too_many = 16000;

// How many pages of the log are in the database file then. -1: it failed, or another thread is at it.
int move(sqlite3* database) {
    int in_log = 0, moved = 0;
    const int code = sqlite3_wal_checkpoint_v2(database, nullptr, SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved);
    return code == SQLITE_OK ? moved : -1;
}

}  // namespace

Checkpoints::~Checkpoints() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void Checkpoints::follow(sqlite3* writer) { sqlite3_wal_hook(writer, &Checkpoints::on_commit, this); }

int Checkpoints::on_commit(void* self, sqlite3* writer, const char*, int pages) {
    static_cast<Checkpoints*>(self)->committed(writer, pages);
    return SQLITE_OK;   // it has been committed, whatever becomes of this
}

void Checkpoints::committed(sqlite3* writer, int pages) {
    std::unique_lock lock{mutex_};
    if (pages < pages_) {
        ++log_;
        moved_ = next_try_ = 0;
    }
    pages_ = pages;
    const int left = pages - moved_;
    if (pages < enough || stopping_) return;
    if ((left <= little || pages >= too_many) && pages >= next_try_) {
        next_try_ = pages + enough;
        const unsigned log = log_;
        lock.unlock();
        const int moved = move(writer);
        lock.lock();
        if (moved >= 0 && log == log_) moved_ = moved;
    } else if (left >= enough && !wanted_) {
        wanted_ = is_running();
        wake_.notify_one();
    }
}

// No exception may leave: SQLite is what calls. Without a thread the next commit tries again, and in the end moves pages
// itself.
bool Checkpoints::is_running() noexcept {
    if (thread_.joinable()) return true;
    try {
        thread_ = std::thread{[this] { run(); }};
    } catch (const std::exception&) {   // too many threads, or no memory
        return false;
    }
    return true;
}

void Checkpoints::run() {
    sqlite3* database = nullptr;
    const bool is_open = sqlite3_open_v2(path_.c_str(), &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr) == SQLITE_OK &&
                         sqlite3_exec(database, "PRAGMA synchronous = FULL", nullptr, nullptr, nullptr) == SQLITE_OK;
    std::unique_lock lock{mutex_};
    for (;;) {
        wake_.wait(lock, [this] { return wanted_ || stopping_; });
        if (stopping_) break;
        // What is committed while it moves pages is less than what it moves: it gains on the writers, or leaves it.
        int before = std::numeric_limits<int>::max();
        for (int left = pages_ - moved_; is_open && left > little && left < before; left = pages_ - moved_) {
            before = left;
            const unsigned log = log_;
            lock.unlock();
            const int moved = move(database);
            lock.lock();
            if (moved < 0 || log != log_ || stopping_) break;
            moved_ = moved;
        }
        wanted_ = false;
    }
    lock.unlock();
    sqlite3_close_v2(database);
}

}  // namespace storage::sqlite
