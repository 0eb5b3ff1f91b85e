// SPDX-License-Identifier: MIT
// The door to the database for the interfaces of storage.h: `read`, `search`, `set` and `transact` take a piece of SQL
// to a thread that may block and come back with its result; `log` is the writer of the accounts' logs.
#pragma once

#include "storage/sql/group_commit.h"
#include "storage/sql/pool.h"

namespace storage::sql {

class Database {
public:
    // `first` is a connection that was made already; a database in memory is lost with it.
    Database(Options options, std::unique_ptr<Connector> connector, std::unique_ptr<Connection> first);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    // Whether what was given to the log before must be in the database first.
    enum class After : std::uint8_t { nothing, log };

    // Work is called with a Connection& and returns Result<T>; a failure takes everything back. It may run
    // several times, so it must not give its captures away.
    template <class T, class F>
    Task<Result<T>> read(F work, After after = After::nothing) {
        return ask<T>(Access::read, after, std::move(work));
    }
    template <class T, class F>
    Task<Result<T>> search(F work, After after = After::nothing) {
        return ask<T>(Access::search, after, std::move(work));
    }
    template <class T, class F>
    Task<Result<T>> set(F work) {
        return ask<T>(Access::set, After::nothing, std::move(work));
    }
    template <class T, class F>
    Task<Result<T>> transact(F work, After after = After::nothing) {
        return ask<T>(Access::transact, after, std::move(work));
    }

    void close();  // see Storage
    GroupCommit& log() { return *log_; }
    Dialect dialect() const { return connector_->dialect(); }
    std::vector<QueueDepth> queues() const;
    bool is_healthy() const { return health_.is_good(); }

private:
    template <class T, class F>
    class Question;
    template <class T, class F>
    Task<Result<T>> ask(Access access, After after, F work);

    bool submit(Request& request);  // false: refused, and it has its result
    void do_inline(Request& request);

    Options options_;
    std::unique_ptr<Connector> connector_;
    Health health_;
    std::unique_ptr<Seat> inline_seat_;
    std::unique_ptr<Pool> writers_, readers_;  // readers_ null: the writers read as well
    std::unique_ptr<GroupCommit> log_;
};

// One question on its way; it lives in the frame of ask() until it is answered.
template <class T, class F>
class Database::Question final : public Request {
public:
    Question(Database& database, Access how, After after, F& work)
        : Request{how}, database_{database}, after_{after}, work_{work} {}

    bool run(Connection& connection) override {
        Result<T> result = work_(connection);
        if (connection.failed()) return false;
        const bool keep = result.ok();
        result_.emplace(std::move(result));
        return keep;
    }
    std::optional<std::chrono::milliseconds> time_limit() const override {
        return access == Access::search ? std::optional{database_.options_.longest_search} : std::nullopt;
    }
    void fail(StorageError error) override { result_.emplace(Failure<StorageError>{std::move(error)}); }

    bool await_ready() {
        if (!database_.inline_seat_) return false;
        database_.do_inline(*this);
        return true;
    }
    bool await_suspend(std::coroutine_handle<> handle) {
        waiting = handle;
        executor = Executor::current();
        asked = Clock::now();
        deadline = asked + database_.options_.wait;
        if (after_ == After::log && database_.log_->resume_when_settled(*this)) return true;
        return database_.submit(*this);
    }
    Result<T> await_resume() { return std::move(*result_); }

private:
    Database& database_;
    After after_;
    const F& work_;
    std::optional<Result<T>> result_;
};

template <class T, class F>
Task<Result<T>> Database::ask(Access access, After after, F work) {
    Question<T, F> question{*this, access, after, work};
    Result<T> result = co_await question;
    co_return std::move(result);
}

}  // namespace storage::sql
