// SPDX-License-Identifier: MIT
// Opening: the storage URL, the schema, a database that is down, and what no text may give away.
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>

#include "storage/mysql/errors.h"
#include "storage/sql/migrations.h"
#include "storage/url.h"
#include "tests/unit/storage/backends.h"

using namespace tests;

namespace {

StorageError open_error(std::string url) {
    storage::Options options;
    options.url = std::move(url);
    auto opened = storage::open(options);
    REQUIRE_FALSE(opened.ok());
    return opened.error();
}

// A connection past the storage.
struct Direct {
    explicit Direct(const storage::Options& options) {
        const auto place = *storage::parse_url(options.url);
        connector = std::holds_alternative<storage::mysql::Settings>(place)
                        ? storage::mysql::make_connector(std::get<storage::mysql::Settings>(place))
                        : storage::sqlite::make_connector(std::get<storage::sqlite::Settings>(place));
        connection = std::move(*connector->connect(storage::sql::Connector::Purpose::write));
    }
    storage::sql::Connection* operator->() const { return connection.get(); }

    std::unique_ptr<storage::sql::Connector> connector;
    std::unique_ptr<storage::sql::Connection> connection;
};

}  // namespace

TEST_CASE("storage URLs are understood") {
    const auto sqlite = [](std::string_view url) {
        return std::get<storage::sqlite::Settings>(*storage::parse_url(url));
    };
    CHECK(sqlite("sqlite:data/tern.db").path == "data/tern.db");
    CHECK(sqlite("sqlite:/var/lib/tern.db").path == "/var/lib/tern.db");
    CHECK(sqlite("sqlite:///var/lib/tern.db").path == "/var/lib/tern.db");
    CHECK(sqlite("sqlite::memory:").path == ":memory:");
    CHECK(sqlite("sqlite:a.db?max_pages=77").most_pages == 77);

    const auto mysql = [](std::string_view url) {
        return std::get<storage::mysql::Settings>(*storage::parse_url(url));
    };
    const auto full = mysql(
        "mysql://te%40rn:p%3A%2F%3Fw@db.example:3307/tern?ssl-ca=/etc/"
        "ca.pem&ssl-verify=false&answer-timeout=7");
    CHECK(full.user == "te@rn");
    CHECK(full.password == "p:/?w");
    CHECK(full.host == "db.example");
    CHECK(full.port == 3307);
    CHECK(full.database == "tern");
    CHECK(full.ssl);
    CHECK(full.ssl_ca == "/etc/ca.pem");
    CHECK_FALSE(full.ssl_verify);
    CHECK(full.answer_seconds == 7);
    CHECK(mysql("mysql://u@h/d").port == 3306);
    CHECK(mysql("mysql://u@h/d").password.empty());
    CHECK(mysql("mysql://u:p@ss@h/d").password == "p@ss");
    CHECK(mysql("mysql://u:p@[::1]:3310/d").host == "::1");
    CHECK(mysql("mysql://u:p@[::1]:3310/d").port == 3310);
    CHECK(mysql("mysql://u@/d?socket=/run/mysqld/mysqld.sock").socket == "/run/mysqld/mysqld.sock");
}

TEST_CASE("a storage URL that cannot be understood is refused without repeating it") {
    for (const char* url : {"",
                            "s3cret",
                            "postgres://u:s3cret@h/d",
                            "sqlite:",
                            "sqlite:a.db?s3cret=1",
                            "sqlite:a.db?max_pages=x",
                            "mysql://u:s3cret@h",
                            "mysql://u:s3cret@h/",
                            "mysql://s3cret/d",
                            "mysql://u:s3cret@/d",
                            "mysql://:s3cret@h/d",
                            "mysql://u:s3cret%4@h/d",
                            "mysql://u:s3cret%zz@h/d",
                            "mysql://u:s3cret@h:0/d",
                            "mysql://u:s3cret@h:99999/d",
                            "mysql://u:s3cret@h:/d",
                            "mysql://u:s3cret@[::1/d",
                            "mysql://u:s3cret@h/d?ssl",
                            "mysql://u:s3cret@h/d?ssl=yes",
                            "mysql://u:s3cret@h/d?unknown=1",
                            "mysql://u:s3cret@h/d?answer-timeout=0"}) {
        INFO(url);
        const auto parsed = storage::parse_url(url);
        REQUIRE_FALSE(parsed.ok());
        CHECK(parsed.error().starts_with("storage url: "));
        if (std::string_view{url}.find("?s3cret") == std::string_view::npos) {
            CHECK(parsed.error().find("s3cret") == std::string::npos);
        }
    }
    CHECK(open_error("nonsense").kind == Kind::broken);
}

TEST_CASE("a database that cannot be reached is unavailable, and its password stays secret") {
    CHECK(open_error("sqlite:/no/such/folder/tern.db").kind == Kind::unavailable);
    for (const char* url : {"mysql://u:s3cret@127.0.0.1:1/d", "mysql://u:s3cret@/d?socket=/no/such/socket"}) {
        const StorageError error = open_error(url);
        CHECK(error.kind == Kind::unavailable);
        CHECK(error.text.find("s3cret") == std::string::npos);
    }
}

TEST_CASE("a server that refuses the login, has no such database or no TLS is unavailable", "[mariadb]") {
    const std::string port = std::to_string(MariaDb::shared().port());
    for (const std::string& url :
         {"mysql://tern:wr0ng@127.0.0.1:" + port + "/mysql",
          "mysql://tern:s3cret%3Ap%40ss%2Fword@127.0.0.1:" + port + "/no_such_database",
          "mysql://tern:s3cret%3Ap%40ss%2Fword@127.0.0.1:" + port + "/mysql?ssl=true"}) {
        const StorageError error = open_error(url);
        INFO(error.text);
        CHECK(error.kind == Kind::unavailable);
        CHECK(error.text.find("wr0ng") == std::string::npos);
        CHECK(error.text.find("s3cret") == std::string::npos);
    }
}

TEST_CASE("a SQLite file is for the server's user alone") {
    SqliteFile file;
    auto opened = must(storage::open(file.options()));
    using std::filesystem::perms;
    for (const auto& each : std::filesystem::directory_iterator{file.directory.path()}) {
        CHECK((each.status().permissions() & (perms::group_all | perms::others_all)) == perms::none);
    }
}

// The last connection to a file that closes moves the write-ahead log into it and removes the log.
TEST_CASE("another process that opens and closes a SQLite file knows that the server is still there") {
    int go[2];
    REQUIRE(::pipe(go) == 0);
    const SqliteFile file;
    const pid_t child = ::fork();   // before the file is open: SQLite would think that the locks are the child's, too
    if (child == 0) {
        char byte = 0;
        if (::read(go[0], &byte, 1) != 1) ::_exit(1);
        {
            const Direct connection{file.options()};
            if (!connection->query("SELECT COUNT(*) FROM accounts").next()) ::_exit(2);
        }
        ::_exit(0);
    }
    REQUIRE(child > 0);
    TestExecutor executor;
    auto opened = must(storage::open(file.options()));
    const auto create = [&](const char* address) { must(executor.run(opened->accounts().create(account(address)))); };
    const auto count = [&] { return must(executor.run(opened->accounts().count(""))); };
    create("romeo@montague.example");
    CHECK(count() == 1);   // those who read have a connection as well
    CHECK(::write(go[1], "!", 1) == 1);
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
    CHECK(std::filesystem::exists(file.directory.path() + "/tern.db-wal"));
    create("juliet@capulet.example");
    opened.reset();
    opened = must(storage::open(file.options()));
    CHECK(count() == 2);
    ::close(go[0]);
    ::close(go[1]);
}

TEMPLATE_TEST_CASE("a newer schema is refused and left as it is", "[contract]", SqliteFile, Maria) {
    TestType backend;
    must(storage::open(backend.options())).reset();
    const Direct connection{backend.options()};
    connection->execute("INSERT INTO schema_version (version) VALUES (99)");
    connection->execute("DROP TABLE vcards");
    REQUIRE_FALSE(connection->failed());
    const StorageError error = open_error(backend.options().url);
    CHECK(error.kind == Kind::broken);
    CHECK(error.text.find("schema 99") != std::string::npos);
    {
        auto rows = connection->query("SELECT 1 FROM vcards");
        rows.next();
    }
    CHECK(connection->take_error().has_value());  // not made again
}

TEMPLATE_TEST_CASE("rooms of an older schema get a log", "[contract]", SqliteFile, Maria) {
    Opened<TestType> o;
    storage::Room room;
    room.jid = jid("coven@groups.localhost");
    room.secret = "secret";
    const AccountId before = o.get(o.storage->rooms().put(room));
    {
        const Direct connection{o.backend.options()};
        connection->execute("DELETE FROM accounts");
        connection->execute("DELETE FROM schema_version WHERE version >= 12");
        REQUIRE_FALSE(connection->failed());
    }
    o.reopen();
    const auto found = o.get(o.storage->rooms().find(room.jid));
    REQUIRE(found);
    CHECK(found->log != 0);
    CHECK(found->log != before);
    must(o.append(entry(found->log, 1)));
    CHECK(o.ids(found->log) == std::vector<LogId>{1});
}

// Only MySQL can be interrupted there: SQLite makes its tables in one transaction.
TEST_CASE("a migration that was interrupted is finished at the next start", "[mariadb]") {
    Maria backend;
    must(storage::open(backend.options())).reset();
    MariaDb::shared().execute(backend.database, "DROP TABLE server_secrets");
    MariaDb::shared().execute(backend.database, "DELETE FROM schema_version");
    TestExecutor executor;
    auto opened = must(storage::open(backend.options()));
    CHECK(must(executor.run(opened->secrets().load_or_store("a", "b"))) == "b");
}

TEMPLATE_TEST_CASE("many open one database at the same time", "[contract]", SqliteFile, Maria) {
    TestType backend;
    std::vector<std::thread> threads;
    std::mutex mutex;
    std::vector<std::string> refused;
    std::atomic<int> opened{0};
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            const auto storage = storage::open(backend.options());
            if (storage) ++opened;
            const std::lock_guard lock{mutex};
            if (!storage) refused.push_back(storage.error().text);
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(refused == std::vector<std::string>{});
    CHECK(opened == 4);
}

TEST_CASE("MySQL's error texts are repeated only where they hold no values") {
    using ErrorKind = storage::sql::Error::Kind;
    struct Case {
        int code;
        ErrorKind kind;
        bool is_repeated;
    };
    for (const Case& c : {Case{1062, ErrorKind::duplicate, false}, Case{1452, ErrorKind::missing, false},
                          Case{1406, ErrorKind::unfit, false}, Case{1366, ErrorKind::unfit, false},
                          Case{1213, ErrorKind::busy, true}, Case{1205, ErrorKind::busy, true},
                          Case{2006, ErrorKind::lost, true}, Case{2013, ErrorKind::lost, true},
                          Case{2002, ErrorKind::unreachable, true}, Case{1045, ErrorKind::unreachable, true},
                          Case{1290, ErrorKind::unreachable, true}, Case{1114, ErrorKind::full, true},
                          Case{1047, ErrorKind::unreachable, true}, Case{1180, ErrorKind::busy, true},
                          Case{3100, ErrorKind::busy, true}, Case{3101, ErrorKind::busy, true},
                          Case{1146, ErrorKind::broken, true}, Case{1064, ErrorKind::broken, false},
                          Case{9999, ErrorKind::broken, false}}) {
        INFO(c.code);
        const auto error =
            storage::mysql::error_of(c.code, "HY000", "with 'a value'", "INSERT INTO t VALUES (?)");
        CHECK(error.kind == c.kind);
        CHECK((error.text.find("a value") != std::string::npos) == c.is_repeated);
        CHECK(error.text.find(std::to_string(c.code)) != std::string::npos);
    }
    CHECK(storage::mysql::error_of(1030, "HY000", "Got error 28 \"No space left on device\"", "").kind ==
          ErrorKind::full);
    CHECK(storage::mysql::error_of(1030, "HY000", "Got error 5", "").kind == ErrorKind::broken);
}
