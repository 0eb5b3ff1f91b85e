// SPDX-License-Identifier: MIT
// The matcher of scenes: a matcher that finds everything equal would make every scene pass.
#include "tests/support/match.h"

#include <catch2/catch.hpp>

using namespace tests;

namespace {

std::optional<std::string> differs(std::string_view expected, std::string_view received, Captures* captures = nullptr) {
    std::string problem;
    const auto wanted = parse_events(expected, problem);
    INFO(problem);
    REQUIRE(wanted);
    const auto got = parse_events(received, problem);
    REQUIRE(got);
    REQUIRE(wanted->size() == 1);
    REQUIRE(got->size() == 1);
    Captures own;
    return difference(wanted->front(), got->front(), captures != nullptr ? *captures : own);
}

}  // namespace

TEST_CASE("what a scene expects matches, or does not") {
    struct Row {
        const char* why;
        const char* expected;
        const char* received;
        bool matches;
    };
    const Row row = GENERATE(values<Row>({
        {"the same", "<message><body>Hi</body></message>", "<message><body>Hi</body></message>", true},
        {"another name", "<message/>", "<presence/>", false},
        {"another namespace", "<message/>", "<message xmlns='jabber:server'/>", false},
        {"a part of a text", "<message><body>Hi, {any as WHO}!</body></message>", "<message><body>Hi, Juliet!</body></message>", true},
        {"what stands before a part", "<message><body>Hi, {any as WHO}!</body></message>", "<message><body>Ho, Juliet!</body></message>", false},
        {"what stands behind a part", "<message><body>Hi, {any as WHO}!</body></message>", "<message><body>Hi, Juliet</body></message>", false},
        {"a part that overlaps", "<message><body>aa{any as WHO}aa</body></message>", "<message><body>aaa</body></message>", false},
        {"another text", "<message><body>Hi</body></message>", "<message><body>Ho</body></message>", false},
        {"white space around text", "<message><body>\n Hi \n</body></message>", "<message><body>Hi</body></message>", true},
        {"white space between elements", "<message>\n<body/>\n</message>", "<message><body/></message>", true},
        {"a child missing", "<message><body/><thread/></message>", "<message><body/></message>", false},
        {"a child too many", "<message><body/></message>", "<message><body/><thread/></message>", false},
        {"children in another order", "<message><body/><thread/></message>", "<message><thread/><body/></message>", true},
        {"the same child twice", "<q><i/></q>", "<q><i/><i/></q>", false},
        {"an attribute missing", "<iq type='get'/>", "<iq/>", false},
        {"an attribute too many", "<iq/>", "<iq type='get'/>", false},
        {"addresses that are not named", "<iq/>", "<iq to='a@b' from='c@d' id='1' xml:lang='en'/>", true},
        {"addresses inside count", "<iq><query/></iq>", "<iq><query id='1'/></iq>", false},
        {"the language of a stanza inside", "<f><message/></f>", "<f><message xml:lang='en'/></f>", true},
        {"the language of something else inside", "<f><body/></f>", "<f><body xml:lang='en'/></f>", false},
        {"another address", "<iq to='a@b'/>", "<iq to='a@c'/>", false},
        {"any value", "<iq id='{any}'/>", "<iq id='7'/>", true},
        {"any value, as scansion writes it", "<iq id='{scansion:any}'/>", "<iq id='7'/>", true},
        {"any value, but none there", "<iq id='{any}'/>", "<iq/>", false},
        {"any text", "<m><body>{any}</body></m>", "<m><body>Hi</body></m>", true},
        {"none", "<iq id='{none}'/>", "<iq id='1'/>", false},
        {"none, and none is there", "<iq id='{none}'/>", "<iq/>", true},
        {"not strict: more children", "<q scansion:strict='false'><i/></q>", "<q a='1'>text<i/><j/></q>", true},
        {"not strict: fewer children", "<q scansion:strict='false'><i/><k/></q>", "<q><i/><j/></q>", false},
        {"not strict holds for one element", "<q scansion:strict='false'><i/></q>", "<q><i a='1'/></q>", false},
        {"a choice that must be taken back", "<q><i a='{any}'/><i a='1'/></q>", "<q><i a='1'/><i a='2'/></q>", true},
    }));
    INFO(row.why);
    const auto wrong = differs(row.expected, row.received);
    INFO(wrong.value_or(""));
    CHECK(!wrong == row.matches);
}

TEST_CASE("what {any as NAME} stood for is kept") {
    Captures captures;
    CHECK(!differs("<iq id='{any as first}'><b>{any as second}</b></iq>", "<iq id='1'><b>two</b></iq>", &captures));
    CHECK(captures == Captures{{"first", "1"}, {"second", "two"}});
    CHECK(!differs("<iq><a>{any as key}</a><b>{same as key}</b></iq>", "<iq><a>1</a><b>1</b></iq>"));
    CHECK(differs("<iq><a>{any as key}</a><b>{same as key}</b></iq>", "<iq><a>1</a><b>2</b></iq>"));
}

TEST_CASE("a stream header is compared without its namespaces") {
    CHECK(!differs("<stream:stream id='{any}' from='localhost' version='1.0'>",
                   "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
                   "id='x' from='localhost' version='1.0'>"));
    CHECK(differs("<stream:stream from='localhost'>", "<stream:stream from='other'>"));
}

TEST_CASE("a stream arrives in pieces and begins anew") {
    StreamReader reader;
    const std::string text = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'><iq><a/></iq>";
    for (const char c : text) CHECK(reader.feed(std::string_view{&c, 1}));
    CHECK(reader.take()->kind == Event::Kind::header);
    CHECK(reader.take()->node.children.size() == 1);
    reader.restart();
    CHECK(reader.feed(text));
    CHECK(reader.take()->kind == Event::Kind::header);
    CHECK(reader.feed("</stream:stream>"));
    CHECK(reader.take()->kind == Event::Kind::element);
    CHECK(reader.take()->kind == Event::Kind::footer);
    CHECK_FALSE(reader.take());
    CHECK_FALSE(reader.feed("<<"));
}

// The server that goes down right behind <success/> says so in the new stream, perhaps in the same packet.
TEST_CASE("a new stream behind <success/> is read, whenever its bytes come") {
    const std::string header = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
    const std::string success = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    const std::string all = header + success + header + "<stream:error/></stream:stream>";
    const std::size_t cut = GENERATE_COPY(range(std::size_t{1}, all.size()));
    StreamReader reader{StreamReader::Restarts::behind_success};
    REQUIRE(reader.feed(all.substr(0, cut)));
    if (cut >= header.size() + success.size()) reader.restart();   // as clients do
    REQUIRE(reader.feed(all.substr(cut)));
    std::vector<std::string> names;
    while (const auto event = reader.take()) names.push_back(event->kind == Event::Kind::footer ? "end" : event->node.name);
    CHECK(names == std::vector<std::string>{"stream", "success", "stream", "error", "end"});
}
