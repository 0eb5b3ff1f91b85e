// SPDX-License-Identifier: MIT
// kill -9 at any moment loses nothing that was committed, and brings nothing twice; a full disk is said to be
// full.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "tests/unit/storage/backends.h"

using namespace tests;

namespace {

// Appends to an account until told to stop, never more than `most` at once.
struct Appender {
    Appender(storage::Storage& s, TestExecutor& e, AccountId owner)
        : storage{s}, executor{e}, account{owner} {}
    void go_on(std::size_t most = 200) {
        while (waiting < most) {
            ++waiting;
            const LogId n = ++last;
            storage.messages().append(entry(account, n, std::string(n % 2000, 'x')),
                                      [this, n](const auto& result) {
                                          --waiting;
                                          if (result.ok())
                                              committed.push_back(n);
                                          else
                                              failed.push_back(n);
                                      });
        }
    }
    bool commit(std::size_t more) {
        const std::size_t wanted = committed.size() + more;
        return executor.run_until([&] {
            if (committed.size() < wanted) go_on();
            return committed.size() >= wanted;
        });
    }
    bool settle() {
        return executor.run_until([&] { return waiting == 0; });
    }

    storage::Storage& storage;
    TestExecutor& executor;
    AccountId account;
    LogId last = 0;
    std::size_t waiting = 0;
    std::vector<LogId> committed, failed;
};

}  // namespace

TEST_CASE("a MariaDB server that is killed while it commits loses nothing and doubles nothing",
          "[mariadb][crash]") {
    MariaDb server;
    TestExecutor executor;
    storage::Options options;
    options.url = server.url(server.create_database());
    std::vector<std::string> said;
    std::mutex mutex;
    options.log = [&](std::string_view level, std::string_view text) {
        const std::lock_guard lock{mutex};
        said.push_back(std::string{level} + ": " + std::string{text});
    };
    auto opened = must(storage::open(options));
    const AccountId id =
        must(executor.run(opened->accounts().create(account("romeo@montague.example", {device("d")}))));
    Appender appender{*opened, executor, id};
    for (int round = 0; round < 4; ++round) {
        REQUIRE(appender.commit(1500));
        appender.go_on();
        server.kill();  // with 200 entries on their way
        appender.go_on(300);
        if (round % 2 == 1) CHECK_FALSE(executor.run_until([&] { return appender.waiting == 0; }, 300ms));
        server.restart();
        REQUIRE(appender.commit(500));
    }
    REQUIRE(appender.settle());
    CHECK(appender.failed.empty());
    CHECK(std::is_sorted(appender.committed.begin(), appender.committed.end()));
    const auto read = must(executor.run(opened->messages().read(id, 0, 1000000)));
    CHECK(ids_of(read) == appender.committed);
    CHECK(opened->is_healthy());
    for (const LogEntry& e : read) REQUIRE(e.xml.size() == e.id % 2000);
    opened.reset();
    const std::lock_guard lock{mutex};
    CHECK(said.size() >= 2);  // that it does not answer, and that it does again
    for (const std::string& text : said) CHECK(text.find("s3cret") == std::string::npos);
}

TEST_CASE("a MariaDB server that freezes is waited for, and nothing is doubled", "[mariadb][crash]") {
    MariaDb server;
    TestExecutor executor;
    storage::Options options;
    options.url = server.url(server.create_database()) + "?answer-timeout=1&connect-timeout=1";
    options.wait = 500ms;
    auto opened = must(storage::open(options));
    const AccountId id = must(executor.run(opened->accounts().create(account("romeo@montague.example"))));
    Appender appender{*opened, executor, id};
    REQUIRE(appender.commit(500));
    appender.go_on();
    server.freeze();
    appender.go_on(250);
    const auto found = executor.run(opened->accounts().find(jid("romeo@montague.example")));
    REQUIRE_FALSE(found.ok());
    CHECK(found.error().kind == Kind::unavailable);
    server.thaw();
    REQUIRE(appender.settle());
    CHECK(appender.failed.empty());
    CHECK(ids_of(must(executor.run(opened->messages().read(id, 0, 1000000)))) == appender.committed);
}

TEST_CASE("a server that is killed keeps what its SQLite file was told to keep", "[crash]") {
    TemporaryDirectory directory;
    storage::Options options;
    options.url = "sqlite:" + directory.path() + "/tern.db";
    int pipe_ends[2];
    REQUIRE(::pipe(pipe_ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {  // appends, and tells what was committed, until it is killed
        TestExecutor executor;
        auto opened = must(storage::open(options));
        const AccountId id = must(executor.run(opened->accounts().create(account("romeo@montague.example"))));
        Appender appender{*opened, executor, id};
        for (;;) {
            appender.commit(20);
            const LogId last = appender.committed.back();
            if (::write(pipe_ends[1], &last, sizeof last) != sizeof last) ::_exit(1);
        }
    }
    REQUIRE(child > 0);
    ::close(pipe_ends[1]);
    LogId told = 0, last = 0;
    for (int i = 0; i < 50 && ::read(pipe_ends[0], &last, sizeof last) == sizeof last; ++i) told = last;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(pipe_ends[0], &last, sizeof last) == sizeof last) told = last;
    ::close(pipe_ends[0]);
    CHECK(told > 0);

    TestExecutor executor;
    auto opened = must(storage::open(options));
    const auto found = must(executor.run(opened->accounts().find(jid("romeo@montague.example"))));
    const auto ids = ids_of(must(executor.run(opened->messages().read(found->id, 0, 1000000))));
    REQUIRE(ids.size() >= told);
    for (std::size_t i = 0; i < ids.size(); ++i) REQUIRE(ids[i] == i + 1);
}

TEST_CASE("a full disk fails what does not fit, and what was committed stays", "[crash]") {
    TemporaryDirectory directory;
    TestExecutor executor;
    storage::Options options;
    const std::string url = "sqlite:" + directory.path() + "/tern.db";
    options.url = url + "?max_pages=150";
    options.run_inline = GENERATE(false, true);
    auto opened = must(storage::open(options));
    const AccountId id = must(executor.run(opened->accounts().create(account("romeo@montague.example"))));
    std::vector<LogId> committed;
    std::size_t ended = 0, full = 0;
    for (LogId n = 1; n <= 400; ++n) {
        opened->messages().append(entry(id, n, std::string(3000, 'x')), [&, n](const auto& result) {
            ++ended;
            if (result.ok())
                committed.push_back(n);
            else if (result.error().kind == Kind::full)
                ++full;
        });
        if (n % 20 == 0) REQUIRE(executor.run_until([&] { return ended == n; }));
    }
    CHECK(full > 100);
    CHECK(committed.size() + full == 400);
    CHECK(committed.size() > 20);
    const auto store = executor.run(opened->vcards().store(id, std::string(100000, 'v')));
    REQUIRE_FALSE(store.ok());
    CHECK(store.error().kind == Kind::full);
    CHECK(ids_of(must(executor.run(opened->messages().read(id, 0, 1000)))) == committed);

    opened.reset();
    options.url = url;  // there is room again
    opened = must(storage::open(options));
    bool is_committed = false;
    opened->messages().append(entry(id, 1000, std::string(3000, 'x')),
                              [&](const auto& result) { is_committed = result.ok(); });
    REQUIRE(executor.run_until([&] { return is_committed; }));
}
