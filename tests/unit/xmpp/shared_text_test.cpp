// SPDX-License-Identifier: MIT
#include "xmpp/shared_text.h"

#include <catch2/catch.hpp>

using xmpp::SharedText;

TEST_CASE("a shared text reads as the text it was made of", "[shared_text]") {
    const SharedText text = std::string{"with\0zero", 9};
    CHECK(text == std::string_view{"with\0zero", 9});
    CHECK(text.size() == 9);
    CHECK_FALSE(text.empty());
    CHECK(std::string{text} == std::string(text.view()));
    CHECK(text == SharedText{std::string_view{"with\0zero", 9}});
    CHECK_FALSE(text == SharedText{"with"});
}

TEST_CASE("copies of a shared text share its bytes, and outlive it", "[shared_text]") {
    SharedText copy;
    {
        const SharedText text{"phone"};
        copy = text;
        CHECK(copy.view().data() == text.view().data());
    }
    CHECK(copy == "phone");
    copy = "tablet";
    CHECK(copy == "tablet");
}

TEST_CASE("an empty shared text is a pointer, and nothing behind it", "[shared_text]") {
    STATIC_REQUIRE(sizeof(SharedText) == sizeof(void*));
    for (const SharedText& text : {SharedText{}, SharedText{""}, SharedText{std::string{}}}) {
        CHECK(text.empty());
        CHECK(text == "");
        CHECK(text.view().data() == nullptr);
    }
}
