// SPDX-License-Identifier: MIT
// The parser: what it reads, what it refuses and with which stream error (RFC 6120 §4.9.3, §11). Attacks:
// rows 1 to 3 and 5 to 10 and 61 to 63 of the list.
#include "xmpp/parser.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <new>

#include "xmpp/namespaces.h"

using namespace std::literals;
using namespace xmpp;

namespace {
thread_local std::size_t allocations = 0;
}

// Counts what this program allocates with new; stanza blocks and expat use malloc. The sanitizers bring their
// own. Not inline: gcc 12 would take what it sees of them for a mismatch.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    void* memory = std::malloc(size == 0 ? 1 : size);
    if (!memory) throw std::bad_alloc{};
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace {

std::optional<StreamCondition> refusal(std::string_view xml, const Limits& limits = {}) {
    Parser parser{limits};
    const auto stanza = parser.parse(xml);
    // Whatever went wrong, the next stanza knows nothing of it.
    const auto next = parser.parse("<iq id='next'/>");
    REQUIRE(next.ok());
    REQUIRE(next->id() == "next");
    if (stanza.ok()) return std::nullopt;
    return stanza.error().condition;
}

std::string header_xml(std::string_view attributes) {
    return "<?xml version='1.0'?><stream:stream " + std::string{attributes} + ">";
}

constexpr std::string_view standard = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'";

std::string repeated(std::string_view text, std::size_t count) {
    std::string all;
    for (std::size_t i = 0; i < count; ++i) all += text;
    return all;
}

}  // namespace

TEST_CASE("a message is read with its attributes, children and text") {
    Parser parser{Limits{}};
    const auto result = parser.parse(
        "<message from='Romeo@Montague.lit/x' to='juliet@capulet.lit' type='chat' id='a&amp;1' "
        "xml:lang='en'>\n"
        "<body>Wherefore &lt;art&gt; <![CDATA[<thou>]]>?</body><active "
        "xmlns='http://jabber.org/protocol/chatstates'/>"
        "</message>");
    REQUIRE(result);
    const Stanza& stanza = *result;
    CHECK(stanza.kind() == Kind::message);
    CHECK(stanza.from().text() == "romeo@montague.lit/x");
    CHECK(stanza.from().resourcepart() == "x");
    CHECK(stanza.to().text() == "juliet@capulet.lit");
    CHECK(stanza.type() == "chat");
    CHECK(stanza.id() == "a&1");
    CHECK(stanza.lang() == "en");
    CHECK(stanza.element().attr("from") == "Romeo@Montague.lit/x");
    CHECK(stanza.element().child_count() == 2);
    CHECK(stanza.element().text() == "\n");
    CHECK(stanza.element().child_text("body", ns::client) == "Wherefore <art> <thou>?");
    CHECK(stanza.element().child_in("http://jabber.org/protocol/chatstates").name() == "active");
    CHECK_FALSE(stanza.child("body", "urn:other"));
    CHECK_FALSE(stanza.child("absent", ns::client).child("x", "y").first_child());
    CHECK(stanza.element().first_child() == stanza.child("body", ns::client));
    CHECK_FALSE(stanza.has_bad_to());
}

TEST_CASE("bad addresses are told from absent ones") {
    Parser parser{Limits{}};
    const auto bad = parser.parse("<iq to='@' from=''/>");
    REQUIRE(bad);
    CHECK(bad->has_bad_to());
    CHECK(bad->has_bad_from());
    CHECK(bad->to().empty());
    const auto absent = parser.parse("<iq/>");
    CHECK_FALSE(absent->has_bad_to());
    CHECK(absent->to().empty());
}

TEST_CASE("the server's from stands in for whatever the source has") {
    Parser parser{Limits{}};
    const Jid from = *Jid::parse("romeo@montague.lit/orchard");
    for (const auto xml :
         {"<message to='a@b'><body>x</body></message>"sv,
          "<message from='eve@evil.example' to='a@b'><body n='1'>x</body></message>"sv,
          "<message from='romeo@montague.lit/orchard' to='a@b'><body>x</body></message>"sv}) {
        CAPTURE(xml);
        const auto stanza = parser.parse(xml, nullptr, from);
        REQUIRE(stanza);
        CHECK(stanza->from() == from.view());
        CHECK(stanza->element().attr("from") == from.text());
        CHECK(stanza->to().text() == "a@b");
        CHECK(stanza->element().child_text("body", ns::client) == "x");
        CHECK(parse_trusted(stanza->xml()).from() == from.view());
        CHECK(stanza->xml().find("eve") == std::string::npos);
    }
}

TEST_CASE("a client may write its full or bare address as from, and no other") {
    Parser parser{Limits{}};
    const Jid from = *Jid::parse("romeo@montague.lit/orchard");
    const std::pair<std::string_view, bool> rows[] = {{"<iq/>", false},
                                                      {"<iq from='romeo@montague.lit/orchard'/>", false},
                                                      {"<iq from='Romeo@montague.lit'/>", false},
                                                      {"<iq from='romeo@montague.lit/other'/>", true},
                                                      {"<iq from='eve@montague.lit'/>", true},
                                                      {"<iq from='@'/>", true}};
    for (const auto& [xml, is_foreign] : rows) {
        CAPTURE(xml);
        const auto stanza = parser.parse(xml, nullptr, from);
        CHECK(stanza->has_bad_from() == is_foreign);
        CHECK(stanza->from() == from.view());
    }
}

TEST_CASE("a stanza without a language gets its stream's") {
    Parser parser{Limits{}};
    const auto without = parser.parse("<message><body n='1'>x</body></message>", nullptr, {}, "de");
    CHECK(without->lang() == "de");
    CHECK(without->child("body", ns::client).attr("n") == "1");
    CHECK(parse_trusted(without->xml()).lang() == "de");
    CHECK(parser.parse("<message xml:lang='it'/>", nullptr, {}, "de")->lang() == "it");
    CHECK(parser.parse("<a xmlns='urn:xmpp:sm:3'/>", nullptr, {}, "de")->lang().empty());
}

TEST_CASE("kinds are told by name and namespace") {
    Parser parser{Limits{}};
    const std::pair<std::string_view, Kind> rows[] = {{"<message/>", Kind::message},
                                                      {"<presence/>", Kind::presence},
                                                      {"<iq/>", Kind::iq},
                                                      {"<iq xmlns='jabber:client'/>", Kind::iq},
                                                      {"<iq xmlns='jabber:server'/>", Kind::iq},
                                                      {"<iq xmlns='urn:x'/>", Kind::other},
                                                      {"<foo/>", Kind::other},
                                                      {"<stream:error/>", Kind::other},
                                                      {"<a xmlns='urn:xmpp:sm:3' h='1'/>", Kind::other}};
    for (const auto& [xml, kind] : rows) {
        CAPTURE(xml);
        CHECK(parser.parse(xml)->kind() == kind);
    }
}

TEST_CASE("XML that no stream may have is restricted XML") {
    for (const auto xml : {"<iq><!-- x --></iq>"sv, "<!-- x --><iq/>"sv, "<iq/><!---->"sv,
                           "<iq><?php x?></iq>"sv, "<?x y?><iq/>"sv, "<?xml version='1.0'?><iq/>"sv,
                           "<iq>&nbsp;</iq>"sv, "<iq a='&lol;'/>"sv, "<!DOCTYPE iq><iq/>"sv,
                           "<iq><!DOCTYPE x></iq>"sv, "<!DOCTYPE x [<!ENTITY a 'b'>]><iq>&a;</iq>"sv}) {
        CAPTURE(xml);
        CHECK(refusal(xml) == StreamCondition::restricted_xml);
    }
    CHECK_FALSE(refusal("<iq a='&lt;&gt;&amp;&quot;&apos;&#65;'>&lt;&gt;&amp;&quot;&apos;&#x41;</iq>"));
}

TEST_CASE("billion laughs, in content and in attributes, ends at the document type") {
    std::string dtd = "<!DOCTYPE lolz [<!ENTITY l0 'lol'>";
    for (int i = 1; i < 10; ++i) {
        dtd +=
            "<!ENTITY l" + std::to_string(i) + " '" + repeated("&l" + std::to_string(i - 1) + ";", 10) + "'>";
    }
    dtd += "]>";
    CHECK(refusal(dtd + "<iq>&l9;</iq>") == StreamCondition::restricted_xml);
    CHECK(refusal(dtd + "<iq a='&l9;'/>") == StreamCondition::restricted_xml);
    Parser parser{Limits{}};
    const auto header = parser.parse_header(dtd + "<stream:stream to='&l9;' " + std::string{standard} + ">");
    REQUIRE_FALSE(header);
    CHECK(header.error().condition == StreamCondition::restricted_xml);
}

TEST_CASE("anything but exactly one element is refused") {
    const std::pair<std::string_view, StreamCondition> rows[] = {
        {"", StreamCondition::not_well_formed},
        {" ", StreamCondition::not_well_formed},
        {"<iq/><iq/>", StreamCondition::not_well_formed},
        {"<iq/> <iq/>", StreamCondition::not_well_formed},
        {"<iq>", StreamCondition::not_well_formed},
        {"<iq", StreamCondition::not_well_formed},
        {"<iq/><", StreamCondition::not_well_formed},
        {"<iq/>&", StreamCondition::not_well_formed},
        {"<iq/><message", StreamCondition::not_well_formed},
        {"<iq></message>", StreamCondition::not_well_formed},
        {"</iq>", StreamCondition::not_well_formed},
        {"</stream:stream>", StreamCondition::not_well_formed},
        {"<iq/></stream:stream>", StreamCondition::not_well_formed},
        {"</stream:stream><iq/>", StreamCondition::not_well_formed},
        {"x", StreamCondition::invalid_xml},
        {"<iq/>x", StreamCondition::invalid_xml},
        {"x<iq/>", StreamCondition::invalid_xml},
        {"<![CDATA[x]]><iq/>", StreamCondition::invalid_xml},
        {"<iq/>&amp;", StreamCondition::invalid_xml},
        {"<iq>]]></iq>", StreamCondition::not_well_formed},
        {"<iq a='1' a='2'/>", StreamCondition::not_well_formed},
        {"<iq xmlns:p='u' xmlns:q='u' p:a='1' q:a='2'/>", StreamCondition::not_well_formed},
        {"<iq a=1/>", StreamCondition::not_well_formed},
        {"<iq a='<'/>", StreamCondition::not_well_formed},
        {"<p:iq/>", StreamCondition::not_well_formed},
        {"<iq p:a=''/>", StreamCondition::not_well_formed},
        {"<iq xmlns:p=''/>", StreamCondition::not_well_formed},
        {"<iq xmlns:xml='urn:x'/>", StreamCondition::not_well_formed},
        {"<iq xmlns:xmlns='urn:x'/>", StreamCondition::not_well_formed},
        {"<a:b:c xmlns:a='u'/>", StreamCondition::not_well_formed}};
    for (const auto& [xml, condition] : rows) {
        CAPTURE(xml);
        CHECK(refusal(xml) == condition);
    }
    CHECK_FALSE(refusal(" \n<iq/>\n "));
}

TEST_CASE("bytes that are not UTF-8, and characters that are not XML's, are refused") {
    for (const auto bytes :
         {"\xff"sv, "\xc0\xaf"sv, "\xe0\x80\xaf"sv, "\xed\xa0\x80"sv, "\xf4\x90\x80\x80"sv,
          "\xf8\x88\x80\x80\x80"sv, "\xc3"sv, "\x80"sv, "\0"sv, "\x01"sv, "\x0b"sv, "\xef\xbf\xbe"sv,
          "&#0;"sv, "&#1;"sv, "&#xD800;"sv, "&#xFFFE;"sv, "&#x110000;"sv}) {
        CAPTURE(bytes);
        const std::string text{bytes};
        CHECK(refusal("<iq>" + text + "</iq>") == StreamCondition::not_well_formed);
        CHECK(refusal("<iq a='" + text + "'/>") == StreamCondition::not_well_formed);
        CHECK(refusal("<iq" + text + "/>").has_value());
        CHECK(refusal("<iq xmlns:p='" + text + "'/>") == StreamCondition::not_well_formed);
    }
    CHECK_FALSE(refusal("<iq>\xf0\x9f\x92\x98 \xc2\x80</iq>"));
}

TEST_CASE("a namespace cannot pretend to be another by way of the parser's separator") {
    Parser parser{Limits{}};
    for (const auto xml : {"<x:iq xmlns:x='jabber:client iq'/>"sv, "<x:iq xmlns:x='jabber:client&#10;iq'/>"sv,
                           "<iq xmlns='jabber:client&#9;'/>"sv, "<iq xmlns='jabber:client|iq'/>"sv}) {
        CAPTURE(xml);
        const auto stanza = parser.parse(xml);
        if (!stanza) continue;
        CHECK(stanza->kind() == Kind::other);
        CHECK(stanza->element().name() == "iq");
        CHECK(stanza->element().ns() != ns::client);
    }
    CHECK(refusal("<x:iq xmlns:x='jabber:client&#1;iq&#1;'/>") == StreamCondition::not_well_formed);
}

TEST_CASE("the limits hold in the parser, too") {
    Limits limits;
    limits.stanza_bytes = 300;
    limits.depth = 3;
    limits.attributes = 4;
    limits.elements = 5;
    const auto policy = StreamCondition::policy_violation;
    CHECK_FALSE(refusal("<a><b><c/></b></a>", limits));
    CHECK(refusal("<a><b><c><d/></c></b></a>", limits) == policy);
    CHECK_FALSE(refusal("<a b='' c='' d='' e=''/>", limits));
    CHECK(refusal("<a b='' c='' d='' e='' f=''/>", limits) == policy);
    CHECK(refusal("<a xmlns:b='b' c='' xmlns:d='d' e='' f=''/>", limits) == policy);
    CHECK_FALSE(refusal("<a><b/><b/><b/><b/></a>", limits));
    CHECK(refusal("<a><b/><b/><b/><b/><b/></a>", limits) == policy);
    CHECK(refusal("<a>" + std::string(300, 'x') + "</a>", limits) == policy);
    std::string declared;
    std::string closed;
    for (int i = 0; i < 60; ++i) {
        declared += "<a xmlns:a='a' xmlns:b='b' xmlns:c='c' xmlns:d='d'>";
        closed += "</a>";
    }
    CHECK(refusal(declared + closed) == policy);  // 240 declarations in scope
}

TEST_CASE("hundreds of thousands of attributes or levels cost no more than the limit allows") {
    Limits limits;
    limits.stanza_bytes = 16 * 1024 * 1024;
    std::string attributes = "<a";
    for (int i = 0; i < 200000; ++i) attributes += " a" + std::to_string(i) + "=''";
    CHECK(refusal(attributes + "/>", limits) == StreamCondition::policy_violation);
    CHECK(refusal(repeated("<a>", 200000) + repeated("</a>", 200000), limits) ==
          StreamCondition::policy_violation);
    CHECK(refusal("<a>" + repeated("<a/>", 200000) + "</a>", limits) == StreamCondition::policy_violation);
}

TEST_CASE("whatever a stream may be allowed is taken back, wrapped and decorated") {
    const auto taken = [](const std::string& inner) {
        return static_cast<bool>(parse_trusted("<message><forwarded xmlns='urn:xmpp:forward:0'>" + inner + "</forwarded></message>"));
    };
    CHECK(taken("<body>" + repeated("&gt;", 16 * 1024 * 1024) + "</body>"));
    CHECK(taken(repeated("<a/>", 1'000'000)));
    CHECK(taken(repeated("<a>", 1000) + repeated("</a>", 1000)));
    std::string attributes = "<a";
    for (int i = 0; i < 10'000; ++i) attributes += " a" + std::to_string(i) + "=''";
    CHECK(taken(attributes + "/>"));
}

TEST_CASE("a stanza takes one block and nothing else") {
    Parser parser{Limits{}};
    const auto xml =
        "<message from='a@example.com/x' to='b@example.com' type='chat' id='1' xml:lang='en'>"
        "<body>5 &lt; 6</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>"sv;
    const Jid from = *Jid::parse("romeo@example.com/orchard");
    for (int i = 0; i < 10; ++i) (void)parser.parse(xml, nullptr, from).ok();
    const std::size_t before = allocations;
    const auto stanza = parser.parse(xml, nullptr, from);
    const std::size_t after = allocations;
    REQUIRE(stanza);
    CHECK(after - before == 0);
}

TEST_CASE("a parser stays right when it is replaced after many bytes and after large stanzas") {
    Parser parser{Limits{}};
    const std::string large = "<message><body>" + std::string(100000, 'x') + "</body></message>";
    for (int i = 0; i < 30000; ++i) {
        const std::string id = std::to_string(i);
        const auto stanza = parser.parse("<message id='" + id + "'><x" + id + " xmlns='urn:x'>" + id + "</x" +
                                         id + "></message>");
        if (!stanza || stanza->id() != id || stanza->element().first_child().text() != id) FAIL(id);
        if (i % 1000 == 0)
            CHECK(parser.parse(large)->element().child_text("body", ns::client).size() == 100000);
    }
}

TEST_CASE("a stream header is read") {
    Parser parser{Limits{}};
    const auto header = parser.parse_header(header_xml(
        "from='juliet@im.example.com' to='im.example.com' id='x&amp;y' version='1.0' xml:lang='de' " +
        std::string{standard}));
    REQUIRE(header);
    CHECK(header->from == "juliet@im.example.com");
    CHECK(header->to == "im.example.com");
    CHECK(header->id == "x&y");
    CHECK(header->version == "1.0");
    CHECK(header->lang == "de");
    CHECK(header->extra_prefixes.empty());
    const auto old = parser.parse_header("<stream:stream to='x' " + std::string{standard} +
                                         " xmlns:db='jabber:server:dialback'>");
    REQUIRE(old);
    CHECK(old->version.empty());
    CHECK(old->extra_prefixes ==
          std::vector<std::pair<std::string, std::string>>{{"db", "jabber:server:dialback"}});
    CHECK(parser.parse_header(
        header_xml("xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'")));
    CHECK(parser.parse_header("<?xml version='1.0' encoding='utf-8' standalone='yes'?>\n<stream:stream " +
                              std::string{standard} + ">"));
}

TEST_CASE("a stream header that will not do is refused with the RFC's condition") {
    const std::pair<std::string, StreamCondition> rows[] = {
        {header_xml("xmlns='jabber:client'"), StreamCondition::invalid_namespace},
        {header_xml("xmlns='jabber:client' xmlns:stream='urn:wrong'"), StreamCondition::invalid_namespace},
        {header_xml("xmlns:stream='http://etherx.jabber.org/streams'"), StreamCondition::invalid_namespace},
        {header_xml("xmlns='urn:x' xmlns:stream='http://etherx.jabber.org/streams'"),
         StreamCondition::invalid_namespace},
        {"<stream xmlns='http://etherx.jabber.org/streams'>", StreamCondition::bad_namespace_prefix},
        {"<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams'>",
         StreamCondition::bad_namespace_prefix},
        {"<stream:foo " + std::string{standard} + ">", StreamCondition::bad_format},
        {"<?xml version='1.0' encoding='UTF-16'?><stream:stream " + std::string{standard} + ">",
         StreamCondition::unsupported_encoding},
        {"<?xml version='1.0' encoding='ISO-8859-1'?><stream:stream " + std::string{standard} + ">",
         StreamCondition::unsupported_encoding},
        {"\xff\xfe<\x01", StreamCondition::unsupported_encoding},
        {"\xef\xbb\xbf<stream:stream " + std::string{standard} + ">", StreamCondition::not_well_formed},
        {"<?x y?><stream:stream " + std::string{standard} + ">", StreamCondition::restricted_xml},
        {"<!-- x --><stream:stream " + std::string{standard} + ">", StreamCondition::restricted_xml},
        {"<!DOCTYPE x><stream:stream " + std::string{standard} + ">", StreamCondition::restricted_xml},
        {"<stream:stream " + std::string{standard} + "/>", StreamCondition::not_well_formed},
        {"<stream:stream " + std::string{standard} + "><iq/>", StreamCondition::not_well_formed},
        {"<stream:stream " + std::string{standard} + ">x", StreamCondition::not_well_formed},
        {"<stream:stream " + std::string{standard} + "><", StreamCondition::not_well_formed},
        {"<stream:stream " + std::string{standard}, StreamCondition::not_well_formed},
        {"<stream:stream to='&lol;' " + std::string{standard} + ">", StreamCondition::restricted_xml},
        {"<stream:stream to='\xff' " + std::string{standard} + ">", StreamCondition::not_well_formed},
        {"", StreamCondition::not_well_formed},
        {"GET / HTTP/1.1", StreamCondition::not_well_formed}};
    for (const auto& [xml, condition] : rows) {
        CAPTURE(xml);
        Parser parser{Limits{}};
        const auto header = parser.parse_header(xml);
        REQUIRE_FALSE(header);
        CHECK(to_string(header.error().condition) == to_string(condition));
    }
}

TEST_CASE("prefixes of the stream header are known to its stanzas, and to no others") {
    Parser parser{Limits{}};
    StreamHeader first, second;
    first.extra_prefixes = {{"p", "urn:one&'\""}, {"q", "urn:q"}};
    second.extra_prefixes = {{"p", "urn:two"}};
    const auto xml = "<message><p:x q='1'/></message>"sv;
    for (int i = 0; i < 3; ++i) {
        CHECK(parser.parse(xml, &first)->child("x", "urn:one&'\""));
        CHECK(parser.parse(xml, &second)->child("x", "urn:two"));
        CHECK_FALSE(parser.parse("<message><q:x/></message>", &second));
        CHECK_FALSE(parser.parse(xml));
        CHECK(parser.parse("<message/>"));
    }
}

TEST_CASE("XML of unknown origin is a stanza or nothing") {
    CHECK(parse_or_empty("<a xmlns='urn:a'/>").element().is("a", "urn:a"));
    CHECK_FALSE(parse_or_empty("<a"));
    CHECK_FALSE(parse_or_empty("<!DOCTYPE a><a/>"));
    CHECK_FALSE(parse_or_empty(""));
    CHECK(parse_trusted("<iq/>").kind() == Kind::iq);
}
