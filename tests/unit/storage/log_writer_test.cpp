// SPDX-License-Identifier: MIT
// The log's writer against a database that fails: nothing that was committed is lost, nothing comes twice,
// order is kept.
#include <random>

#include "tests/unit/storage/flaky.h"

using namespace tests;

namespace {

// Results of appends by their ids, on the test's thread.
struct Outcomes {
    std::map<LogId, std::optional<Kind>> ended;
    std::function<void(const storage::Result<void>&)> note(LogId id) {
        return [this, id](const storage::Result<void>& result) {
            REQUIRE(
                ended.emplace(id, result.ok() ? std::nullopt : std::optional{result.error().kind}).second);
        };
    }
    std::vector<LogId> committed() const {
        std::vector<LogId> ids;
        for (const auto& [id, failed] : ended) {
            if (!failed) ids.push_back(id);
        }
        return ids;
    }
};

storage::Options impatient() {
    storage::Options options;
    options.wait = 300ms;
    options.log_age = 200ms;
    options.log_entries = 50;
    options.log_bytes = 100000;
    return options;
}

std::uint64_t seed() {
    const std::uint64_t chosen = Catch::rngSeed() != 0 ? Catch::rngSeed() : std::random_device{}();
    UNSCOPED_INFO("seed (give it with --rng-seed): " << chosen);
    return chosen;
}

}  // namespace

TEST_CASE("an entry whose COMMIT was answered by a lost connection is there once", "[log]") {
    std::atomic<int> lose{2};
    Flaky f;
    const AccountId id = f.get(f.accounts->create(account("romeo@montague.example")));
    const bool commits_first = GENERATE(true, false);
    const auto fault = [&](std::string_view sql) -> std::optional<ErrorKind> {
        if (sql == "COMMIT" && lose.fetch_sub(1) > 0) return ErrorKind::lost;
        return std::nullopt;
    };
    (commits_first ? f.faults.after_commit : f.faults.before) = fault;
    Outcomes outcomes;
    for (LogId n = 1; n <= 20; ++n) f.messages->append(entry(id, n), outcomes.note(n));
    REQUIRE(f.executor.run_until([&] { return outcomes.ended.size() == 20; }));
    CHECK(outcomes.committed().size() == 20);
    CHECK(f.ids(id) == outcomes.committed());
    // And a position that is really taken is still told apart from one's own row.
    f.messages->append(entry(id, 5), outcomes.note(1005));
    REQUIRE(f.executor.run_until([&] { return outcomes.ended.size() == 21; }));
    CHECK(outcomes.ended[1005] == Kind::conflict);
}

TEST_CASE("while the database is down entries wait, and go in when it is back, in order", "[log]") {
    Flaky f;
    const AccountId id = f.get(f.accounts->create(account("romeo@montague.example", {device("phone")})));
    f.faults.is_down = true;
    Outcomes outcomes;
    std::vector<LogId> order;
    for (LogId n = 1; n <= 100; ++n) {
        f.messages->append(entry(id, n), [&, n, note = outcomes.note(n)](const auto& result) {
            order.push_back(n);
            note(result);
        });
    }
    f.messages->advance_cursor(id, "phone", 50);
    f.messages->mark_delivered(id, "phone", 60);
    CHECK_FALSE(f.executor.run_until([&] { return !order.empty(); }, 100ms));
    CHECK_FALSE(f.database->is_healthy());
    const auto queues = f.database->queues();
    REQUIRE(queues.back().name == "log commits");
    CHECK(queues.back().depth == 100);
    CHECK(queues.back().high_water == 100);
    CHECK(queues.back().oldest >= 100ms);
    f.faults.is_down = false;
    REQUIRE(f.executor.run_until([&] { return order.size() == 100; }));
    CHECK(outcomes.committed().size() == 100);
    CHECK(std::is_sorted(order.begin(), order.end()));
    CHECK(f.ids(id) == order);
    CHECK(f.get(f.messages->count_undelivered(id, "phone")) == 49);
    CHECK(f.database->is_healthy());
    CHECK(comes_true([&] { return f.database->queues().back().depth == 0; }));  // the writer may not know yet that it has told all
    CHECK(f.database->queues().back().oldest == 0us);
}

TEST_CASE("what waits for the log fails when the database stays down too long, and later entries go in",
          "[log]") {
    Flaky f{impatient()};
    const AccountId id = f.get(f.accounts->create(account("romeo@montague.example")));
    f.faults.is_down = true;
    Outcomes outcomes;
    for (LogId n = 1; n <= 10; ++n) f.messages->append(entry(id, n), outcomes.note(n));
    const auto read = f.executor.run(f.messages->read(id, 0, 10));
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().kind == Kind::unavailable);
    REQUIRE(f.executor.run_until([&] { return outcomes.ended.size() == 10; }));
    for (const auto& [n, failed] : outcomes.ended) CHECK(failed == Kind::unavailable);
    f.faults.is_down = false;
    f.messages->append(entry(id, 11), outcomes.note(11));
    REQUIRE(f.executor.run_until([&] { return outcomes.ended.size() == 11; }));
    CHECK(f.ids(id) == std::vector<LogId>{11});
}

TEST_CASE("more than the log keeps is refused at once", "[log]") {
    auto options = impatient();
    options.log_age = 60s;
    Flaky f{options};
    const AccountId id = f.get(f.accounts->create(account("romeo@montague.example")));
    f.faults.is_down = true;
    Outcomes outcomes;
    SECTION("by their number") {
        for (LogId n = 1; n <= 55; ++n) f.messages->append(entry(id, n), outcomes.note(n));
        REQUIRE(outcomes.ended.size() == 5);   // inside append(): who asks can still do without
        for (const auto& [n, failed] : outcomes.ended) CHECK((n > 50 && failed == Kind::unavailable));
    }
    SECTION("by their bytes") {
        for (LogId n = 1; n <= 3; ++n)
            f.messages->append(entry(id, n, std::string(40000, 'x')), outcomes.note(n));
        REQUIRE(outcomes.ended.size() == 1);
        CHECK(outcomes.ended.begin()->first == 3);
    }
    f.faults.is_down = false;
    const std::size_t all = outcomes.ended.size() == 5 ? 55 : 3;
    REQUIRE(f.executor.run_until([&] { return outcomes.ended.size() == all; }));
    CHECK(f.ids(id) == outcomes.committed());
}

TEST_CASE("a storage that ends commits what was appended, or says that it failed", "[log]") {
    Flaky f{impatient()};
    const AccountId id = f.get(f.accounts->create(account("romeo@montague.example")));
    Outcomes outcomes;
    const bool is_down = GENERATE(false, true);
    f.faults.is_down = is_down;
    for (LogId n = 1; n <= 40; ++n) f.messages->append(entry(id, n), outcomes.note(n));
    f.database.reset();
    REQUIRE(f.executor.run_until([&] { return outcomes.ended.size() == 40; }, 0ms));  // all are posted by now
    CHECK(outcomes.committed().size() == (is_down ? 0U : 40U));
}

TEST_CASE("a deadlock is tried again, a full disk is said to be full", "[log]") {
    std::atomic<int> times{3};
    Flaky f;
    const AccountId id = f.get(f.accounts->create(account("romeo@montague.example")));
    const ErrorKind kind = GENERATE(ErrorKind::busy, ErrorKind::full);
    f.faults.before = [&](std::string_view sql) -> std::optional<ErrorKind> {
        if (sql.starts_with("INSERT INTO message_log") && times.fetch_sub(1) > 0) return kind;
        return std::nullopt;
    };
    Outcomes outcomes;
    for (LogId n = 1; n <= 5; ++n) {
        f.messages->append(entry(id, n), outcomes.note(n));
        REQUIRE(f.executor.run_until([&] { return outcomes.ended.size() == n; }));
    }
    const std::vector<LogId> expected =
        kind == ErrorKind::busy ? std::vector<LogId>{1, 2, 3, 4, 5} : std::vector<LogId>{4, 5};
    CHECK(outcomes.committed() == expected);
    if (kind == ErrorKind::full) CHECK(outcomes.ended[1] == Kind::full);
    CHECK(f.ids(id) == expected);
}

// Several threads append while everything goes wrong that can.
TEST_CASE("whatever fails: what was committed is there exactly once, in order", "[log][property]") {
    const std::uint64_t chosen = seed();
    std::mutex mutex;
    std::mt19937_64 faults{chosen};
    std::atomic<bool> goes_wrong{true};
    Flaky f;
    constexpr int threads = 4, accounts_each = 3, appends = 500;
    std::vector<AccountId> ids;
    for (int i = 0; i < threads * accounts_each; ++i) {
        ids.push_back(
            f.get(f.accounts->create(account("u" + std::to_string(i) + "@x.example", {device("d")}))));
    }
    const auto draw = [&] {
        const std::lock_guard lock{mutex};
        return goes_wrong ? faults() % 40 : 39;
    };
    f.faults.before = [&](std::string_view) -> std::optional<ErrorKind> {
        const auto drawn = draw();
        if (drawn == 0) return ErrorKind::lost;
        return drawn == 1 ? std::optional{ErrorKind::busy} : std::nullopt;
    };
    f.faults.after_commit = [&](std::string_view) {
        return draw() < 4 ? std::optional{ErrorKind::lost} : std::nullopt;
    };

    struct Told {
        std::map<AccountId, std::vector<LogId>> committed;
        std::map<AccountId, LogId> cursors;
        std::size_t ended = 0, failed = 0;
    };
    std::vector<Told> told(threads);
    std::vector<std::thread> workers;
    for (int t = 0; t < threads; ++t) {
        workers.emplace_back([&, t] {
            TestExecutor executor;
            Told& mine = told[static_cast<std::size_t>(t)];
            std::mt19937_64 random{chosen + static_cast<std::uint64_t>(t) + 1};
            std::map<AccountId, LogId> last;
            for (int i = 0; i < appends; ++i) {
                const AccountId owner =
                    ids[static_cast<std::size_t>(t * accounts_each) + random() % accounts_each];
                const LogId n = last[owner] += 1 + random() % 5;
                f.messages->append(entry(owner, n, std::string(random() % 3000, 'x')),
                                   [&mine, owner, n](const auto& result) {
                                       ++mine.ended;
                                       if (result.ok())
                                           mine.committed[owner].push_back(n);
                                       else
                                           ++mine.failed;
                                   });
                if (random() % 4 == 0) {
                    const LogId to = random() % (n + 1);
                    f.messages->advance_cursor(owner, "d", to);
                    mine.cursors[owner] = std::max(mine.cursors[owner], to);
                }
                if (random() % 50 == 0) executor.run_until([] { return false; }, 1ms);
            }
            executor.run_until([&] { return mine.ended == appends; });
        });
    }
    for (std::thread& worker : workers) worker.join();
    goes_wrong = false;
    for (int t = 0; t < threads; ++t) {
        Told& mine = told[static_cast<std::size_t>(t)];
        CHECK(mine.ended == appends);
        CHECK(mine.failed == 0);
        for (int i = 0; i < accounts_each; ++i) {
            const auto index = static_cast<std::size_t>(t * accounts_each + i);
            CHECK(std::is_sorted(mine.committed[ids[index]].begin(), mine.committed[ids[index]].end()));
            CHECK(f.ids(ids[index]) == mine.committed[ids[index]]);
            const auto found = f.get(f.accounts->find(jid("u" + std::to_string(index) + "@x.example")));
            CHECK(found->devices.at(0).cursor == mine.cursors[ids[index]]);
        }
    }
}
