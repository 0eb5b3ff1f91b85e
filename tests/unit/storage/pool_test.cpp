// SPDX-License-Identifier: MIT
// The pool in front of the database: bounded waiting, and which failures are tried again.
#include "tests/unit/storage/flaky.h"

using namespace tests;

namespace {

// Starts loading a vCard; what comes of it is pushed to `results`.
void ask(Flaky& f, std::vector<storage::Result<std::string>>& results) {
    const auto load = [](storage::Vcards& vcards,
                         std::vector<storage::Result<std::string>>& to) -> storage::Task<void> {
        auto task = vcards.load(1);
        auto result = co_await task;
        to.push_back(std::move(result));
    };
    storage::detach(load(*f.vcards, results), [](std::exception_ptr) {});
}

// Sets when each of these accounts was last here, all at once while the first is held; how each of them ended.
std::vector<storage::Result<void>> set_together(Flaky& f, const std::vector<storage::AccountId>& accounts) {
    std::vector<std::optional<storage::Result<void>>> results(accounts.size());
    const auto set = [](storage::Accounts& of, storage::AccountId account, std::optional<storage::Result<void>>& result) -> storage::Task<void> {
        auto task = of.set_last_logout(account, storage::Time{std::chrono::seconds{100 + account}}, "gone");
        result.emplace(co_await task);
    };
    f.faults.hold("UPDATE accounts SET last_logout");
    for (std::size_t i = 0; i < accounts.size(); ++i) {
        storage::detach(set(*f.accounts, accounts[i], results[i]), [](std::exception_ptr) {});
        if (i == 0) f.faults.wait_until_held(1);
    }
    f.faults.let_through();
    REQUIRE(f.executor.run_until([&] { return std::ranges::all_of(results, [](const auto& result) { return result.has_value(); }); }));
    std::vector<storage::Result<void>> all;
    for (auto& result : results) all.push_back(std::move(*result));
    return all;
}

storage::Options one_reader(std::chrono::milliseconds wait) {
    storage::Options options;
    options.connections = 1;
    options.waiting = 3;
    options.wait = wait;
    return options;
}

}  // namespace

TEST_CASE("only so many wait for a connection, the next is refused at once", "[pool]") {
    Flaky f{one_reader(10s)};
    std::vector<storage::Result<std::string>> results;
    f.faults.hold("SELECT xml FROM vcards");
    ask(f, results);
    f.faults.wait_until_held(1);
    for (int i = 0; i < 3; ++i) ask(f, results);
    CHECK(results.empty());
    auto queues = f.database->queues();
    REQUIRE(queues.at(1).name == "sql reads");
    CHECK(queues.at(1).depth == 4);  // one is being answered: an orderly end waits for it, too
    CHECK(queues.at(1).oldest > 0us);
    ask(f, results);
    REQUIRE(results.size() == 1);
    REQUIRE_FALSE(results[0].ok());
    CHECK(results[0].error().kind == Kind::unavailable);
    f.faults.let_through();
    REQUIRE(f.executor.run_until([&] { return results.size() == 5; }));
    for (std::size_t i = 1; i < 5; ++i) CHECK(results[i].ok());
    // The thread of the last answer may not have turned to the next yet.
    CHECK(comes_true([&] { return f.database->queues().at(1).depth == 0; }));
    CHECK(f.database->queues().at(1).high_water == 4);
}

TEST_CASE("who waits too long for a connection is told so", "[pool]") {
    Flaky f{one_reader(50ms)};
    std::vector<storage::Result<std::string>> results;
    f.faults.hold("SELECT xml FROM vcards");
    ask(f, results);
    f.faults.wait_until_held(1);
    ask(f, results);
    CHECK_FALSE(f.executor.run_until([&] { return !results.empty(); }, 60ms));
    f.faults.let_through();
    REQUIRE(f.executor.run_until([&] { return results.size() == 2; }));
    CHECK(results[0].ok());  // it was being worked on
    REQUIRE_FALSE(results[1].ok());
    CHECK(results[1].error().kind == Kind::unavailable);
}

TEST_CASE("while the database is down requests wait for it, but not for ever", "[pool]") {
    Flaky f{one_reader(400ms)};
    std::vector<storage::Result<std::string>> results;
    f.faults.is_down = true;
    ask(f, results);
    SECTION("it comes back") {
        CHECK_FALSE(f.executor.run_until([&] { return !results.empty(); }, 50ms));
        f.faults.is_down = false;
        REQUIRE(f.executor.run_until([&] { return !results.empty(); }));
        CHECK(results[0].ok());
        CHECK(f.database->is_healthy());
    }
    SECTION("it does not") {
        REQUIRE(f.executor.run_until([&] { return !results.empty(); }));
        REQUIRE_FALSE(results[0].ok());
        CHECK(results[0].error().kind == Kind::unavailable);
        CHECK_FALSE(f.database->is_healthy());
    }
}

TEST_CASE("a read whose connection is lost is done again on a new one", "[pool]") {
    std::atomic<int> lose{1};
    Flaky f;
    f.faults.before = [&](std::string_view sql) -> std::optional<ErrorKind> {
        return sql.starts_with("SELECT xml") && lose-- > 0 ? std::optional{ErrorKind::lost} : std::nullopt;
    };
    std::vector<storage::Result<std::string>> results;
    ask(f, results);
    REQUIRE(f.executor.run_until([&] { return !results.empty(); }));
    CHECK(results[0].ok());
}

// As after a failover: the server that was written to goes on, and can only be read.
TEST_CASE("a session in which nothing can be written any longer is left for a new one", "[pool]") {
    storage::Options options;
    options.wait = options.log_age = 500ms;
    Flaky f{options};
    const AccountId romeo = f.get(f.accounts->create(account("romeo@montague.example", {device("a")})));
    const auto append = [&](LogId id) {
        std::optional<bool> is_committed;
        f.messages->append(entry(romeo, id), [&](const auto& result) { is_committed = result.ok(); });
        return f.executor.run_until([&] { return is_committed.has_value(); }) && *is_committed;
    };
    REQUIRE(append(1));
    const int connects = f.faults.connects;
    f.faults.before = [&](std::string_view sql) -> std::optional<ErrorKind> {
        const bool is_old = f.faults.connects == connects;
        return is_old && sql.starts_with("INSERT") ? std::optional{ErrorKind::unreachable} : std::nullopt;
    };
    SECTION("by the pool") { CHECK(f.executor.run(f.accounts->create(account("juliet@capulet.example", {device("a")}))).ok()); }
    SECTION("by the log") { CHECK(append(2)); }
    CHECK(f.database->is_healthy());
}

TEST_CASE("a transaction is done again after a deadlock, as a whole", "[pool]") {
    std::atomic<int> busy{3};
    Flaky f;
    f.faults.before = [&](std::string_view sql) -> std::optional<ErrorKind> {
        return sql.starts_with("INSERT INTO device_cursors") && busy-- > 0 ? std::optional{ErrorKind::busy}
                                                                           : std::nullopt;
    };
    f.get(f.accounts->create(account("romeo@montague.example", {device("a"), device("b")})));
    CHECK(f.get(f.accounts->count("")) == 1);
    CHECK(f.get(f.accounts->find(jid("romeo@montague.example")))->devices.size() == 2);
}

TEST_CASE("a transaction that was cut off before its COMMIT is done again, one at its COMMIT is not",
          "[pool]") {
    const bool at_commit = GENERATE(false, true);
    std::atomic<int> lose{1};
    Flaky f;
    const auto fault = [&](std::string_view sql) -> std::optional<ErrorKind> {
        const bool is_it = at_commit ? sql == "COMMIT" : sql.starts_with("INSERT INTO devices");
        return is_it && lose-- > 0 ? std::optional{ErrorKind::lost} : std::nullopt;
    };
    (at_commit ? f.faults.after_commit : f.faults.before) = fault;
    const auto result = f.executor.run(f.accounts->create(account("romeo@montague.example", {device("a")})));
    CHECK(result.ok() == !at_commit);
    if (at_commit) CHECK(result.error().kind == Kind::unavailable);
    CHECK(f.get(f.accounts->count("")) == 1);
}

TEST_CASE("what is set while the database is busy shares a transaction, and each gets its own answer", "[pool]") {
    const auto fault = GENERATE(as<std::optional<ErrorKind>>{}, std::nullopt, ErrorKind::busy, ErrorKind::lost);
    const bool after_commit = GENERATE(false, true);
    if (after_commit && fault != ErrorKind::lost) return;
    Flaky f;
    std::vector<storage::AccountId> accounts;
    for (const char* const name : {"a", "b", "c", "d", "e"})
        accounts.push_back(f.get(f.accounts->create(account(std::string{name} + "@montague.example", {device("a")}))));
    accounts.insert(accounts.begin() + 2, 4711);   // there is no such account
    std::atomic<int> commits{0};
    std::atomic<bool> fails{fault.has_value()};
    const auto commit = [&](std::string_view sql) -> std::optional<ErrorKind> {
        if (sql == "COMMIT") ++commits;
        return sql == "COMMIT" && fails.exchange(false) ? fault : std::nullopt;
    };
    (after_commit ? f.faults.after_commit : f.faults.before) = commit;
    const auto results = set_together(f, accounts);
    CHECK(commits == 1);   // what follows a failure is done by itself
    for (std::size_t i = 0; i < results.size(); ++i) {
        CAPTURE(i);
        CHECK(results[i].ok() == (accounts[i] != 4711));
        if (accounts[i] == 4711) CHECK(results[i].error().kind == Kind::not_found);
    }
    for (const char* const name : {"a", "b", "c", "d", "e"}) {
        const auto found = f.get(f.accounts->find(jid(std::string{name} + "@montague.example")));
        CHECK(found->last_status == "gone");
    }
}

TEST_CASE("a transaction that is taken back leaves those that it shares a commit with", "[pool]") {
    const bool is_conflict = GENERATE(false, true);   // which the database itself refuses: then each is done by itself
    Flaky f;
    const auto romeo = f.get(f.accounts->create(account("romeo@montague.example", {device("a")})));
    std::vector<std::string> ended;
    const auto start = [&](auto task, const char* name) {
        storage::detach([](auto running, std::string of, std::vector<std::string>& to) -> storage::Task<void> {
            const auto result = co_await running;
            to.push_back(of + (result.ok() ? " done" : result.error().kind == Kind::conflict ? " conflict" : " not found"));
        }(std::move(task), name, ended), [](std::exception_ptr) {});
    };
    std::atomic<int> commits{0};
    f.faults.hold("UPDATE accounts SET last_logout");
    start(f.accounts->set_last_logout(romeo, storage::Time{}, ""), "logout");
    f.faults.wait_until_held(1);
    f.faults.before = [&](std::string_view sql) -> std::optional<ErrorKind> {
        if (sql == "COMMIT") ++commits;
        return std::nullopt;
    };
    start(f.accounts->create(account("a@x.example", {device("a"), device("b")})), "a");
    if (is_conflict) start(f.accounts->create(account("romeo@montague.example", {device("z")})), "romeo");
    else start(f.accounts->replace_devices(4711, {"salt", 1}, device("z")), "romeo");
    start(f.accounts->create(account("b@x.example", {device("a"), device("b")})), "b");
    f.faults.let_through();
    REQUIRE(f.executor.run_until([&] { return ended.size() == 4; }));
    CHECK(commits == (is_conflict ? 2 : 1));
    CHECK(ended == std::vector<std::string>{"logout done", "a done", is_conflict ? "romeo conflict" : "romeo not found", "b done"});
    CHECK(f.get(f.accounts->count("")) == 3);
    CHECK(f.get(f.accounts->find(jid("b@x.example")))->devices.size() == 2);
    CHECK(f.get(f.accounts->find(jid("romeo@montague.example")))->devices.at(0).id == "a");
}

TEST_CASE("who awaits a storage that is closed gets an answer", "[pool]") {
    Flaky f{one_reader(10s)};
    std::vector<storage::Result<std::string>> results;
    f.faults.hold("SELECT xml FROM vcards");
    ask(f, results);
    f.faults.wait_until_held(1);
    ask(f, results);
    std::jthread later{[&] { f.faults.let_through(); }};
    f.database->close();
    ask(f, results);
    REQUIRE(f.executor.run_until([&] { return results.size() == 3; }));
    CHECK(std::ranges::count_if(results, [](const auto& result) { return result.ok(); }) == 2);   // what waited was worked off
    CHECK(f.executor.run(f.accounts->count("")).error().kind == Kind::unavailable);
}

// ---- searches ----------------------------------------------------------------------------------------------------------

namespace {

// Looks for a word in an archive; what comes of it is pushed to `results`.
void search(Flaky& f, std::vector<storage::Result<storage::ArchivePage>>& results) {
    const auto look = [](storage::Messages& messages, std::vector<storage::Result<storage::ArchivePage>>& to) -> storage::Task<void> {
        storage::ArchiveQuery query;
        query.words = {"nowhere"};
        auto task = messages.query(1, std::move(query));
        auto result = co_await task;
        to.push_back(std::move(result));
    };
    storage::detach(look(*f.messages, results), [](std::exception_ptr) {});
}

}  // namespace

TEST_CASE("searches leave half of the connections to others, and wait for each other", "[pool]") {
    storage::Options options;
    options.connections = 2;
    options.waiting = 30;
    Flaky f{options};
    std::vector<storage::Result<storage::ArchivePage>> found;
    std::vector<storage::Result<std::string>> loaded;
    f.faults.hold("SELECT id, direction");
    search(f, found);
    f.faults.wait_until_held(1);
    for (int i = 0; i < 3; ++i) search(f, found);
    for (int i = 0; i < 20; ++i) ask(f, loaded);
    REQUIRE(f.executor.run_until([&] { return loaded.size() == 20; }));
    CHECK(std::ranges::all_of(loaded, [](const auto& result) { return result.ok(); }));
    CHECK(found.empty());
    SECTION("of those that may wait they are a tenth") {
        search(f, found);
        REQUIRE(found.size() == 1);
        REQUIRE_FALSE(found[0].ok());
        CHECK(found[0].error().kind == Kind::unavailable);
    }
    f.faults.let_through();
    const std::size_t all = 4 + found.size();
    REQUIRE(f.executor.run_until([&] { return found.size() == all; }));
    CHECK(found.back().ok());
}

TEST_CASE("a search that takes too long ends, and its connection is as good as before", "[pool]") {
    storage::Options options;
    options.longest_search = 100ms;
    Flaky f{options};
    auto work = [](storage::sql::Connection& connection) -> storage::Result<std::uint64_t> {
        storage::sql::Rows rows = connection.query("SELECT COUNT(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n)");
        return rows.next() ? rows.natural(0) : 0;
    };
    const auto result = f.executor.run(f.database->search<std::uint64_t>(work));
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().kind == Kind::unavailable);
    std::vector<storage::Result<std::string>> loaded;
    ask(f, loaded);
    REQUIRE(f.executor.run_until([&] { return loaded.size() == 1; }));
    CHECK(loaded[0].ok());
    CHECK(f.database->is_healthy());
}
