// SPDX-License-Identifier: MIT
// Which texts are phone numbers, and that each number has one spelling.
#include <catch2/catch.hpp>

#include "auth/phone.h"

using auth::localpart_of;
using auth::parse_phone;

TEST_CASE("a number has one spelling, whatever stood between its digits") {
    for (const char* text : {"+4915112345678", "+49 151 12345678", "+49 (151) 1234-5678", "+49.151.1234.5678",
                             "+49 (0)151 12345678"}) {
        CAPTURE(text);
        CHECK(parse_phone(text) == "+4915112345678");
    }
    CHECK(parse_phone("+1 202-456-1414") == "+12024561414");
    CHECK(parse_phone("+39 06 6982") == "+39066982");  // Italy keeps the zero
    CHECK(localpart_of("+4915112345678") == "4915112345678");
}

TEST_CASE("what is no international number without extension is refused") {
    // clang-format off
    const std::vector<std::string> texts{
        "", "+", "0", "015112345678", "4915112345678", "004915112345678", "+49", "+491",
        "+49151123456789012345", "+999123456789", "+00000000000", "+1 202-456-1414 ext. 3",
        "+12024561414;ext=3", "+1 202-456-1414x3", "+1800FLOWERS", "tel:+4915112345678",
        "+4915112345678\n", "+49 151 12345678,123", " +4915112345678", "+49151123456\xd9\xa7\xd9\xa8",
        std::string("+49151\0" "12345678", 15), "++4915112345678", "+49151+12345678", std::string(1000, '1'), "+" + std::string(1000, '1'),
        "\xff\xff", "+49 151 12345678 #", "null"};
    // clang-format on
    for (const std::string& text : texts) {
        CAPTURE(text.substr(0, 40));
        CHECK_FALSE(parse_phone(text).has_value());
    }
}

TEST_CASE("numbers that are nobody's phone are refused") {
    const std::vector<std::pair<std::string, std::string>> numbers{
        {"premium rate", "+49 900 1234567"}, {"premium rate", "+1 900 234 5678"}, {"shared cost", "+49 180 12345"},
        {"universal access", "+49 185 00123456"}, {"a pager", "+49 164 12345"}, {"voicemail", "+49 177 991234567"},
    };
    for (const auto& [what, number] : numbers) {
        CAPTURE(what);
        CHECK_FALSE(parse_phone(number).has_value());
    }
    CHECK(parse_phone("+49 800 1234567"));   // free of charge
}
