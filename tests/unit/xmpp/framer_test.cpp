// SPDX-License-Identifier: MIT
// The framer: finds the same frames however the bytes arrive, looks at each byte once, and keeps the limits
// while reading. Attacks: rows 1, 4, 5, 8, 9, 10 and 61 of the list (DTDs, re-scanning, depth, smuggling,
// size, counts, encodings).
#include "xmpp/framer.h"

#include <catch2/catch.hpp>

#include "random_xml.h"

using namespace std::literals;
using xmpp::Framer;
using xmpp::Limits;
using xmpp::StreamCondition;
using Found = xmpp::Framer::Found;

namespace {

constexpr std::string_view header =
    "<?xml version='1.0'?><stream:stream to='a' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

struct Seen {
    Found found;
    std::string bytes;
    friend bool operator==(const Seen&, const Seen&) = default;
};

// What a session does: keeps what was not consumed, and comes again with more behind it.
std::vector<Seen> feed(Framer& framer, const std::vector<std::string>& pieces) {
    std::vector<Seen> seen;
    std::string kept;
    for (const std::string& piece : pieces) {
        kept += piece;
        for (;;) {
            const auto frame = framer.next(kept);
            if (frame.found == Found::error) return seen.push_back({Found::error, {}}), seen;
            if (frame.found != Found::nothing) seen.push_back({frame.found, std::string{frame.bytes}});
            kept.erase(0, frame.consumed);
            if (frame.found == Found::nothing) break;
        }
    }
    return seen;
}

std::vector<std::string> byte_by_byte(std::string_view text) {
    std::vector<std::string> pieces;
    for (const char c : text) pieces.emplace_back(1, c);
    return pieces;
}

std::optional<StreamCondition> refusal(std::string_view text, const Limits& limits = {},
                                       bool after_header = true) {
    Framer framer{limits};
    if (after_header) REQUIRE(framer.next(header).found == Found::header);
    const auto seen = feed(framer, {std::string{text}});
    if (seen.empty() || seen.back().found != Found::error) return std::nullopt;
    return framer.error().condition;
}

}  // namespace

TEST_CASE("a stream is cut into header, elements and footer") {
    const Limits limits;
    Framer framer{limits};
    const auto seen =
        feed(framer, {std::string{header} + " \n<iq/><message to='>'><b a=\"/>\"/>x<![CDATA[</message>]]>"
                                            "</message>\n<r xmlns='urn:xmpp:sm:3'/></stream:stream>"});
    const std::vector<Seen> expected = {
        {Found::header, std::string{header}},
        {Found::element, "<iq/>"},
        {Found::element, "<message to='>'><b a=\"/>\"/>x<![CDATA[</message>]]></message>"},
        {Found::element, "<r xmlns='urn:xmpp:sm:3'/>"},
        {Found::footer, "</stream:stream>"}};
    CHECK(seen == expected);
}

TEST_CASE("white space between elements is consumed at once") {
    const Limits limits;
    Framer framer{limits};
    REQUIRE(framer.next(header).found == Found::header);
    const auto frame = framer.next(" \n\t\r");
    CHECK(frame.found == Found::nothing);
    CHECK(frame.consumed == 4);
    CHECK_FALSE(framer.is_mid_element());
    CHECK(framer.next("  <i").consumed == 2);
    CHECK(framer.is_mid_element());
}

TEST_CASE("any split of a random stream gives the same frames") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random{seed};
    RandomXml xml{random};
    const Limits limits;
    xmpp::Parser parser{limits};
    for (int round = 0; round < 300; ++round) {
        std::string stream{header};
        std::vector<Seen> expected = {{Found::header, stream}};
        for (auto left = random() % 5; left > 0; --left) {
            if (xml.one_in(3)) stream += "\n ";
            expected.push_back({Found::element, xml.element()});
            stream += expected.back().bytes;
        }
        stream += "</stream:stream>";
        expected.push_back({Found::footer, "</stream:stream>"});
        std::vector<std::string> pieces;
        for (std::size_t at = 0; at < stream.size();) {
            const std::size_t size = 1 + random() % (xml.one_in(2) ? 3 : 60);
            pieces.push_back(stream.substr(at, size));
            at += size;
        }
        CAPTURE(stream);
        Framer split{limits}, whole{limits}, bytes{limits};
        REQUIRE(feed(split, pieces) == expected);
        REQUIRE(feed(whole, {stream}) == expected);
        REQUIRE(feed(bytes, byte_by_byte(stream)) == expected);
        for (const Seen& each : expected)
            if (each.found == Found::element) REQUIRE(parser.parse(each.bytes).ok());
    }
}

TEST_CASE("each byte is looked at once, even when all come singly") {
    // What was looked at is overwritten with bytes that would lead any second look astray.
    const Limits limits;
    const std::string stanza = "<message to='a@b'><body>" + std::string(5000, 'x') + "<![CDATA[" +
                               std::string(3000, ']') + "]]>&amp;</body><x y=\"" + std::string(3000, '>') +
                               "\"/></message>";
    Framer framer{limits};
    REQUIRE(framer.next(header).found == Found::header);
    std::string kept;
    for (std::size_t i = 0; i + 1 < stanza.size(); ++i) {
        kept += stanza[i];
        const auto frame = framer.next(kept);
        REQUIRE(frame.found == Found::nothing);
        REQUIRE(frame.consumed == 0);
        std::fill(kept.begin(), kept.end(), i % 2 ? '<' : '\0');
    }
    kept += stanza.back();
    const auto frame = framer.next(kept);
    CHECK(frame.found == Found::element);
    CHECK(frame.bytes.size() == stanza.size());
}

TEST_CASE("comments, processing instructions and document types end the stream at once") {
    for (const auto text : {"<!--"sv, "<!DOCTYPE x"sv, "<?xml"sv, "<?php"sv, "<iq><!-"sv, "<iq><?"sv,
                            "<iq><!D"sv, "<iq><!ENTITY a 'b'>"sv, "<![CDATA[x]]>"sv}) {
        CAPTURE(text);
        CHECK(refusal(text) == StreamCondition::restricted_xml);
    }
    for (const auto text :
         {"<!DOCTYPE lolz ["sv, "<?xml version='1.0'?><!DOCTYPE"sv, "<?xml version='1.0'?><?x"sv, "<!--"sv}) {
        CAPTURE(text);
        CHECK(refusal(text, {}, false) == StreamCondition::restricted_xml);
    }
}

TEST_CASE("other encodings than UTF-8 are recognised by their first bytes") {
    for (const auto text : {"\xff\xfe<\0?\0"sv, "\xfe\xff\0<"sv, "<\0s\0"sv, "\0<\0s"sv}) {
        CAPTURE(text);
        CHECK(refusal(text, {}, false) == StreamCondition::unsupported_encoding);
    }
    CHECK(refusal("\xef\xbb\xbf<stream:stream>", {}, false) == StreamCondition::not_well_formed);
}

TEST_CASE("what cannot be an element is refused where it begins") {
    const std::pair<std::string_view, StreamCondition> rows[] = {
        {"x", StreamCondition::invalid_xml},
        {"<iq/>x", StreamCondition::invalid_xml},
        {"&amp;", StreamCondition::invalid_xml},
        {"</iq>", StreamCondition::not_well_formed},
        {"</stream:streams>", StreamCondition::not_well_formed},
        {"</stream:stream x>", StreamCondition::not_well_formed},
        {"< iq/>", StreamCondition::not_well_formed},
        {"<>", StreamCondition::not_well_formed},
        {"<1/>", StreamCondition::not_well_formed},
        {"<iq <", StreamCondition::not_well_formed},
        {"<iq / >", StreamCondition::not_well_formed},
        {"<iq><![CDATE[", StreamCondition::not_well_formed}};
    for (const auto& [text, condition] : rows) {
        CAPTURE(text);
        CHECK(refusal(text) == condition);
    }
    CHECK(refusal("GET / HTTP/1.1\r\n", {}, false) == StreamCondition::not_well_formed);
    CHECK(refusal("</stream:stream>", {}, false) == StreamCondition::not_well_formed);
}

TEST_CASE("the limits hold while reading, not after") {
    Limits limits;
    limits.stanza_bytes = 200;
    limits.depth = 3;
    limits.attributes = 4;
    limits.elements = 5;
    const auto policy = StreamCondition::policy_violation;
    CHECK(refusal("<a>" + std::string(193, 'x') + "</a>", limits) == std::nullopt);
    CHECK(refusal("<a>" + std::string(198, 'x'), limits) == policy);
    CHECK(refusal("   <a>" + std::string(194, 'x') + "</a>", limits) == policy);
    CHECK(refusal("<a b='" + std::string(200, 'x'), limits) == policy);
    CHECK(refusal("<" + std::string(200, 'x'), limits) == policy);
    CHECK(refusal("<a><b><c/></b></a>", limits) == std::nullopt);
    CHECK(refusal("<a><b><c><d", limits) == policy);
    CHECK(refusal("<a b='' c='' d='' e=''/>", limits) == std::nullopt);
    CHECK(refusal("<a b='' c='' d='' e='' f='", limits) == policy);
    CHECK(refusal("<a><b/><b/><b/><b/></a>", limits) == std::nullopt);
    CHECK(refusal("<a><b/><b/><b/><b/><b", limits) == policy);
    CHECK(refusal("<a/><a/><a/><a/><a/><a/><a/>", limits) == std::nullopt);
    CHECK(refusal(header, limits, false) == std::nullopt);
    CHECK(refusal("<?xml " + std::string(400, ' '), limits, false) == policy);
}

TEST_CASE("an oversized stanza is refused at its first byte too many") {
    Limits limits;
    limits.stanza_bytes = 200;
    Framer framer{limits};
    REQUIRE(framer.next(header).found == Found::header);
    const std::string start = "<a>" + std::string(197, 'x');
    CHECK(framer.next(start).found == Found::nothing);
    CHECK(framer.next(start + "x").found == Found::error);
    CHECK(framer.error().condition == StreamCondition::policy_violation);
    CHECK(framer.next("<iq/>").found == Found::error);  // for good
}

TEST_CASE("after a restart a new header is expected") {
    const Limits limits;
    Framer framer{limits};
    REQUIRE(framer.next(header).found == Found::header);
    REQUIRE(framer.next("<auth").found == Found::nothing);
    framer.expect_header();
    CHECK_FALSE(framer.is_mid_element());
    CHECK(framer.next(header).found == Found::header);
    CHECK(framer.next("<iq/>").found == Found::element);
}

TEST_CASE("a framer is small") { CHECK(sizeof(Framer) <= 48); }

TEST_CASE("random bytes never crash the framer, and what expat takes for one element is one frame") {
    const auto seed = std::random_device{}();
    CAPTURE(seed);
    std::mt19937 random{seed};
    const std::string_view pieces[] = {
        "<",  ">",   "/>", "</", "a",       "<a>",          "</a>",   "<a/>", "<b",    " c=", "'",
        "\"", "'x'", "=",  "<!", "[CDATA[", "<![CDATA[",    "]]>",    "]",    "&amp;", "&",   ";",
        "x",  "?",   " ",  "-",  "\xff",    "\xe2\x82\xac", "<a b='", "'>",   "</b>",  "<b>", "\n"};
    const Limits limits;
    xmpp::Parser parser{limits};
    std::size_t accepted = 0;
    for (int i = 0; i < 30000; ++i) {
        std::string text = random() % 3 == 0 ? "" : "<a>";
        for (auto left = random() % 10; left > 0; --left) text += pieces[random() % std::size(pieces)];
        if (random() % 2 == 0) text += "</a>";
        CAPTURE(text);
        Framer framer{limits};
        REQUIRE(framer.next(header).found == Found::header);
        std::vector<Seen> seen = feed(framer, {text});
        for (const Seen& each : seen)
            if (each.found == Found::element) (void)parser.parse(each.bytes).ok();
        const auto parsed = parser.parse(text);
        if (!parsed) continue;
        ++accepted;
        REQUIRE(seen.size() == 1);
        REQUIRE(seen[0].found == Found::element);
        REQUIRE(seen[0].bytes.size() == parsed->size());
    }
    CHECK(accepted > 300);
    for (int i = 0; i < 2000; ++i) {
        std::string bytes(random() % 200, '\0');
        for (char& c : bytes) c = static_cast<char>(random());
        Framer framer{limits};
        if (random() % 2 == 0) (void)framer.next(header);
        (void)feed(framer, {bytes, bytes});
        (void)parser.parse(bytes).ok();
        (void)parser.parse_header(bytes).ok();
    }
}
