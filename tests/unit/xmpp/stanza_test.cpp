// SPDX-License-Identifier: MIT
// Stanzas written out: payload verbatim where it may be, anew where a prefix would be lost (attack row 62),
// and never recursively (row 63).
#include "xmpp/stanza.h"

#include <catch2/catch.hpp>

#include <thread>

#include "random_xml.h"
#include "xmpp/namespaces.h"
#include "xmpp/parser.h"
#include "xmpp/wire.h"

using namespace std::literals;
using namespace xmpp;

namespace {

std::string written(const Stanza& stanza, const Stanza::Rewrite& rewrite = {}) {
    std::string out;
    stanza.write(out, rewrite);
    return out;
}

std::string written(std::string_view xml, const Stanza::Rewrite& rewrite = {}) {
    return written(parse_trusted(xml), rewrite);
}

std::string rewritten_in_stream(std::string_view xml, const StreamHeader& header) {
    Parser parser{Limits{}};
    const auto stanza = parser.parse(xml, &header);
    REQUIRE(stanza);
    return written(*stanza);
}

// The children alone, to compare payloads under different start tags.
std::string payload(const Stanza& stanza) {
    std::string out = "[" + stanza.element().text() + "]";
    for (const Element child : stanza.children()) out += describe(child);
    return out;
}

bool strip_urn_a(const Element& child, const void*) { return child.ns() == "urn:a"; }

}  // namespace

TEST_CASE("a payload that stands alone is passed through byte by byte") {
    const Jid from = *Jid::parse("romeo@montague.lit/orchard");
    const Jid to = *Jid::parse("juliet@capulet.lit");
    Stanza::Rewrite rewrite;
    rewrite.from = from.view();
    rewrite.to = to.view();
    rewrite.lang = "it";
    CHECK(written("<message  type=\"chat\" to='x@y' id='1'><body >a &lt;\n <![CDATA[b]]></body><x "
                  "xmlns=\"u\" ><p:y "
                  "xmlns:p='v'/></x></message>",
                  rewrite) ==
          "<message from='romeo@montague.lit/orchard' to='juliet@capulet.lit' type='chat' id='1' "
          "xml:lang='it'><body >a "
          "&lt;\n <![CDATA[b]]></body><x xmlns=\"u\" ><p:y xmlns:p='v'/></x></message>");
}

TEST_CASE("a start tag is written anew") {
    const Jid to = *Jid::parse("b@c");
    Stanza::Rewrite none;
    none.from = JidView{};
    none.to = JidView{};
    none.type = "";
    CHECK(written("<presence/>") == "<presence/>");
    CHECK(written("<presence></presence>") == "<presence/>");
    CHECK(written("<presence from='a@b' to='b@c' type='x' id='&lt;'/>", none) == "<presence id='&lt;'/>");
    CHECK(written("<presence xml:lang='de'/>", {.lang = "en"}) == "<presence xml:lang='de'/>");
    CHECK(written("<presence/>", {.type = "error", .append = "<x/>"}) ==
          "<presence type='error'><x/></presence>");
    CHECK(written("<iq to='A@B' from='@'/>") == "<iq from='@' to='a@b'/>");
    CHECK(written("<iq xmlns:p='urn:p' p:a='1' b='2'/>") == "<iq xmlns:ns0='urn:p' ns0:a='1' b='2'/>");
    CHECK(written("<iq xmlns:p='urn:p' xmlns:q='urn:q' p:a='1' b='2' q:c='3' p:d='4' xml:lang='de'/>") ==
          "<iq xmlns:ns0='urn:p' ns0:a='1' b='2' xmlns:ns2='urn:q' ns2:c='3' ns0:d='4' xml:lang='de'/>");
    CHECK(written("<iq xmlns='jabber:client'/>") == "<iq/>");
    CHECK(written("<iq xmlns='jabber:server'><x/></iq>") == "<iq><x/></iq>");
    CHECK(written("<a xmlns='urn:xmpp:sm:3' h='1'/>") == "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    CHECK(written("<p:message xmlns:p='jabber:client'><p:body/></p:message>") ==
          "<message><body/></message>");
    CHECK(written("<p:message xmlns:p='jabber:client' xmlns='urn:d'><d/></p:message>") ==
          "<message><d xmlns='urn:d'/></message>");
    CHECK(written("<message xmlns:p='urn:p'><a>x<p:b>&amp;<c xmlns='urn:c' p:k='v'/></p:b></a></message>") ==
          "<message><a>x<b xmlns='urn:p'>&amp;<c xmlns='urn:c' xmlns:ns0='urn:p' "
          "ns0:k='v'/></b></a></message>");
    CHECK(written("<message><a xmlns=''><b/></a></message>") == "<message><a xmlns=''><b/></a></message>");
    CHECK(written("<message xmlns:p='urn:p'><p:a xmlns=''><b/></p:a></message>") ==
          "<message><a xmlns='urn:p'><b xmlns=''/></a></message>");
}

TEST_CASE("children are left out without touching the bytes between the others") {
    const Stanza::Rewrite rewrite{.append = "<z/>", .strip = strip_urn_a};
    CHECK(written("<message>1<a xmlns='urn:a'/>2<b  />3<x:a xmlns:x='urn:a'>y</x:a>4</message>", rewrite) ==
          "<message>12<b  />34<z/></message>");
    CHECK(written("<message><a xmlns='urn:a'/></message>", {.strip = strip_urn_a}) == "<message/>");
    CHECK(written("<message xmlns:p='urn:p'><a xmlns='urn:a'/><p:b/><c  /></message>",
                  {.strip = strip_urn_a}) == "<message><b xmlns='urn:p'/><c  /></message>");
}

TEST_CASE("a prefix declared on the stream header never reaches the output undeclared") {
    StreamHeader header;
    header.extra_prefixes = {{"p", "urn:p"}};
    CHECK(rewritten_in_stream("<message><p:x><y p:k=''/></p:x></message>", header) ==
          "<message><x xmlns='urn:p'><y xmlns='jabber:client' xmlns:ns0='urn:p' ns0:k=''/></x></message>");
    CHECK(rewritten_in_stream("<message p:k='1'/>", header) == "<message xmlns:ns0='urn:p' ns0:k='1'/>");
    CHECK(rewritten_in_stream("<message><stream:x/></message>", header) ==
          "<message><x xmlns='http://etherx.jabber.org/streams'/></message>");
    CHECK(rewritten_in_stream("<message><p:x xmlns:p='urn:q'/></message>", header) ==
          "<message><p:x xmlns:p='urn:q'/></message>");
}

TEST_CASE("an element stands alone, verbatim where it can") {
    const Stanza stanza = parse_trusted(
        "<message xmlns:p='urn:p'><body  a='1'>x</body><f xmlns='urn:f' ><g/></f><p:h><i/></p:h>"
        "<q:j xmlns:q='urn:q'><k/></q:j></message>");
    CHECK(stanza.child("body", ns::client).xml() == "<body xmlns='jabber:client'  a='1'>x</body>");
    CHECK(stanza.child("body", ns::client).xml(ns::client) == "<body  a='1'>x</body>");
    const Element f = stanza.child("f", "urn:f");
    CHECK(f.xml() == "<f xmlns='urn:f' ><g/></f>");
    CHECK(f.first_child().xml() == "<g xmlns='urn:f'/>");
    CHECK(f.first_child().xml("urn:f") == "<g/>");
    CHECK(stanza.child("h", "urn:p").xml(ns::client) == "<h xmlns='urn:p'><i xmlns='jabber:client'/></h>");
    CHECK(stanza.child("j", "urn:q").xml("urn:other") ==
          "<q:j xmlns='jabber:client' xmlns:q='urn:q'><k/></q:j>");
    CHECK(parse_trusted("<iq  id='1'/>").xml() == "<iq xmlns='jabber:client'  id='1'/>");
    CHECK(Element{}.xml().empty());
}

TEST_CASE("what is written reads as the same tree, with changed attributes") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random{seed};
    RandomXml xml{random};
    xml.outside = {"o"};
    StreamHeader header;
    header.extra_prefixes = {{"o", "urn:outside"}};
    Parser parser{Limits{}};
    const Jid from = *Jid::parse("romeo@montague.lit/orchard");
    std::size_t portable = 0;
    for (int i = 0; i < 3000; ++i) {
        const std::string source = xml.element("message", " from='eve@evil.example' to='a@b' id=\"&lt;1\"");
        const auto stanza = parser.parse(source, &header, xml.one_in(2) ? JidView{} : from.view());
        CAPTURE(source);
        REQUIRE(stanza);
        Stanza::Rewrite rewrite{.type = "chat"};
        rewrite.from = from.view();
        std::string out;
        stanza->write(out, rewrite);
        CAPTURE(out);
        const Stanza again = parse_or_empty(out);
        REQUIRE(again);
        REQUIRE(again.from() == from.view());
        REQUIRE(again.to() == stanza->to());
        REQUIRE(again.type() == "chat");
        REQUIRE(again.id() == "<1");
        REQUIRE(payload(again) == payload(*stanza));
        const Stanza once_more = parse_or_empty(written(again, rewrite));
        REQUIRE(once_more);
        REQUIRE(payload(once_more) == payload(*stanza));
        portable += out.size() <= source.size() + 100;

        const std::string alone = stanza->xml();
        CAPTURE(alone);
        REQUIRE(describe(parse_or_empty(alone).element()) == describe(stanza->element()));
        for (const Element child : stanza->children()) {
            REQUIRE(describe(parse_or_empty(child.xml()).element()) == describe(child));
            const Stanza wrapped = parse_or_empty("<w xmlns='urn:a'>" + child.xml("urn:a") + "</w>");
            REQUIRE(wrapped);
            REQUIRE(describe(wrapped.element().first_child()) == describe(child));
        }
        std::string stripped;
        stanza->write(stripped, {.strip = strip_urn_a});
        const Stanza left = parse_or_empty(stripped);
        REQUIRE(left);
        std::string expected;
        for (const Element child : stanza->children())
            if (child.ns() != "urn:a") expected += describe(child);
        std::string found;
        for (const Element child : left.children()) found += describe(child);
        REQUIRE(found == expected);
    }
    CHECK(portable > 1000);
}

TEST_CASE("nesting costs no stack, however a stanza is walked and written") {
    Limits limits;
    limits.stanza_bytes = 64 * 1024 * 1024;
    limits.depth = limits.elements = 300000;
    Parser parser{limits};
    constexpr int depth = 200000;
    std::string xml = "<message xmlns:p='urn:p'>";
    for (int i = 0; i < depth; ++i) xml += "<p:a>";
    for (int i = 0; i < depth; ++i) xml += "</p:a>";
    xml += "</message>";
    std::size_t levels = 0;
    std::string out;
    std::thread shallow{[&] {
        const auto stanza = parser.parse(xml);
        if (!stanza) return;
        for (Element at = stanza->element().first_child(); at; at = at.first_child()) ++levels;
        stanza->write(out, {});
    }};
    shallow.join();
    CHECK(levels == depth);
    CHECK(out.substr(0, 32) == "<message><a xmlns='urn:p'><a><a>");
    CHECK(out.size() ==
          "<message xmlns='urn:p'></message>"sv.size() + depth * "<a></a>"sv.size() - "></a"sv.size() + 1);
}

TEST_CASE("a stanza is shared, not copied") {
    Stanza stanza = parse_trusted("<message><body>x</body></message>");
    const Stanza copy = stanza;
    CHECK(copy.element() == stanza.element());
    const Stanza moved = std::move(stanza);
    CHECK(moved.element() == copy.element());
    Stanza other;
    CHECK_FALSE(other);
    other = copy;
    other = other;
    CHECK(other.size() == 33);
    CHECK(Stanza{}.xml().empty());
    CHECK(Stanza{}.kind() == Kind::other);
}

TEST_CASE("a stanza as it is on a stream stands alone with its namespace declared, once") {
    CHECK(standing_alone("<message to='a'><body>x</body></message>") ==
          "<message xmlns='jabber:client' to='a'><body>x</body></message>");
    CHECK(standing_alone("<presence/>") == "<presence xmlns='jabber:client'/>");
    CHECK(standing_alone("<iq></iq>") == "<iq xmlns='jabber:client'></iq>");
    const std::string declared = "<message xmlns='jabber:client' to='a'/>";
    CHECK(standing_alone(declared) == declared);
}

TEST_CASE("wire bytes are made once and shared") {
    const Wire wire{"<r/>"};
    const Wire copy = wire;
    CHECK(copy.bytes().data() == wire.bytes().data());
    CHECK(copy.bytes() == "<r/>");
    CHECK(Wire{""}.size() == 0);
    CHECK_FALSE(Wire{});
}
