// SPDX-License-Identifier: MIT
// The primitives against published vectors, and what tokens and digits look like (attack rows 24 and 25).
#include <catch2/catch.hpp>

#include <array>
#include <set>
#include <thread>

#include "auth/crypto.h"
#include "xmpp/base64.h"

using namespace auth;
using storage::Hash;

TEST_CASE("digests are those of FIPS 180-4") {
    CHECK(xmpp::hex(digest(Hash::sha1, "abc")) == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(xmpp::hex(digest(Hash::sha256, "abc")) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(xmpp::hex(digest(Hash::sha256, "")) ==
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(xmpp::hex(digest(Hash::sha512, "abc")).substr(0, 32) == "ddaf35a193617abacc417349ae204131");
    for (const Hash hash : {Hash::sha1, Hash::sha256, Hash::sha512})
        CHECK(digest(hash, "x").size() == digest_size(hash));
}

TEST_CASE("HMAC gives the values of RFC 2202 and RFC 4231, for an empty key too") {
    CHECK(xmpp::hex(hmac(Hash::sha1, "Jefe", "what do ya want for nothing?")) ==
          "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    CHECK(xmpp::hex(hmac(Hash::sha256, "Jefe", "what do ya want for nothing?")) ==
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    CHECK(xmpp::hex(hmac(Hash::sha256, std::string(20, '\x0b'), "Hi There")) ==
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    CHECK(xmpp::hex(hmac(Hash::sha256, "", "")) ==
          "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    CHECK(xmpp::hex(hmac(Hash::sha256, std::string(131, '\xaa'),
                         "Test Using Larger Than Block-Size Key - Hash Key First")) ==
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST_CASE("PBKDF2 gives the values of RFC 6070 and RFC 7914") {
    CHECK(xmpp::hex(pbkdf2(Hash::sha1, "password", "salt", 1)) == "0c60c80f961f0e71f3a9b524af6012062fe037a6");
    CHECK(xmpp::hex(pbkdf2(Hash::sha1, "password", "salt", 4096)) ==
          "4b007901b765489abead49d926f721d065a429c1");
    CHECK(xmpp::hex(pbkdf2(Hash::sha256, "passwd", "salt", 1)) ==
          "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
}

TEST_CASE("contexts of several threads do not disturb each other") {
    const std::string expected = hmac(Hash::sha256, "key", "data");
    std::array<bool, 4> right{};
    std::vector<std::thread> threads;
    for (bool& fine : right) {
        threads.emplace_back([&fine, &expected] {
            fine = true;
            for (int i = 0; i < 500; ++i) {
                fine = fine && hmac(Hash::sha256, "key", "data") == expected &&
                       hmac(Hash::sha1, "other", "x").size() == 20;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (const bool fine : right) CHECK(fine);
}

TEST_CASE("secrets are compared whole") {
    CHECK(equal_in_constant_time("abc", "abc"));
    CHECK(equal_in_constant_time("", ""));
    CHECK_FALSE(equal_in_constant_time("abc", "abd"));
    CHECK_FALSE(equal_in_constant_time("abc", "ab"));
    CHECK_FALSE(equal_in_constant_time("", "a"));
    CHECK_FALSE(equal_in_constant_time(std::string_view("a\0b", 3), std::string_view("a\0c", 3)));
}

TEST_CASE("attack row 25: tokens are long, URL-safe and never the same") {
    std::set<std::string> seen;
    for (int i = 0; i < 1000; ++i) {
        const std::string token = random_token();
        CHECK(token.size() == 27);  // 160 bits
        CHECK(token.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
              std::string::npos);
        seen.insert(token);
    }
    CHECK(seen.size() == 1000);
}

TEST_CASE("random digits are uniform") {
    std::array<int, 10> counts{};
    const std::string digits = random_digits(100'000);
    REQUIRE(digits.size() == 100'000);
    for (const char c : digits) ++counts.at(static_cast<std::size_t>(c - '0'));
    double chi_squared = 0;
    for (const int count : counts) chi_squared += (count - 10'000.0) * (count - 10'000.0) / 10'000.0;
    CHECK(chi_squared < 50);  // 9 degrees of freedom: chance of a false alarm about one in ten million
    CHECK(random_digits(0).empty());
    CHECK(random_digits(5).size() == 5);
}

TEST_CASE("a wiped secret is empty") {
    std::string secret = "a secret longer than what fits into the string itself";
    wipe(secret);
    CHECK(secret.empty());
}
