// SPDX-License-Identifier: MIT
// Carbons, rooms, subscriptions and archives read again what a client's stanza has become when it was written anew:
// whatever a stream's parser lets in, a stanza comes of it, each time.
#include <catch2/catch.hpp>

#include "xmpp/parser.h"

using namespace xmpp;

namespace {

// "p:a0='' p:a1='' …" of " p:a#=''"
std::string numbered(std::string_view form, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) {
        std::string one{form};
        for (std::size_t at = 0; (at = one.find('#', at)) != std::string::npos;) one.replace(at, 1, std::to_string(i));
        all += one;
    }
    return all;
}

std::string repeated(std::string_view text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
}

// With all attributes that the stanzas below have.
std::string spelled(const Element& element) {
    std::string out = "{" + std::string{element.ns()} + "}" + std::string{element.name()};
    for (int i = 0; i < 64; ++i) {
        const std::string number = std::to_string(i);
        for (const std::string& ns : {std::string{}, std::string{"u"}, "u" + number})
            if (const auto value = element.find_attr("a" + number, ns)) out += " {" + ns + "}a" + number + "=" + std::string{*value};
    }
    out += "[" + element.text() + "]<";
    for (const Element child : element.children()) out += spelled(child);
    return out + ">";
}

std::string spelled_payload(const Stanza& stanza) {
    std::string out = stanza.element().text();
    for (const Element child : stanza.children()) out += spelled(child);
    return out;
}

std::string written(const Stanza& stanza) {
    std::string xml;
    stanza.write(xml, {.append = "<delay xmlns='urn:xmpp:delay'/>"});
    return xml;
}

// Prefixes that the stream declares: h.
Result<Stanza, StreamError> said(const std::string& xml, const Limits& limits = {}) {
    StreamHeader header;
    header.extra_prefixes = {{"h", "u"}};
    Parser parser{limits};
    return parser.parse(xml, &header);
}

void check_read_back(const std::string& xml) {
    CAPTURE(xml.substr(0, 300));
    const auto stanza = said(xml);
    REQUIRE(stanza);
    const std::string payload = spelled_payload(*stanza), delay = "{urn:xmpp:delay}delay[]<>";
    const Stanza once = parse_trusted(written(*stanza));
    REQUIRE(once);
    CHECK(spelled_payload(once) == payload + delay);
    const Stanza twice = parse_trusted(written(once));
    REQUIRE(twice);
    CHECK(spelled_payload(twice) == payload + delay + delay);
    CHECK(spelled(parse_trusted(stanza->xml()).element()) == spelled(stanza->element()));
    const Stanza carried = parse_trusted("<message><forwarded xmlns='urn:xmpp:forward:0'>" + standing_alone(written(*stanza)) + "</forwarded></message>");
    REQUIRE(carried);
    CHECK(spelled_payload(parse_trusted(carried.element().first_child().first_child().xml())) == payload + delay);
}

}  // namespace

TEST_CASE("what a stream's parser lets in is read back when it is written, and again") {
    const std::string attributes = numbered(" h:a#=''", 64), many = numbered(" h:a#=''", 62);
    // Each attribute leans on a prefix that is declared further out.
    check_read_back("<presence type='subscribe'><a" + attributes + "><b" + attributes + "/></a></presence>");
    check_read_back("<presence xmlns:h='u'><a" + attributes + "><b" + attributes + "/></a></presence>");
    check_read_back("<presence" + many + "><a" + attributes + "/></presence>");
    // As many declarations in scope as may be, and one more where the element stands alone.
    check_read_back("<presence><a" + numbered(" xmlns:a#='u#'", 64) + "><b" + numbered(" xmlns:b#='u'", 60) + "/></a></presence>");
    // … each of them leant on by every element inside
    check_read_back("<message><a" + numbered(" xmlns:p#='u#'", 60) + ">" + repeated("<b" + numbered(" p#:a#='1'", 60) + "/>", 100) + "</a></message>");
    check_read_back("<message" + numbered(" xmlns:p#='u#'", 60) + ">" + repeated("<b" + numbered(" p#:a#='1'", 60) + "/>", 100) + "</message>");
    // As deep as may be
    check_read_back("<message>" + repeated("<a" + many + ">", 63) + repeated("</a>", 63) + "</message>");
    check_read_back("<message xmlns:q='v'>" + repeated("<h:a><q:a>", 31) + repeated("</q:a></h:a>", 31) + "</message>");
    // As many elements as may be
    check_read_back("<message>" + repeated("<h:a/>", 2047) + "</message>");
    // Text that grows when it is escaped
    check_read_back("<message><h:a a1=\"" + std::string(100'000, '\'') + "\"><![CDATA[" + std::string(100'000, '&') + "]]></h:a></message>");
}

TEST_CASE("so many declarations are in scope and no more") {
    const auto nested = [](int outside, int inside) {
        return "<a" + numbered(" xmlns:a#='u'", outside) + "><b" + numbered(" xmlns:b#='u'", inside) + "/></a>";
    };
    // With the stream's: the default one, "stream", "xml" and h.
    CHECK(said(nested(64, 60)));
    CHECK_FALSE(said(nested(64, 61)));
    Limits fewer;
    fewer.declarations = 10;
    CHECK(said(nested(3, 3), fewer));
    CHECK_FALSE(said(nested(3, 4), fewer));
}

TEST_CASE("one long namespace that many lean on is not multiplied") {
    const std::string declared = "<message xmlns:p='" + std::string(100'000, 'u') + "' xmlns:q='v'>";
    const auto is_refused = [&](const std::string& payload) {
        const auto stanza = said(declared + payload + "</message>");
        return !stanza.ok() && stanza.error().condition == StreamCondition::policy_violation;
    };
    CHECK_FALSE(is_refused("<p:a/><p:a/>"));
    CHECK_FALSE(is_refused("<p:a>" + repeated("<p:a/>", 2000) + "</p:a>"));   // it is the default one there
    CHECK(is_refused(repeated("<p:a/>", 3)));
    CHECK(is_refused("<p:a><q:b><p:c><q:d><p:e/></q:d></p:c></q:b></p:a>"));
    CHECK(is_refused("<a" + numbered(" p:a#=''", 3) + "/>"));
    CHECK(is_refused("<a xmlns='" + std::string(100'000, 'w') + "'><q:b><c/><c/><c/></q:b></a>"));
}

TEST_CASE("an element in the namespace of xml:lang, which no element can be given by default, is refused") {
    const auto stanza = said("<message><xml:a h:k=''/></message>");
    REQUIRE_FALSE(stanza);
    CHECK(stanza.error().condition == StreamCondition::policy_violation);
    CHECK(said("<message xml:lang='de' xml:space='preserve'><body xml:lang='en' h:k=''>x</body></message>"));
}

TEST_CASE("what is no element after all is an empty stanza, whoever wrote it") {
    CHECK_FALSE(parse_trusted("<presence><p:a/></presence>"));
    CHECK_FALSE(parse_trusted(""));
    CHECK(parse_trusted("<presence/>").kind() == Kind::presence);
}
