// SPDX-License-Identifier: MIT
// Token buckets, their bounded map, and the networks that addresses belong to.
#include <catch2/catch.hpp>

#include <thread>

#include "auth/rate_limit.h"

using namespace auth;
using namespace std::chrono_literals;

namespace {
const storage::Time start{std::chrono::hours{500'000}};
}

TEST_CASE("a bucket gives its burst at once and then one token at a time") {
    RateLimit limit{10, 1h};
    for (int i = 0; i < 10; ++i) CHECK(limit.take("a", start) == 0s);
    CHECK(limit.take("a", start) == 360s);
    CHECK(limit.take("a", start + 100s) == 260s);
    CHECK(limit.take("b", start) == 0s);
    CHECK(limit.take("a", start + 360s) == 0s);
    CHECK(limit.take("a", start + 360s) == 360s);
    CHECK(limit.take("a", start + 24h) == 0s);
    for (int i = 0; i < 9; ++i) CHECK(limit.take("a", start + 24h) == 0s);
    CHECK(limit.take("a", start + 24h) > 0s);
}

TEST_CASE("several tokens are taken together, or none of them") {
    RateLimit limit{10, 1h};
    CHECK(limit.take("a", start, 7) == 0s);
    CHECK(limit.take("a", start, 5) == 720s);
    CHECK(limit.take("a", start, 3) == 0s);
    CHECK(limit.take("a", start, 1) == 360s);
    CHECK(limit.take("a", start + 720s, 2) == 0s);
    CHECK(limit.take("b", start, 11) > 0s);
    CHECK(limit.take("b", start, 10) == 0s);
}

TEST_CASE("waiting takes no token") {
    RateLimit limit{1, 1min};
    CHECK(limit.wait("a", start) == 0s);
    CHECK(limit.wait("a", start) == 0s);
    CHECK(limit.size() == 0);
    CHECK(limit.take("a", start) == 0s);
    CHECK(limit.wait("a", start) == 60s);
    CHECK(limit.wait("a", start + 59'500ms) == 1s);
}

TEST_CASE("what is left is told in whole tokens") {
    RateLimit limit{10, 1h};
    CHECK(limit.left("a", start) == 10);
    CHECK(limit.take("a", start, 7) == 0s);
    CHECK(limit.left("a", start) == 3);
    CHECK(limit.left("a", start + 359s) == 3);
    CHECK(limit.left("a", start + 360s) == 4);
    CHECK(limit.left("a", start + 24h) == 10);
    CHECK(limit.left("b", start) == 10);
}

TEST_CASE("a clock that is set back neither gives nor takes") {
    RateLimit limit{2, 1min};
    CHECK(limit.take("a", start) == 0s);
    CHECK(limit.take("a", start - 1h) == 0s);
    CHECK(limit.take("a", start - 1h) == 30s);
}

TEST_CASE("a limit of zero allows nothing") {
    RateLimit limit{0, 1h};
    CHECK(limit.take("a", start) == 3600s);
    CHECK(limit.size() == 0);
}

TEST_CASE("the map stays bounded, and full buckets go first") {
    RateLimit limit{5, 1h, 100};
    for (int i = 0; i < 5; ++i) CHECK(limit.take("abuser", start) == 0s);
    CHECK(limit.take("abuser", start) > 0s);
    // Each of these has 4 of 5 tokens left and is full again after 12 minutes, the abuser's only after an
    // hour.
    for (int i = 0; i < 99; ++i) limit.take("a" + std::to_string(i), start);
    for (int i = 0; i < 500; ++i) limit.take("b" + std::to_string(i), start + std::chrono::minutes{13 + i});
    CHECK(limit.size() == 100);

    RateLimit tight{5, 1h, 100};
    for (int i = 0; i < 6; ++i) tight.take("abuser", start);
    for (int i = 0; i < 99; ++i) tight.take("a" + std::to_string(i), start);
    for (int i = 0; i < 50; ++i) tight.take("b" + std::to_string(i), start + 13min);
    CHECK(tight.take("abuser", start + 1min) > 0s);  // still remembered

    RateLimit full{1, 1h, 3};
    for (int i = 0; i < 10'000; ++i) full.take(std::to_string(i), start);
    CHECK(full.size() == 3);
}

TEST_CASE("threads share a bucket's tokens") {
    RateLimit limit{1000, 1h};
    std::atomic<int> taken = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 500; ++i) taken += limit.take("a", start) == 0s ? 1 : 0;
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(taken == 1000);
}

TEST_CASE("an IPv6 client is its /64, however it is written") {
    CHECK(network_of("192.0.2.1") == "192.0.2.1");
    CHECK(network_of("192.0.2.1") != network_of("192.0.2.2"));
    CHECK(network_of("::ffff:192.0.2.1") == "192.0.2.1");
    CHECK(network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    CHECK(network_of("2001:db8:1:2::1") == network_of("2001:0db8:0001:0002:0:0:0:9"));
    CHECK(network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1"));
    CHECK(network_of("fe80::1%eth0") == network_of("fe80::2"));
    CHECK(network_of("") == "");
    CHECK(network_of("not an address") == "not an address");
}

TEST_CASE("around a client lies a /24, or a /48") {
    CHECK(wider_network_of("192.0.2.1") == "192.0.2/24");
    CHECK(wider_network_of("192.0.2.1") == wider_network_of("::ffff:192.0.2.254"));
    CHECK(wider_network_of("192.0.2.1") != wider_network_of("192.0.3.1"));
    CHECK(wider_network_of("2001:db8:1:2::1") == wider_network_of("2001:db8:1:ffff::9"));
    CHECK(wider_network_of("2001:db8:1:2::1") != wider_network_of("2001:db8:2:2::1"));
    CHECK(wider_network_of("2001:db8:1:2::1") != network_of("2001:db8:1:2::1"));
    CHECK(wider_network_of("not an address") == "not an address");
}
