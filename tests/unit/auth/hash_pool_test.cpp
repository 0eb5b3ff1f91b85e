// SPDX-License-Identifier: MIT
// The hash pool: right results on the thread that asked, a bound on what may wait, and an answer for everyone
// at its end.
#include <catch2/catch.hpp>

#include <thread>
#include <vector>

#include "auth/hash_pool.h"
#include "auth/sasl.h"
#include "loop.h"

using namespace auth;
using namespace auth_test;
using Derived = std::optional<storage::Verifiers>;

namespace {

storage::Task<bool> comes_back_here(HashPool& pool) {
    const auto thread = std::this_thread::get_id();
    auto deriving = pool.derive("secret", "salt", 10);
    const auto verifiers = co_await deriving;
    co_return verifiers&& std::this_thread::get_id() == thread;
}

}  // namespace

TEST_CASE("the pool derives what derive_verifiers() does, with and without threads") {
    Loop loop;
    const auto expected = derive_verifiers("secret", "salt", 10);
    for (const std::size_t threads : {0U, 1U, 3U}) {
        HashPool pool{threads};
        const auto derived = loop.run(pool.derive("secret", "salt", 10));
        REQUIRE(derived);
        for (std::size_t i = 0; i < storage::hash_count; ++i) {
            CHECK((*derived)[i].stored_key == expected[i].stored_key);
            CHECK((*derived)[i].server_key == expected[i].server_key);
        }
        CHECK(loop.run(comes_back_here(pool)));
    }
}

TEST_CASE("without threads it hashes at once") {
    HashPool pool{0};
    Derived derived;
    bool done = false;
    const auto ask = [](HashPool& of, Derived& into) -> storage::Task<void> {
        auto deriving = of.derive("secret", "salt", 1);
        into = co_await deriving;
    };
    storage::detach(ask(pool, derived), [&](std::exception_ptr) { done = true; });
    CHECK(done);
    CHECK(derived);
}

TEST_CASE("no more may wait than was allowed, the rest is told at once") {
    Loop loop;
    HashPool pool{1, 5};
    std::vector<std::optional<Derived>> results(20);
    for (auto& result : results) loop.start(pool.derive("secret", "salt", 20'000), result);
    CHECK(pool.depth().depth <= 5);
    CHECK(pool.depth().high_water <= 5);
    CHECK(pool.depth().name == "hash");
    loop.run_until_idle();
    const auto derived =
        std::count_if(results.begin(), results.end(), [](const auto& result) { return result->has_value(); });
    CHECK(derived >= 5);
    CHECK(derived < 20);
    CHECK(pool.depth().depth == 0);
}

TEST_CASE("what waits when the pool ends is answered with nothing, not forgotten") {
    Loop loop;
    std::vector<std::optional<Derived>> results(10);
    {
        HashPool pool{1};
        for (auto& result : results) loop.start(pool.derive("secret", "salt", 20'000), result);
    }
    loop.run_until_idle();
    for (const auto& result : results) CHECK(result.has_value());
    CHECK_FALSE(results.back()->has_value());
}

TEST_CASE("a pool that is closed has answered all that waits, and answers what comes later with nothing") {
    Loop loop;
    std::vector<std::optional<Derived>> results(10);
    HashPool pool{1};
    for (auto& result : results) loop.start(pool.derive("secret", "salt", 20'000), result);
    pool.close();
    CHECK(pool.depth().depth == 0);
    loop.run_until_idle();
    for (const auto& result : results) CHECK(result.has_value());
    CHECK_FALSE(results.back()->has_value());
    CHECK_FALSE(loop.run(pool.derive("secret", "salt", 1)));
    pool.close();   // twice is once
}

TEST_CASE("several loops share a pool") {
    HashPool pool{2};
    std::array<int, 3> right{};
    std::vector<std::thread> threads;
    for (int& count : right) {
        threads.emplace_back([&pool, &count] {
            Loop loop;
            for (int i = 0; i < 20; ++i) count += loop.run(comes_back_here(pool)) ? 1 : 0;
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const int count : right) CHECK(count == 20);
}
