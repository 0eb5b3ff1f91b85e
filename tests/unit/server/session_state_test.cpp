// SPDX-License-Identifier: MIT
// What is stored of a session comes back as it was, and nothing comes of what is cut off.
#include <catch2/catch.hpp>

#include "server/session_state.h"

using server::SessionState;

TEST_CASE("texts come back under the names of those who wrote them, whatever is in them") {
    SessionState state;
    state["a"] = {"", "3:x", "\xF0\x9F\x8C\xB9\n:"};
    state["empty"];
    const auto read = SessionState::parse(state.bytes());
    REQUIRE(read);
    REQUIRE(read->find("a"));
    CHECK(*read->find("a") == SessionState::Texts{"", "3:x", "\xF0\x9F\x8C\xB9\n:"});
    REQUIRE(read->find("empty"));
    CHECK(read->find("empty")->empty());
    CHECK_FALSE(read->find("nobody"));
}

TEST_CASE("a state that is cut off is none") {
    SessionState state;
    state["part"] = {"one", "two"};
    const std::string bytes = state.bytes();
    for (std::size_t size = 1; size < bytes.size(); ++size) CHECK_FALSE(SessionState::parse(std::string_view{bytes}.substr(0, size)));
    CHECK_FALSE(SessionState::parse("99999999999999999999:x"));
    CHECK_FALSE(SessionState::parse("-1:x"));
    CHECK_FALSE(SessionState::parse("1:a20:"));
}
