// SPDX-License-Identifier: MIT
// The writer: escapes, closes, declares a namespace only where it changes.
#include "xmpp/xml_writer.h"

#include <catch2/catch.hpp>

#include <random>

#include "xmpp/namespaces.h"
#include "xmpp/parser.h"

using namespace xmpp;

TEST_CASE("a namespace is declared where it changes and nowhere else") {
    XmlWriter w;
    w.open("iq", ns::client).attr("type", "result").attr("n", 7);
    w.open("query", ns::roster).open("item").attr("jid", "a@b").leaf("group", "x").close().close();
    w.leaf_ns("error", ns::client).leaf_ns("x", "urn:a").open("y", "urn:a").leaf_ns("z", ns::client).close();
    CHECK(w.take() ==
          "<iq type='result' n='7'><query xmlns='jabber:iq:roster'><item "
          "jid='a@b'><group>x</group></item></query>"
          "<error/><x xmlns='urn:a'/><y xmlns='urn:a'><z xmlns='jabber:client'/></y></iq>");
}

TEST_CASE("what is around decides about the first declaration") {
    XmlWriter bare{""};
    bare.open("a", "").open("b", "urn:b").leaf_ns("c", "");
    CHECK(bare.take() == "<a><b xmlns='urn:b'><c xmlns=''/></b></a>");
    XmlWriter inside{"urn:b"};
    inside.leaf_ns("b", "urn:b");
    CHECK(inside.take() == "<b/>");
}

TEST_CASE("text and attributes are escaped, empty ones written short") {
    XmlWriter w;
    w.open("a").attr("b", "<'\">&\n").attr_if("c", "").text("<&>\"'\n").close();
    CHECK(w.take() == "<a b='&lt;&apos;&quot;&gt;&amp;&#10;'>&lt;&amp;&gt;\"'\n</a>");
    XmlWriter empty;
    empty.open("a").text("").raw("").close();
    CHECK(empty.take() == "<a/>");
    XmlWriter raw;
    raw.open("a").raw("<b/>").text("c");
    CHECK(raw.take() == "<a><b/>c</a>");
}

TEST_CASE("any bytes of text come back from the parser, control characters replaced") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random{seed};
    for (int i = 0; i < 500; ++i) {
        std::string text(1 + random() % 30, ' ');
        for (char& c : text) c = static_cast<char>(random() % 0x80);
        std::string expected;
        for (const char c : text) {
            const bool is_control =
                static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r';
            if (is_control)
                expected += "\xef\xbf\xbd";
            else
                expected += c;
        }
        XmlWriter w{""};
        w.open("a", "urn:a").attr("b", text).text(text);
        const Stanza parsed = parse_or_empty(w.take());
        REQUIRE(parsed);
        REQUIRE(parsed.element().attr("b") == expected);
        REQUIRE(parsed.element().text() == expected);
    }
}
