// SPDX-License-Identifier: MIT
// A database that fails on demand: SQLite behind a connection that is lost, locked, full or slow when a test
// says so.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>

#include "storage/sql/migrations.h"
#include "storage/sql/tables.h"
#include "storage/sqlite/connection.h"
#include "tests/support/comes_true.h"
#include "tests/unit/storage/backends.h"

namespace tests {

using ErrorKind = storage::sql::Error::Kind;

// What goes wrong. Any thread.
struct Faults {
    std::atomic<bool> is_down{false};  // no connection can be made, and those that are there are lost
    // Asked before each statement or COMMIT: an error to fail with instead. And after a COMMIT that went
    // through.
    std::function<std::optional<ErrorKind>(std::string_view sql)> before, after_commit;
    std::atomic<int> connects{0};

    // Statements that begin with this text wait until they are let through.
    void hold(std::string text) {
        const std::lock_guard lock{mutex_};
        held_ = std::move(text);
    }
    void let_through() {
        {
            const std::lock_guard lock{mutex_};
            held_.clear();
        }
        wake_.notify_all();
    }
    void wait_until_held(int count) {
        std::unique_lock lock{mutex_};
        wake_.wait(lock, [&] { return waiting_ >= count; });
    }
    void pass(std::string_view sql) {
        std::unique_lock lock{mutex_};
        if (held_.empty() || !sql.starts_with(held_)) return;
        ++waiting_;
        wake_.notify_all();
        wake_.wait(lock, [&] { return held_.empty(); });
        --waiting_;
    }

private:
    std::mutex mutex_;
    std::condition_variable wake_;
    std::string held_;
    int waiting_ = 0;
};

class FlakyConnection final : public storage::sql::Connection {
public:
    FlakyConnection(std::unique_ptr<Connection> inner, Faults& faults)
        : inner_{std::move(inner)}, faults_{faults} {}
    ~FlakyConnection() override { forget_statements(); }
    FlakyConnection(const FlakyConnection&) = delete;
    FlakyConnection& operator=(const FlakyConnection&) = delete;

    storage::sql::Dialect dialect() const override { return inner_->dialect(); }
    void execute(std::string_view sql) override {
        if (failed() || goes_wrong(sql)) return;
        inner_->execute(sql);
        propagate();
        if (sql != "COMMIT" || failed() || !faults_.after_commit) return;
        if (const auto kind = faults_.after_commit(sql)) lose(*kind);
    }
    std::uint64_t last_id() override { return inner_->last_id(); }
    std::string describe() override { return inner_->describe(); }
    void limit_time(std::optional<std::chrono::milliseconds> most) override { inner_->limit_time(most); }
    std::size_t largest_value() const override { return 4U << 20U; }
    bool in_transaction() const override { return !is_lost_ && inner_->in_transaction(); }

    bool goes_wrong(std::string_view sql) {
        faults_.pass(sql);
        if (faults_.is_down) {
            lose(ErrorKind::lost);
        } else if (faults_.before && sql != "ROLLBACK") {
            if (const auto kind = faults_.before(sql)) lose(*kind);
        }
        return failed();
    }
    void propagate() {
        if (auto error = inner_->take_error()) fail(std::move(*error));
    }
    Connection& inner() { return *inner_; }

protected:
    std::unique_ptr<storage::sql::Statement> prepare(std::string_view sql) override;

private:
    void lose(ErrorKind kind) {
        is_lost_ = kind == ErrorKind::lost;
        if (is_lost_ && inner_->in_transaction())
            inner_->rollback();  // as a server does for a client that is gone
        fail({kind, "a fault of the test"});
    }
    std::unique_ptr<Connection> inner_;
    Faults& faults_;
    bool is_lost_ = false;
};

class FlakyStatement final : public storage::sql::Statement {
public:
    FlakyStatement(FlakyConnection& connection, std::string_view sql) : connection_{connection}, sql_{sql} {}
    void start(std::span<const storage::sql::Value> values) override {
        if (connection_.goes_wrong(sql_)) return;
        if (sql_.starts_with("SELECT")) {
            rows_.emplace(connection_.inner().query(sql_, values));
        } else {
            affected_ = connection_.inner().change(sql_, values);
        }
        connection_.propagate();
    }
    bool next() override {
        const bool is_there = rows_ && rows_->next();
        connection_.propagate();
        return is_there;
    }
    bool is_null(int column) override { return rows_->is_null(column); }
    std::int64_t integer(int column) override { return rows_->integer(column); }
    std::string text(int column) override { return rows_->text(column); }
    std::uint64_t affected() override { return affected_; }
    void finish() override { rows_.reset(); }

private:
    FlakyConnection& connection_;
    const std::string sql_;
    std::optional<storage::sql::Rows> rows_;
    std::uint64_t affected_ = 0;
};

inline std::unique_ptr<storage::sql::Statement> FlakyConnection::prepare(std::string_view sql) {
    return std::make_unique<FlakyStatement>(*this, sql);
}

class FlakyConnector final : public storage::sql::Connector {
public:
    FlakyConnector(const std::string& path, Faults& faults)
        : inner_{storage::sqlite::make_connector({path, 0})}, faults_{faults} {}
    storage::sql::Dialect dialect() const override { return storage::sql::Dialect::sqlite; }
    std::string place() const override { return inner_->place(); }
    xmpp::Result<std::unique_ptr<storage::sql::Connection>, storage::sql::Error> connect(
        Purpose purpose) override {
        ++faults_.connects;
        if (faults_.is_down) return storage::Failure{storage::sql::Error{ErrorKind::unreachable, "down"}};
        auto connected = inner_->connect(purpose);
        if (!connected) return storage::Failure{connected.error()};
        return std::unique_ptr<storage::sql::Connection>{
            std::make_unique<FlakyConnection>(std::move(*connected), faults_)};
    }

private:
    std::unique_ptr<Connector> inner_;
    Faults& faults_;
};

// A database with faults, and the interfaces that the tests ask.
struct Flaky {
    explicit Flaky(storage::Options options = {}) {
        auto connector = std::make_unique<FlakyConnector>(directory.path() + "/tern.db", faults);
        auto connection = connector->connect(storage::sql::Connector::Purpose::write);
        if (auto error = storage::sql::migrate(**connection)) throw std::runtime_error{error->text};
        database = std::make_unique<storage::sql::Database>(std::move(options), std::move(connector),
                                                            std::move(*connection));
        accounts = storage::sql::make_accounts(*database);
        messages = storage::sql::make_messages(*database);
        vcards = storage::sql::make_vcards(*database);
    }
    template <class T>
    auto get(storage::Task<storage::Result<T>> task) {
        return must(executor.run(std::move(task)));
    }
    std::vector<LogId> ids(AccountId owner) { return ids_of(get(messages->read(owner, 0, 1000000))); }

    TemporaryDirectory directory;
    Faults faults;
    TestExecutor executor;
    std::unique_ptr<storage::sql::Database> database;
    std::unique_ptr<storage::Accounts> accounts;
    std::unique_ptr<storage::Messages> messages;
    std::unique_ptr<storage::Vcards> vcards;
};

}  // namespace tests
