// SPDX-License-Identifier: MIT
// RFC 7622: addresses, as tables. The numbered rows are those of RFC 7622 §3.5.
#include "xmpp/jid.h"

#include <catch2/catch.hpp>

#include <random>

using namespace std::literals;
using xmpp::Jid;
using xmpp::JidView;

namespace {

struct Row {
    std::string_view text, localpart, domainpart, resourcepart;
};

std::string many(std::size_t count, char c = 'a') { return std::string(count, c); }

const std::string not_addresses[] = {
    "",
    "@",
    "/",
    "@/",
    "juliet@",
    "/foobar",
    "@example.com",
    "example.com/",
    "juliet@example.com/",
    "\"juliet\"@example.com",
    "foo bar@example.com",
    "juliet@example.com/ foo",
    "@example.com/",  // 16 to 19
    "henryⅣ@example.com",
    "♚@example.com",  // 20, 21
    "a&b@example.com",
    "a'b@example.com",
    "a:b@example.com",
    "a<b@example.com",
    "a>b@example.com",
    "a@b@example.com",
    "juliet@.",
    "juliet@..",
    "juliet@a..b",
    "juliet@.a",
    "juliet@-a.example",
    "juliet@a-.example",
    "juliet@exa mple.com",
    "juliet@exa_mple.com",
    "juliet@example.com:5222",
    "juliet@[::1",
    "juliet@[]",
    "juliet@[fe80::1%25eth0]",
    "juliet@[1.2.3.4]",
    "juliet@ab--cd.example",
    "a＠b@example.com",  // a fullwidth commercial at becomes one
    "juliet@℡.example",
    "juliet@ⅳ.example",
    "juliet@☃.example",
    "juliet@a。b",
    "juliet@a．b",
    "juliet@xn--.example",
    "juliet@xn--a.example",
    "juliet@xn--99999999999.example",
    "a\tb@example.com",
    "juliet@example.com/a\tb",
    "juliet@example.com/\x7f",
    "a\u200db@example.com",
    "a\u200cb@example.com",
    "a·b@example.com",
    "a\u0375b@example.com",
    "a\u05f3@example.com",
    "a\u30fb@example.com",
    "\u0660\u06f0@example.com",
    "juliet@example.com/\u30fb",  // RFC 5892 appendix A.7 to A.9
    "juliet@example.com/a\u30fb\u30fb",
    "juliet@example.com/\u0660a\u06f0",
    "juliet@example.com/\u06f9\u0669",
    "a\u00ad@example.com",
    "a\ufeff@example.com",
    "a\u2028@example.com",
    "a\u202e@example.com",
    "juliet@example.com/a\u202e",
    "juliet@example.com/\ufffe",
    "juliet@example.com/\ue000",
    "juliet@example.com/\U000e0001",
    "\u1100\u1161\u11ff@example.com",
    "שלaום@example.com",
    "aש@example.com",
    "1ש@example.com",  // RFC 5893 §2
    "\xff@example.com",
    "\xc0\xaf@example.com",
    "\xed\xa0\x80@example.com",
    "juliet@example.com/\xf8\x88",
    "juliet@\xc3.example",
    "juliet@example.com/\xc3",
    "ju\0liet@example.com"s,
    "juliet@exa\0mple.com"s,
    "juliet@example.com/a\0b"s,
    std::string(1024, 'a') + "@example.com",
    "juliet@example.com/" + std::string(1024, 'a'),
    std::string(64, 'a') + ".example",
    std::string(1022, 'a') + "é@example.com/x",
    "juliet@" + std::string(1024, 'a'),
};

}  // namespace

TEST_CASE("an address is split and normalised as RFC 7622 says") {
    const Row rows[] = {
        {"juliet@example.com", "juliet", "example.com", ""},                    // 1
        {"juliet@example.com/foo", "juliet", "example.com", "foo"},             // 2
        {"juliet@example.com/foo bar", "juliet", "example.com", "foo bar"},     // 3
        {"juliet@example.com/foo@bar", "juliet", "example.com", "foo@bar"},     // 4
        {"foo\\20bar@example.com", "foo\\20bar", "example.com", ""},            // 5
        {"fussball@example.com", "fussball", "example.com", ""},                // 6
        {"fußball@example.com", "fußball", "example.com", ""},                  // 7
        {"π@example.com", "π", "example.com", ""},                              // 8
        {"Σ@example.com/foo", "σ", "example.com", "foo"},                       // 9
        {"σ@example.com/foo", "σ", "example.com", "foo"},                       // 10
        {"ς@example.com/foo", "ς", "example.com", "foo"},                       // 11
        {"king@example.com/♚", "king", "example.com", "♚"},                     // 12
        {"example.com", "", "example.com", ""},                                 // 13
        {"example.com/foobar", "", "example.com", "foobar"},                    // 14
        {"a.example.com/b@example.net", "", "a.example.com", "b@example.net"},  // 15
        {"JULIET@Example.COM/Balcony", "juliet", "example.com", "Balcony"},
        {"juliet@example.com.", "juliet", "example.com", ""},
        {"juliet@example.com/a/b", "juliet", "example.com", "a/b"},
        {"juliet@localhost", "juliet", "localhost", ""},
        {"juliet@127.0.0.1/x", "juliet", "127.0.0.1", "x"},
        {"juliet@[::1]/x", "juliet", "[::1]", "x"},
        {"juliet@[2001:DB8:0:0::1]", "juliet", "[2001:db8::1]", ""},
        {"4915112345678@chat.example", "4915112345678", "chat.example", ""},
        {"Ａlice@example.com", "alice", "example.com", ""},         // fullwidth, RFC 8265 §3.3.1
        {"e\u0301milie@example.com", "émilie", "example.com", ""},  // NFC
        {"ÉMILIE@BÜCHER.example/É", "émilie", "bücher.example", "É"},
        {"juliet@xn--bcher-kva.example", "juliet", "bücher.example", ""},
        {"juliet@faß.de", "juliet", "faß.de", ""},  // nontransitional
        {"juliet@例え.jp", "juliet", "例え.jp", ""},
        {"juliet@example.com/a\u00a0b", "juliet", "example.com", "a b"},  // other spaces, RFC 8265 §4.2.2
        {"juliet@example.com/e\u0301", "juliet", "example.com", "é"},
        {"juliet@example.com/Ⅳ", "juliet", "example.com", "Ⅳ"},       // only an identifier forbids it
        {"col·lecció@example.cat", "col·lecció", "example.cat", ""},  // U+00B7 between two l
        {"ロミオ・ジュリエット@example.com", "ロミオ・ジュリエット", "example.com", ""},  // RFC 5892 appendix A.7
        {"juliet@example.com/・・漢", "juliet", "example.com", "・・漢"},
        {"juliet@example.com/٠١٩ a", "juliet", "example.com", "٠١٩ a"},  // appendix A.8
        {"juliet@example.com/۰۱۹ 1", "juliet", "example.com", "۰۱۹ 1"},  // appendix A.9
        {"שלום@example.com", "שלום", "example.com", ""},
        {"سلام1@example.com", "سلام1", "example.com", ""},
    };
    for (const Row& row : rows) {
        CAPTURE(row.text);
        const auto jid = Jid::parse(row.text);
        REQUIRE(jid);
        CHECK(jid->localpart() == row.localpart);
        CHECK(jid->domainpart() == row.domainpart);
        CHECK(jid->resourcepart() == row.resourcepart);
        CHECK(jid->is_full() == !row.resourcepart.empty());
        CHECK(jid->is_bare() == row.resourcepart.empty());
    }
}

TEST_CASE("what is not an address is refused") {
    for (const std::string& row : not_addresses) {
        CAPTURE(row);
        CHECK_FALSE(Jid::parse(row));
        CHECK_FALSE(xmpp::view_if_normal(row));
    }
}

TEST_CASE("each part holds up to 1023 bytes") {
    CHECK(Jid::parse(many(1023) + "@example.com/" + many(1023)));
    CHECK(Jid::parse(many(1021) + "é@example.com"));
    std::string domain = many(63);
    while (domain.size() + 64 <= 1023) domain += "." + many(63);
    CHECK(Jid::parse("a@" + domain));
}

TEST_CASE("the fast path takes only what is normal already") {
    for (const auto text :
         {"juliet@example.com"sv, "juliet@example.com/Balcony 7"sv, "example.com"sv, "a@127.0.0.1"sv}) {
        CAPTURE(text);
        const auto view = xmpp::view_if_normal(text);
        REQUIRE(view);
        CHECK(view->text() == text);
        CHECK(Jid{*view}.text() == Jid::parse(text)->text());
    }
    for (const auto text : {"Juliet@example.com"sv, "juliet@Example.com"sv, "juliet@example.com."sv,
                            "π@example.com"sv, "juliet@[::1]"sv, "juliet@xn--bcher-kva.example"sv}) {
        CAPTURE(text);
        CHECK_FALSE(xmpp::view_if_normal(text));
        CHECK(Jid::parse(text));
    }
}

TEST_CASE("an address knows its relatives") {
    const Jid full = *Jid::parse("juliet@example.com/balcony");
    CHECK(full.bare().text() == "juliet@example.com");
    CHECK(full.bare().with_resource("tomb").text() == "juliet@example.com/tomb");
    CHECK(full.with_resource("tomb").resourcepart() == "tomb");
    CHECK(full.view().bare() == full.bare().view());
    CHECK(Jid{full.view()} == full);
    CHECK(Jid{full.view().bare()}.localpart() == "juliet");
    CHECK(Jid::from_parts("Juliet", "EXAMPLE.com", "x")->text() == "juliet@example.com/x");
    CHECK(Jid::from_parts("", "example.com")->is_domain());
    CHECK_FALSE(Jid::from_parts("a@b", "example.com"));
    CHECK_FALSE(Jid::from_parts("a", "example.com/x"));
    CHECK(Jid{}.empty());
    CHECK(JidView{}.localpart().empty());
}

TEST_CASE("passwords are prepared as opaque strings") {
    CHECK(xmpp::opaque_string("correct horse") == "correct horse");
    CHECK(xmpp::opaque_string(" x ") == " x ");
    CHECK(xmpp::opaque_string("Foo\u1680Bar") == "Foo Bar");  // RFC 8265 §4.3
    CHECK(xmpp::opaque_string("πß๏") == "πß๏");
    CHECK(xmpp::opaque_string("e\u0301") == "é");
    CHECK_FALSE(xmpp::opaque_string(""));
    CHECK_FALSE(xmpp::opaque_string("my cat is a \tby"));
    CHECK_FALSE(xmpp::opaque_string("\xff"));
}

TEST_CASE("a normalised address normalises to itself, whatever it came from") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random{seed};
    const std::string_view pieces[] = {"a",  "Z",    "9",    "@", "/",      ".",  "-", "é", "e\u0301",
                                       "ß",  "ẞ",    "Σ",    "İ", "ｱ",      "Ａ", "ש", "ع", "٣",
                                       "·",  "l",    "xn--", " ", "\u200d", "क्",  "♚", "Ⅳ", "한",
                                       "ᄒ", "\xff", "[",    ":", "]",      "。"};
    std::size_t accepted = 0;
    for (int i = 0; i < 20000; ++i) {
        std::string text;
        for (auto left = 1 + random() % 8; left > 0; --left) text += pieces[random() % std::size(pieces)];
        const auto jid = Jid::parse(text);
        if (!jid) continue;
        ++accepted;
        CAPTURE(text);
        const auto again = Jid::parse(jid->text());
        REQUIRE(again);
        REQUIRE(again->text() == jid->text());
        REQUIRE(again->localpart() == jid->localpart());
        REQUIRE(again->resourcepart() == jid->resourcepart());
        if (const auto view = xmpp::view_if_normal(text)) REQUIRE(view->text() == jid->text());
    }
    CHECK(accepted > 100);
}
