// SPDX-License-Identifier: MIT
// With checkpoints.cpp the only file that knows sqlite3.h. WAL with synchronous=FULL: a commit that has
// returned survives a power cut.
#include "storage/sqlite/connection.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <thread>

#include "storage/sqlite/checkpoints.h"

namespace storage::sqlite {

using sql::Error;
using sql::Value;

namespace {

constexpr int busy_milliseconds = 10000;
constexpr int steps_between_looks = 10000;   // of SQLite's machine: some 0.1 ms

Error::Kind kind_of(int extended_code) {
    switch (extended_code) {
        case SQLITE_CONSTRAINT_PRIMARYKEY:
        case SQLITE_CONSTRAINT_UNIQUE:
        case SQLITE_CONSTRAINT_ROWID: return Error::Kind::duplicate;
        case SQLITE_CONSTRAINT_FOREIGNKEY: return Error::Kind::missing;
        default: break;
    }
    switch (extended_code & 0xff) {
        case SQLITE_FULL: return Error::Kind::full;
        case SQLITE_BUSY:
        case SQLITE_LOCKED: return Error::Kind::busy;
        case SQLITE_INTERRUPT: return Error::Kind::slow;
        case SQLITE_IOERR: return Error::Kind::lost;  // the file is opened anew
        case SQLITE_CANTOPEN:
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH:
        case SQLITE_NOMEM: return Error::Kind::unreachable;
        case SQLITE_TOOBIG:
        case SQLITE_MISMATCH:
        case SQLITE_CONSTRAINT: return Error::Kind::unfit;
        default: return Error::Kind::broken;
    }
}

// SQLite's own texts name tables and columns, never values.
Error error_of(sqlite3* database, std::string_view doing) {
    return {kind_of(sqlite3_extended_errcode(database)), "SQLite: " + std::string{sqlite3_errmsg(database)} +
                                                             " (" + std::string{doing.substr(0, 60)} + ")"};
}

class SqliteConnection;

class SqliteStatement final : public sql::Statement {
public:
    SqliteStatement(SqliteConnection& connection, sqlite3_stmt* statement)
        : connection_{connection}, statement_{statement} {}
    ~SqliteStatement() override { sqlite3_finalize(statement_); }
    SqliteStatement(const SqliteStatement&) = delete;
    SqliteStatement& operator=(const SqliteStatement&) = delete;

    void start(std::span<const Value> values) override;
    bool next() override;
    bool is_null(int column) override { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
    std::int64_t integer(int column) override { return sqlite3_column_int64(statement_, column); }
    std::string text(int column) override {
        const void* const bytes = sqlite3_column_blob(statement_, column);  // first: it may convert
        const int size = sqlite3_column_bytes(statement_, column);
        return bytes ? std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size))
                     : std::string{};
    }
    std::uint64_t affected() override;
    void finish() override {
        sqlite3_reset(statement_);  // repeats the error of the step before, which is known
        sqlite3_clear_bindings(statement_);
    }

private:
    SqliteConnection& connection_;
    sqlite3_stmt* statement_;
};

class SqliteConnection final : public sql::Connection {
public:
    explicit SqliteConnection(sqlite3* database) : database_{database} {}
    ~SqliteConnection() override {
        forget_statements();
        sqlite3_close_v2(database_);
    }
    SqliteConnection(const SqliteConnection&) = delete;
    SqliteConnection& operator=(const SqliteConnection&) = delete;

    sql::Dialect dialect() const override { return sql::Dialect::sqlite; }
    void execute(std::string_view text) override {
        if (failed()) return;
        if (sqlite3_exec(database_, std::string{text}.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
            fail_with(text);
    }
    std::uint64_t last_id() override {
        return static_cast<std::uint64_t>(sqlite3_last_insert_rowid(database_));
    }
    void limit_time(std::optional<std::chrono::milliseconds> most) override {
        limit_ = most;
        statement_begins();
        sqlite3_progress_handler(database_, most ? steps_between_looks : 0, most ? &SqliteConnection::is_over : nullptr, this);
    }
    void statement_begins() {
        if (limit_) until_ = std::chrono::steady_clock::now() + *limit_;
    }
    std::string describe() override { return std::string{"SQLite "} + sqlite3_libversion(); }
    std::size_t largest_value() const override { return 256U << 20U; }
    bool in_transaction() const override { return sqlite3_get_autocommit(database_) == 0; }

    void fail_with(std::string_view doing) { fail(error_of(database_, doing)); }
    sqlite3* database() const { return database_; }

protected:
    std::unique_ptr<sql::Statement> prepare(std::string_view text) override {
        sqlite3_stmt* statement = nullptr;
        if (sqlite3_prepare_v3(database_, text.data(), static_cast<int>(text.size()),
                               SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK) {
            fail_with(text);
            return nullptr;
        }
        return std::make_unique<SqliteStatement>(*this, statement);
    }

private:
    static int is_over(void* self) { return std::chrono::steady_clock::now() > static_cast<SqliteConnection*>(self)->until_ ? 1 : 0; }

    sqlite3* database_;
    std::optional<std::chrono::milliseconds> limit_;
    std::chrono::steady_clock::time_point until_{};   // of the statement that runs, if there is a limit
};

void SqliteStatement::start(std::span<const Value> values) {
    connection_.statement_begins();
    assert(static_cast<int>(values.size()) == sqlite3_bind_parameter_count(statement_));
    int index = 0;
    bool is_bound = true;
    // The values of a change are needed until it is done, below; those of a query while its rows are read.
    const bool is_query = sqlite3_column_count(statement_) > 0;
    const sqlite3_destructor_type keep = is_query ? SQLITE_TRANSIENT : SQLITE_STATIC;
    for (const Value& value : values) {
        ++index;
        const char* const data =
            value.view().data() ? value.view().data() : "";  // a null pointer would be NULL
        const auto size = static_cast<sqlite3_uint64>(value.view().size());
        int code = SQLITE_OK;
        switch (value.type()) {
            case Value::Type::integer: code = sqlite3_bind_int64(statement_, index, value.number()); break;
            case Value::Type::text:
                code = sqlite3_bind_text64(statement_, index, data, size, keep, SQLITE_UTF8);
                break;
            case Value::Type::bytes: code = sqlite3_bind_blob64(statement_, index, data, size, keep); break;
        }
        is_bound = is_bound && code == SQLITE_OK;
    }
    if (!is_bound) return connection_.fail_with(sqlite3_sql(statement_));
    // A query runs when its first row is asked for, a change at once.
    if (!is_query && sqlite3_step(statement_) != SQLITE_DONE) {
        connection_.fail_with(sqlite3_sql(statement_));
    }
}

bool SqliteStatement::next() {
    if (connection_.failed()) return false;
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code != SQLITE_DONE) connection_.fail_with(sqlite3_sql(statement_));
    return false;
}

std::uint64_t SqliteStatement::affected() {
    return static_cast<std::uint64_t>(sqlite3_changes64(connection_.database()));
}

class SqliteConnector final : public sql::Connector {
public:
    explicit SqliteConnector(Settings settings) : settings_{std::move(settings)}, checkpoints_{settings_.path} {}
    sql::Dialect dialect() const override { return sql::Dialect::sqlite; }
    bool is_single() const override { return settings_.path == ":memory:"; }
    std::string place() const override { return is_single() ? "memory" : settings_.path; }

    xmpp::Result<std::unique_ptr<sql::Connection>, Error> connect(Purpose purpose) override {
        if (!is_single()) make_file();
        sqlite3* database = nullptr;
        const int flags =
            SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
        if (sqlite3_open_v2(settings_.path.c_str(), &database, flags, nullptr) != SQLITE_OK) {
            Error error = database ? error_of(database, settings_.path)
                                   : Error{Error::Kind::unreachable, "SQLite: no memory"};
            error.kind = Error::Kind::unreachable;
            sqlite3_close_v2(database);
            return Failure<Error>{std::move(error)};
        }
        auto connection = std::make_unique<SqliteConnection>(database);
        sqlite3_busy_timeout(database, busy_milliseconds);
        if (!is_single()) switch_to_wal(*connection);
        connection->execute("PRAGMA synchronous = FULL");
        connection->execute("PRAGMA foreign_keys = ON");
        connection->execute("PRAGMA temp_store = MEMORY");
        // A writer changes pages all over: with 2 MB it wrote some of them several times in one commit. For readers the
        // system's cache does as well.
        connection->execute(purpose == Purpose::write ? "PRAGMA cache_size = -8000"
                                                      : "PRAGMA cache_size = -256");
        if (purpose == Purpose::write && !is_single()) checkpoints_.follow(database);
        if (settings_.most_pages > 0) {
            connection->execute("PRAGMA max_page_count = " + std::to_string(settings_.most_pages));
        }
        if (purpose == Purpose::read && !is_single()) connection->execute("PRAGMA query_only = ON");
        if (auto error = connection->take_error()) {
            if (error->kind == Error::Kind::lost || error->kind == Error::Kind::busy)
                error->kind = Error::Kind::unreachable;
            return Failure<Error>{std::move(*error)};
        }
        return std::unique_ptr<sql::Connection>{std::move(connection)};
    }

private:
    // It holds what logs people in: for the server's user alone. SQLite gives its other files the same mode. One that is
    // there is not touched: closing it would let go of all locks that this process holds on it, whichever connection
    // took them (https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
    void make_file() const {
        static std::mutex making;   // who finds it there may lock it: not before it is closed here
        const std::lock_guard lock{making};
        const int file = ::open(settings_.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file >= 0) ::close(file);
    }

    // Needs the file for itself for a moment, and does not wait for it as everything else does (busy_timeout).
    static void switch_to_wal(SqliteConnection& connection) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds{busy_milliseconds};
        for (;;) {
            connection.execute("PRAGMA journal_mode = WAL");
            auto error = connection.take_error();
            if (!error) return;
            if (error->kind != Error::Kind::busy || std::chrono::steady_clock::now() > until) return connection.fail(std::move(*error));
            std::this_thread::sleep_for(std::chrono::milliseconds{5});
        }
    }

    const Settings settings_;
    Checkpoints checkpoints_;
};

}  // namespace

std::unique_ptr<sql::Connector> make_connector(Settings settings) {
    return std::make_unique<SqliteConnector>(std::move(settings));
}

}  // namespace storage::sqlite
