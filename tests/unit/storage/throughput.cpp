// SPDX-License-Identifier: MIT
// How many log entries a second become durable with four threads appending; hidden, run with [.throughput].
#include <iostream>

#include "tests/unit/storage/backends.h"

using namespace tests;

TEMPLATE_TEST_CASE("throughput of the log with four threads appending", "[.throughput]", SqliteFile, Maria) {
    constexpr int threads = 4, accounts_each = 250;
    constexpr std::size_t appends = 50000, most_waiting = 2000;
    Opened<TestType> o;
    std::vector<Account> made;
    std::vector<AccountId> ids;
    for (int i = 0; i < threads * accounts_each; ++i) {
        made.push_back(account("u" + std::to_string(i) + "@x.example", {device("d")}));
    }
    o.get(o.storage->accounts().create_all(made));
    for (const Account& a : o.get(o.storage->accounts().list("x.example", "", 100000))) ids.push_back(a.id);
    const std::string xml = "<message>" + std::string(400, 'x') + "</message>";
    std::vector<std::thread> workers;
    std::atomic<std::size_t> failed{0};
    const auto start = std::chrono::steady_clock::now();
    for (int t = 0; t < threads; ++t) {
        workers.emplace_back([&, t] {
            TestExecutor executor;
            std::size_t ended = 0;
            for (std::size_t n = 0; n < appends; ++n) {
                const AccountId owner = ids[static_cast<std::size_t>(t) * accounts_each + n % accounts_each];
                o.storage->messages().append(entry(owner, n + 1, xml), [&](const auto& result) {
                    ++ended;
                    if (!result.ok()) ++failed;
                });
                o.storage->messages().advance_cursor(owner, "d", n);
                executor.run_until([&] { return n < ended + most_waiting; });
            }
            executor.run_until([&] { return ended == appends; });
        });
    }
    for (std::thread& worker : workers) worker.join();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    CHECK(failed == 0);
    std::cout << o.storage->describe() << ": " << static_cast<long>(threads * appends / took.count())
              << " entries/s\n";
}
