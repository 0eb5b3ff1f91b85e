// SPDX-License-Identifier: MIT
// The thin interface between the portable SQL and a database's own library: prepared statements, values,
// rows, errors. An error is kept: after the first one a connection does nothing more until it is taken, so
// that a piece of work reads straight from top to bottom and whoever runs it looks once, at its end.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "storage/storage.h"

namespace storage::sql {

enum class Dialect : std::uint8_t { sqlite, mysql };

struct Error {
    enum class Kind : std::uint8_t {
        unreachable,  // no connection could be made; also a database that only lets itself be read
        lost,         // the connection is gone, and what it was doing with it
        busy,         // deadlock or lock time-out: the whole transaction may be tried again
        full,
        duplicate,  // the key exists
        missing,    // the row that this one belongs to does not exist
        unfit,      // the values do not fit into their columns
        slow,       // it took longer than it may
        broken,
    };
    Error(Kind k, std::string t) : kind{k}, text{std::move(t)} {}
    // The statement's own fault: another row may well go in.
    bool is_of_the_row() const {
        return kind == Kind::duplicate || kind == Kind::missing || kind == Kind::unfit ||
               kind == Kind::broken;
    }
    Kind kind;
    std::string text;  // holds no values that users stored
};
StorageError to_storage_error(const Error& error);

// What goes into a BLOB, as opposed to text.
struct Bytes {
    explicit Bytes(std::string_view v) : view{v} {}
    std::string_view view;
};

// A parameter of a statement. Borrows its text.
class Value {
public:
    enum class Type : std::uint8_t { integer, text, bytes };
    template <std::integral I>
    Value(I number) : number_{clamp(number)} {}
    Value(Time time) : number_{time.time_since_epoch().count()} {}
    Value(std::string_view text) : type_{Type::text}, view_{text} {}
    Value(const std::string& text) : type_{Type::text}, view_{text} {}
    Value(const SharedText& text) : type_{Type::text}, view_{text.view()} {}
    Value(const char* text) : type_{Type::text}, view_{text} {}
    Value(Bytes bytes) : type_{Type::bytes}, view_{bytes.view} {}

    Type type() const { return type_; }
    std::int64_t number() const { return number_; }
    std::string_view view() const { return view_; }

private:
    template <std::integral I>
    static std::int64_t clamp(I number) {  // SQL integers end at 2^63-1
        constexpr auto most = std::numeric_limits<std::int64_t>::max();
        if constexpr (std::is_same_v<I, std::uint64_t>) {
            if (number > static_cast<std::uint64_t>(most)) return most;
        }
        return static_cast<std::int64_t>(number);
    }
    Type type_ = Type::integer;
    std::int64_t number_ = 0;
    std::string_view view_;
};

// A prepared statement; its connection keeps it for the next time.
class Statement {
public:
    virtual ~Statement() = default;
    virtual void start(std::span<const Value> values) = 0;  // binds and executes
    virtual bool next() = 0;                                // goes to the next row, if there is one
    virtual bool is_null(int column) = 0;
    virtual std::int64_t integer(int column) = 0;
    virtual std::string text(int column) = 0;  // text or bytes
    virtual std::uint64_t affected() = 0;      // rows matched by an UPDATE or DELETE
    virtual void finish() = 0;                 // lets go of rows and locks
};

// The rows of a running query.
class Rows {
public:
    explicit Rows(Statement* statement) : statement_{statement} {}
    Rows(Rows&& other) noexcept : statement_{std::exchange(other.statement_, nullptr)} {}
    Rows& operator=(Rows&&) = delete;
    ~Rows() {
        if (statement_) statement_->finish();
    }

    bool next() { return statement_ && statement_->next(); }
    bool is_null(int column) { return statement_->is_null(column); }
    std::int64_t integer(int column) { return statement_->integer(column); }
    std::uint64_t natural(int column) { return static_cast<std::uint64_t>(statement_->integer(column)); }
    bool flag(int column) { return statement_->integer(column) != 0; }
    Time time(int column) { return Time{std::chrono::microseconds{statement_->integer(column)}}; }
    std::string text(int column) { return statement_->text(column); }

private:
    Statement* statement_;
};

class Connection {
public:
    virtual ~Connection() = default;
    virtual Dialect dialect() const = 0;

    Rows query(std::string_view sql, std::initializer_list<Value> values = {}) {
        return query(sql, std::span{values.begin(), values.size()});
    }
    Rows query(std::string_view sql, std::span<const Value> values);
    // Executes what gives no rows; how many rows it matched.
    std::uint64_t change(std::string_view sql, std::initializer_list<Value> values = {}) {
        return change(sql, std::span{values.begin(), values.size()});
    }
    std::uint64_t change(std::string_view sql, std::span<const Value> values);
    virtual void execute(std::string_view sql) = 0;  // without preparing: transactions, schema, settings
    virtual std::uint64_t last_id() = 0;             // the serial number that the last INSERT of one row made

    void begin();
    void commit() { execute("COMMIT"); }
    void
    rollback();  // an error of its own means that the connection is of no use any more: it becomes `lost`

    bool failed() const { return error_.has_value(); }
    std::optional<Error> take_error() { return std::exchange(error_, std::nullopt); }
    void fail(Error error) {
        if (!error_) error_.emplace(std::move(error));
    }

    // Of each statement from now on; nullopt: as long as it takes.
    virtual void limit_time(std::optional<std::chrono::milliseconds> most) = 0;
    virtual std::string describe() = 0;             // engine and version
    virtual std::size_t largest_value() const = 0;  // bytes that one row may bring
    virtual bool in_transaction() const = 0;

protected:
    virtual std::unique_ptr<Statement> prepare(std::string_view sql) = 0;  // nullptr after fail()
    void forget_statements() { statements_.clear(); }

private:
    Statement* statement(std::string_view sql);
    std::unordered_map<std::string, std::unique_ptr<Statement>, xmpp::TextHash, std::equal_to<>> statements_;
    std::optional<Error> error_;
};

// How to reach the database.
class Connector {
public:
    enum class Purpose : std::uint8_t { write, read };
    virtual ~Connector() = default;
    virtual xmpp::Result<std::unique_ptr<Connection>, Error> connect(Purpose purpose) = 0;
    virtual Dialect dialect() const = 0;
    virtual std::string place() const = 0;            // for humans: where it is; never a password
    virtual bool is_single() const { return false; }  // a second connection would see another database
    virtual void thread_begins() {}                   // around every thread that uses connections
    virtual void thread_ends() {}
};

// A stored address was normal when it was stored: only its parts are looked for.
Jid stored_jid(std::string_view text);

}  // namespace storage::sql
