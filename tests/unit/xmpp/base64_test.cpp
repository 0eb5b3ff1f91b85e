// SPDX-License-Identifier: MIT
// RFC 4648 §4 and §10.
#include "xmpp/base64.h"

#include <catch2/catch.hpp>

#include <random>

using namespace std::literals;

TEST_CASE("the test vectors of RFC 4648 section 10 come out both ways") {
    const std::pair<std::string_view, std::string_view> rows[] = {{"", ""},
                                                                  {"f", "Zg=="},
                                                                  {"fo", "Zm8="},
                                                                  {"foo", "Zm9v"},
                                                                  {"foob", "Zm9vYg=="},
                                                                  {"fooba", "Zm9vYmE="},
                                                                  {"foobar", "Zm9vYmFy"},
                                                                  {"\xff\xfe\xfd"sv, "//79"},
                                                                  {"\0"sv, "AA=="}};
    for (const auto& [bytes, text] : rows) {
        CAPTURE(text);
        CHECK(xmpp::base64(bytes) == text);
        CHECK(xmpp::parse_base64(text) == bytes);
    }
}

TEST_CASE("anything but strict base 64 is refused") {
    for (const auto text : {"Zg"sv, "Zg="sv, "Z==="sv, "===="sv, "Zg==\n"sv, " Zg=="sv, "Zm 9"sv, "Zh=="sv,
                            "Zm9="sv, "Zg==Zg=="sv, "Z-_v"sv, "Zm9v="sv, "=m9v"sv, "Zm\0v"sv, "="sv}) {
        CAPTURE(text);
        CHECK_FALSE(xmpp::parse_base64(text));
    }
}

TEST_CASE("random bytes survive base 64") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random{seed};
    for (int i = 0; i < 500; ++i) {
        std::string bytes(random() % 100, '\0');
        for (char& c : bytes) c = static_cast<char>(random());
        REQUIRE(xmpp::parse_base64(xmpp::base64(bytes)) == bytes);
    }
}

TEST_CASE("hex is lower case") { CHECK(xmpp::hex("\x00\xab\x7f"sv) == "00ab7f"); }
