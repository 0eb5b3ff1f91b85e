// SPDX-License-Identifier: MIT
// SQLite's write-ahead log while a server writes and never stops: what it holds gets into the database file, and it does
// not grow for ever.
#include <pthread.h>

#include <filesystem>
#include <fstream>

#include "storage/sqlite/connection.h"
#include "tests/support/comes_true.h"
#include "tests/unit/storage/backends.h"

using namespace tests;

namespace {

constexpr std::uintmax_t page = 4096;

// Some hundred pages of messages, committed.
void write_more(Opened<SqliteFile>& home, AccountId owner, LogId& last) {
    const std::string text(100'000, 'x');
    for (int i = 0; i < 20; ++i) must(home.append(entry(owner, ++last, text)));
}

// Another one when the log begins anew (https://sqlite.org/walformat.html#wal_file_header).
std::string salt_of(const std::string& log) {
    std::ifstream in{log, std::ios::binary};
    in.seekg(16);
    std::string salt(8, 0);
    in.read(salt.data(), 8);
    return salt;
}

// A connection in the middle of reading.
struct OldState {
    explicit OldState(const std::string& file) : connector{storage::sqlite::make_connector({file})} {
        auto made = connector->connect(storage::sql::Connector::Purpose::read);
        REQUIRE(made);
        connection = std::move(*made);
        connection->execute("BEGIN");
        REQUIRE(connection->query("SELECT COUNT(*) FROM accounts").next());
    }
    std::unique_ptr<storage::sql::Connector> connector;
    std::unique_ptr<storage::sql::Connection> connection;
};

// While it lives no thread can be made: the stack of one would not fit into memory.
struct NoThreads {
    NoThreads() {
        REQUIRE(::pthread_getattr_default_np(&normal) == 0);
        pthread_attr_t attributes;
        ::pthread_attr_init(&attributes);
        ::pthread_attr_setstacksize(&attributes, std::size_t{1} << 48U);
        REQUIRE(::pthread_setattr_default_np(&attributes) == 0);
        ::pthread_attr_destroy(&attributes);
        CHECK_THROWS_AS((std::thread{[] {}}), std::system_error);
    }
    ~NoThreads() {
        ::pthread_setattr_default_np(&normal);
        ::pthread_attr_destroy(&normal);
    }
    NoThreads(const NoThreads&) = delete;
    NoThreads& operator=(const NoThreads&) = delete;
    pthread_attr_t normal{};
};

}  // namespace

TEST_CASE("the write-ahead log is moved into the database while the server runs, and begins anew") {
    Opened<SqliteFile> home;
    const std::string file = home.backend.directory.path() + "/tern.db";
    const AccountId owner = home.create("romeo@montague.example", {device("phone")});
    LogId last = 0;
    for (int round = 1; round <= 4; ++round) {
        const std::string log = salt_of(file + "-wal");
        for (int i = 0; i < 4; ++i) write_more(home, owner, last);
        CAPTURE(round);
        CHECK(comes_true([&] {
            must(home.append(entry(owner, ++last)));
            return salt_of(file + "-wal") != log;
        }));
        CHECK(comes_true([&] { return std::filesystem::file_size(file) > (round * 1'950 - 1'100) * page; }));
    }
    CHECK(home.ids(owner).size() == static_cast<std::size_t>(last));
}

TEST_CASE("a reader that holds on to an old state keeps no commit waiting, and what it kept back is moved when it has gone") {
    Opened<SqliteFile> home;
    const std::string file = home.backend.directory.path() + "/tern.db";
    const AccountId owner = home.create("romeo@montague.example", {device("phone")});
    LogId last = 0;
    write_more(home, owner, last);
    {
        const OldState held{file};
        for (int i = 0; i < 6; ++i) write_more(home, owner, last);
        CHECK(std::filesystem::file_size(file) < 1'000 * page);
    }
    write_more(home, owner, last);
    CHECK(comes_true([&] { return std::filesystem::file_size(file) > 3'000 * page; }));
}

TEST_CASE("where no thread can be made commits go on, and the log is moved as soon as one can") {
    Opened<SqliteFile> home;
    const std::string file = home.backend.directory.path() + "/tern.db";
    const AccountId owner = home.create("romeo@montague.example", {device("phone")});
    LogId last = 0;
    {
        const NoThreads now;
        for (int i = 0; i < 4; ++i) write_more(home, owner, last);
        CHECK(std::filesystem::file_size(file) < 1'000 * page);
    }
    write_more(home, owner, last);
    CHECK(comes_true([&] { return std::filesystem::file_size(file) > 1'500 * page; }));
}
