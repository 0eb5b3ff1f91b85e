// SPDX-License-Identifier: MIT
// XEP-0059: Result Set Management.
#include "xmpp/rsm.h"

#include <catch2/catch.hpp>

#include "xmpp/parser.h"

using namespace xmpp;

namespace {

Result<RsmRequest, StanzaError> parse(std::string_view inner) {
    const Stanza set =
        parse_trusted("<set xmlns='http://jabber.org/protocol/rsm'>" + std::string{inner} + "</set>");
    return RsmRequest::parse(set.element());
}

}  // namespace

TEST_CASE("a page request is read") {
    const auto forwards = parse("<max>10</max><after>peter@example.com</after>");
    REQUIRE(forwards);
    CHECK(forwards->max == 10);
    CHECK(forwards->after == "peter@example.com");
    CHECK_FALSE(forwards->before);
    const auto last_page = parse("<max>10</max><before/>");  // §2.5
    REQUIRE(last_page);
    CHECK(last_page->before == "");
    const auto count = parse("<max>0</max>");  // §2.7
    REQUIRE(count);
    CHECK(count->max == 0);
    CHECK(parse("<index>371</index>")->index == 371);
    CHECK(RsmRequest::parse(Element{}).ok());
}

TEST_CASE("a page request that makes no sense is a bad request") {
    for (const auto* inner :
         {"<max>ten</max>", "<max/>", "<max>-1</max>", "<max>1 </max>", "<max>99999999999</max>",
          "<index>x</index>", "<after>a</after><before>b</before>", "<index>5</index><before/>",
          "<after>a</after><index>0</index>"}) {
        CAPTURE(inner);
        const auto request = parse(inner);
        REQUIRE_FALSE(request);
        CHECK(request.error().condition == Condition::bad_request);
    }
}

TEST_CASE("a page is described") {
    XmlWriter w;
    RsmAnswer{"a<", "z", 0, 800}.write(w);
    CHECK(w.take() ==
          "<set xmlns='http://jabber.org/protocol/rsm'><first index='0'>a&lt;</first><last>z</last>"
          "<count>800</count></set>");
    XmlWriter empty;
    RsmAnswer{{}, {}, {}, 0}.write(empty);
    CHECK(empty.take() == "<set xmlns='http://jabber.org/protocol/rsm'><count>0</count></set>");
}
