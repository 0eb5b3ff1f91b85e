// SPDX-License-Identifier: MIT
// MySQL Connector/C++ 1.1: the only file that knows cppconn. Its commit(), rollback() and setAutoCommit()
// discard errors, so transactions are SQL text; its streams are consumed by the first try, so all values are
// strings.
#include "storage/mysql/connection.h"

#include <cppconn/connection.h>
#include <cppconn/driver.h>
#include <cppconn/exception.h>
#include <cppconn/prepared_statement.h>
#include <cppconn/resultset.h>
#include <cppconn/statement.h>

#include "storage/mysql/errors.h"

namespace storage::mysql {

using sql::Error;
using sql::Value;

namespace {

::sql::SQLString to_sql(std::string_view text) { return {text.data() ? text.data() : "", text.size()}; }

class MysqlConnection;

class MysqlStatement final : public sql::Statement {
public:
    MysqlStatement(MysqlConnection& connection, std::string_view text,
                   std::unique_ptr<::sql::PreparedStatement> prepared)
        : connection_{connection},
          text_{text.substr(0, 60)},
          is_query_{text.starts_with("SELECT")},
          prepared_{std::move(prepared)} {}

    void start(std::span<const Value> values) override;
    bool next() override;
    bool is_null(int column) override;
    std::int64_t integer(int column) override;
    std::string text(int column) override;
    std::uint64_t affected() override { return affected_; }
    void finish() override { rows_.reset(); }

private:
    MysqlConnection& connection_;
    const std::string text_;
    const bool is_query_;
    std::unique_ptr<::sql::PreparedStatement> prepared_;
    std::unique_ptr<::sql::ResultSet> rows_;
    std::uint64_t affected_ = 0;
};

class MysqlConnection final : public sql::Connection {
public:
    explicit MysqlConnection(std::unique_ptr<::sql::Connection> connection)
        : connection_{std::move(connection)} {}
    ~MysqlConnection() override { forget_statements(); }  // before their connection
    MysqlConnection(const MysqlConnection&) = delete;
    MysqlConnection& operator=(const MysqlConnection&) = delete;

    sql::Dialect dialect() const override { return sql::Dialect::mysql; }
    void execute(std::string_view text) override {
        if (failed()) return;
        guard(text, [&] {
            const std::unique_ptr<::sql::Statement> statement{connection_->createStatement()};
            statement->execute(to_sql(text));
            if (text == "START TRANSACTION") in_transaction_ = true;
            if (text == "COMMIT" || text == "ROLLBACK") in_transaction_ = false;
        });
    }
    std::uint64_t last_id() override {
        sql::Rows rows = query("SELECT LAST_INSERT_ID()");
        return rows.next() ? rows.natural(0) : 0;
    }
    void limit_time(std::optional<std::chrono::milliseconds> most) override {
        const auto milliseconds = most.value_or(std::chrono::milliseconds{0}).count();   // 0: no limit
        if (is_mariadb_) execute("SET SESSION max_statement_time = " + std::to_string(static_cast<double>(milliseconds) / 1000));
        else execute("SET SESSION max_execution_time = " + std::to_string(milliseconds));
    }
    std::string describe() override {
        sql::Rows rows = query("SELECT VERSION()");
        const std::string version = rows.next() ? rows.text(0) : "?";
        return (version.find("MariaDB") == std::string::npos ? "MySQL " : "") + version;
    }
    std::size_t largest_value() const override { return largest_value_; }
    bool in_transaction() const override { return in_transaction_; }

    // How every session is set up, whatever the server's configuration says.
    void prepare_session(bool must_be_encrypted) {
        execute("SET NAMES utf8mb4 COLLATE utf8mb4_bin");
        execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'");
        execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
        execute("SET SESSION innodb_lock_wait_timeout = 5");
        execute("SET SESSION autocommit = 1");
        is_mariadb_ = !describe().starts_with("MySQL ");
        if (must_be_encrypted) check_encryption();
        sql::Rows rows = query("SELECT @@max_allowed_packet");
        if (rows.next())
            largest_value_ = rows.natural(0) - std::min<std::uint64_t>(rows.natural(0) / 2, 65536);
    }

    template <class Call>
    void guard(std::string_view doing, Call call) {
        try {
            call();
        } catch (const ::sql::SQLException& exception) {
            fail(error_of(exception.getErrorCode(), exception.getSQLState(), exception.what(), doing));
            if (is_lost(exception.getErrorCode())) in_transaction_ = false;
        }
    }

protected:
    std::unique_ptr<sql::Statement> prepare(std::string_view text) override {
        std::unique_ptr<sql::Statement> statement;
        guard(text, [&] {
            std::unique_ptr<::sql::PreparedStatement> prepared{connection_->prepareStatement(to_sql(text))};
            statement = std::make_unique<MysqlStatement>(*this, text, std::move(prepared));
        });
        return statement;
    }

private:
    // An option that the library does not know is ignored without a word, so that the result is what counts.
    void check_encryption() {
        guard("TLS", [&] {
            const std::unique_ptr<::sql::Statement> statement{connection_->createStatement()};
            const std::unique_ptr<::sql::ResultSet> rows{
                statement->executeQuery("SHOW SESSION STATUS LIKE 'Ssl_version'")};
            if (rows->next() && rows->getString(2).length() > 0) return;
            fail({Error::Kind::unreachable,
                  "MySQL: the connection is not encrypted, though the storage url demands it"});
        });
    }

    std::unique_ptr<::sql::Connection> connection_;
    std::size_t largest_value_ = 1U << 20U;
    bool in_transaction_ = false;
    bool is_mariadb_ = false;
};

void MysqlStatement::start(std::span<const Value> values) {
    connection_.guard(text_, [&] {
        unsigned index = 0;
        for (const Value& value : values) {
            ++index;
            if (value.type() == Value::Type::integer) {
                prepared_->setInt64(index, value.number());
            } else {
                prepared_->setString(index, to_sql(value.view()));
            }
        }
        if (is_query_) {
            rows_.reset(prepared_->executeQuery());
        } else {
            affected_ = static_cast<std::uint64_t>(std::max(prepared_->executeUpdate(), 0));
        }
    });
}

bool MysqlStatement::next() {
    bool is_there = false;
    if (!connection_.failed() && rows_) connection_.guard(text_, [&] { is_there = rows_->next(); });
    return is_there;
}

bool MysqlStatement::is_null(int column) {
    bool result = true;
    connection_.guard(text_, [&] { result = rows_->isNull(static_cast<unsigned>(column) + 1); });
    return result;
}

std::int64_t MysqlStatement::integer(int column) {
    std::int64_t result = 0;
    connection_.guard(text_, [&] { result = rows_->getInt64(static_cast<unsigned>(column) + 1); });
    return result;
}

std::string MysqlStatement::text(int column) {
    std::string result;
    connection_.guard(text_,
                      [&] { result = rows_->getString(static_cast<unsigned>(column) + 1).asStdString(); });
    return result;
}

class MysqlConnector final : public sql::Connector {
public:
    explicit MysqlConnector(Settings settings) : settings_{std::move(settings)} {
        static ::sql::Driver* const driver = get_driver_instance();  // its own map of drivers has no lock
        driver_ = driver;
    }
    sql::Dialect dialect() const override { return sql::Dialect::mysql; }
    std::string place() const override {
        const std::string where = settings_.socket.empty()
                                      ? settings_.host + ":" + std::to_string(settings_.port)
                                      : settings_.socket;
        return settings_.database + " at " + where;
    }
    void thread_begins() override { driver_->threadInit(); }
    void thread_ends() override { driver_->threadEnd(); }

    xmpp::Result<std::unique_ptr<sql::Connection>, Error> connect(Purpose) override {
        try {
            auto options = connect_options();
            std::unique_ptr<::sql::Connection> connected{driver_->connect(options)};
            auto connection = std::make_unique<MysqlConnection>(std::move(connected));
            connection->prepare_session(settings_.ssl);
            if (auto error = connection->take_error()) {
                error->kind = Error::Kind::unreachable;
                return Failure<Error>{std::move(*error)};
            }
            return std::unique_ptr<sql::Connection>{std::move(connection)};
        } catch (const ::sql::SQLException& exception) {
            Error error =
                error_of(exception.getErrorCode(), exception.getSQLState(), exception.what(), "connecting");
            error.kind = Error::Kind::unreachable;
            return Failure<Error>{std::move(error)};
        }
    }

private:
    ::sql::ConnectOptionsMap connect_options() const {
        ::sql::ConnectOptionsMap options;
        const bool is_v6 = settings_.host.find(':') != std::string::npos;
        const std::string host = is_v6 ? "[" + settings_.host + "]" : settings_.host;
        options["hostName"] = settings_.socket.empty()
                                  ? to_sql("tcp://" + host + ":" + std::to_string(settings_.port))
                                  : to_sql("unix://" + settings_.socket);
        options["userName"] = to_sql(settings_.user);
        options["password"] = to_sql(settings_.password);
        options["schema"] = to_sql(settings_.database);
        options["OPT_CHARSET_NAME"] = to_sql("utf8mb4");
        options["OPT_CONNECT_TIMEOUT"] = settings_.connect_seconds;
        options["OPT_READ_TIMEOUT"] = settings_.answer_seconds;
        options["OPT_WRITE_TIMEOUT"] = settings_.answer_seconds;
        options["OPT_RECONNECT"] = false;     // it would swap sessions inside transactions
        options["CLIENT_FOUND_ROWS"] = true;  // count rows that matched, not those that an UPDATE changed
        options["CLIENT_MULTI_STATEMENTS"] = false;
        if (settings_.ssl) options["sslEnforce"] = true;
        if (!settings_.ssl_ca.empty()) {
            options["sslCA"] = to_sql(settings_.ssl_ca);
            options["sslVerify"] = settings_.ssl_verify;
        }
        return options;
    }

    const Settings settings_;
    ::sql::Driver* driver_;
};

}  // namespace

std::unique_ptr<sql::Connector> make_connector(Settings settings) {
    return std::make_unique<MysqlConnector>(std::move(settings));
}

}  // namespace storage::mysql
