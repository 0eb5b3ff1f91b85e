// SPDX-License-Identifier: MIT
// XEP-0082: XMPP Date and Time Profiles.
#include "xmpp/date_time.h"

#include <catch2/catch.hpp>

#include <random>

using namespace std::chrono;
using namespace std::literals;
using xmpp::Time;

TEST_CASE("XEP-0082 section 3.2: the moon landing, in two time zones") {
    const auto utc = xmpp::parse_date_time("1969-07-21T02:56:15Z");
    REQUIRE(utc);
    CHECK(xmpp::parse_date_time("1969-07-20T21:56:15-05:00") == utc);
    CHECK(xmpp::format_date_time(*utc) == "1969-07-21T02:56:15Z");
}

TEST_CASE("fractions count to the microsecond") {
    const Time base = *xmpp::parse_date_time("2024-02-29T23:59:59Z");
    CHECK(xmpp::parse_date_time("2024-02-29T23:59:59.5Z") == base + 500ms);
    CHECK(xmpp::parse_date_time("2024-02-29T23:59:59.123456Z") == base + 123456us);
    CHECK(xmpp::parse_date_time("2024-02-29T23:59:59.1234569999Z") == base + 123456us);
    CHECK(xmpp::format_date_time(base + 123999us) == "2024-02-29T23:59:59Z");
    CHECK(xmpp::format_date_time(base + 123999us, true) == "2024-02-29T23:59:59.123Z");
    CHECK(xmpp::format_date_time(Time{} - 1us, true) == "1969-12-31T23:59:59.999Z");
}

TEST_CASE("what is no date and time is refused") {
    for (const auto text : {""sv,
                            "2024"sv,
                            "2024-01-01"sv,
                            "20240101T00:00:00"sv,
                            "2024-01-01T00:00:00"sv,
                            "2024-13-01T00:00:00Z"sv,
                            "2024-00-01T00:00:00Z"sv,
                            "2023-02-29T00:00:00Z"sv,
                            "2024-01-32T00:00:00Z"sv,
                            "2024-01-01T24:00:00Z"sv,
                            "2024-01-01T00:60:00Z"sv,
                            "2024-01-01T00:00:60Z"sv,
                            "2024-01-01T00:00:00.Z"sv,
                            "2024-01-01T00:00:00z"sv,
                            "2024-01-01T00:00:00+0100"sv,
                            "2024-01-01T00:00:00+15:00"sv,
                            "2024-01-01T00:00:00+01:60"sv,
                            "2024-01-01T00:00:00ZZ"sv,
                            " 2024-01-01T00:00:00Z"sv,
                            "2024-01-01 00:00:00Z"sv,
                            "2024-1-1T00:00:00Z"sv,
                            "-2024-01-01T00:00:00Z"sv,
                            "2024-01-01T00:00:00+"sv}) {
        CAPTURE(text);
        CHECK_FALSE(xmpp::parse_date_time(text));
    }
}

TEST_CASE("a random moment survives being written and read") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    for (int i = 0; i < 1000; ++i) {
        const Time time{
            milliseconds{static_cast<std::int64_t>(random() % 253402300800000)}};  // up to the year 9999
        REQUIRE(xmpp::parse_date_time(xmpp::format_date_time(time, true)) == time);
    }
}
