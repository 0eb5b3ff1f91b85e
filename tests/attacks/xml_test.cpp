// SPDX-License-Identifier: MIT
// Attacks by XML itself: what no stream may contain, what costs a parser too much, and what two parsers might
// read differently. RFC 6120 §11, §4.9.3.
#include "tests/attacks/attacked.h"

using namespace tests;
using namespace std::chrono_literals;

namespace {

const std::string lol =
    "<!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;'>"
    "<!ENTITY lol3 '&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;'>]>";

// Sent where a stream begins, to the port without TLS, by somebody unknown.
WireClient::End end_of_stream_that_begins(const Attacked& attacked, const std::string& text) {
    WireClient tybalt = attacked.client(WireClient::Door::plain);
    tybalt.send(text);
    return tybalt.end();
}

// Sent by somebody who has logged in.
WireClient::End end_of_session_that_sends(const Attacked& attacked, const std::string& text) {
    WireClient romeo = attacked.romeo();
    romeo.send(text);
    return romeo.end();
}

void check_ended(const WireClient::End& end, const std::string& condition) {
    CHECK(end.is_over);
    CHECK(end.has_footer);
    CHECK(end.condition == condition);
}

std::string to_juliet(const std::string& inside) {
    return "<message to='juliet@localhost' type='chat'>" + inside + "</message>";
}

}  // namespace

TEST_CASE("row 1: document types, entities, comments and instructions end the stream with restricted-xml") {
    Attacked attacked;
    const std::string declaration = "<?xml version='1.0'?>";
    for (const std::string& text :
         {declaration + lol + header(), "<!DOCTYPE x SYSTEM 'file:///etc/passwd'>" + header(),
          declaration + "<!-- hello -->" + header(), declaration + "<?php die(); ?>" + header(),
          header() + lol}) {
        CAPTURE(text);
        check_ended(end_of_stream_that_begins(attacked, text), "restricted-xml");
    }
    for (const std::string& text :
         {lol + to_juliet("<body>&lol3;</body>"), to_juliet("<body>&lol3;</body>"),
          to_juliet(lol + "<body/>"), to_juliet("<!-- hello -->"), to_juliet("<?php die(); ?>"),
          to_juliet("<body>&nbsp;</body>"), std::string{"<?xml version='1.0'?><message/>"},
          std::string{"<!ENTITY a 'b'>"}}) {
        CAPTURE(text);
        check_ended(end_of_session_that_sends(attacked, text), "restricted-xml");
    }
    attacked.check_unharmed();
}

TEST_CASE("row 2: entities in attributes are not expanded, and the five that all know cost what they weigh") {
    Attacked attacked;
    check_ended(end_of_session_that_sends(attacked, "<message to='&lol3;'/>"), "restricted-xml");
    check_ended(
        end_of_stream_that_begins(
            attacked, lol + "<stream:stream to='&lol3;' xmlns:stream='http://etherx.jabber.org/streams'>"),
        "restricted-xml");
    WireClient juliet = attacked.juliet();
    juliet.be_available();
    WireClient romeo = attacked.romeo();
    const std::string amps = repeated("&amp;", 20'000);
    for (int i = 0; i < 5; ++i)
        romeo.send(to_juliet("<x xmlns='urn:example' a='" + amps + "'/><body>" + amps + "</body>"));
    juliet.forget();
    for (int i = 0; i < 5; ++i) {
        const auto message = juliet.next_message();
        REQUIRE(message);
        CHECK(message->child("body", ns::client)->text == std::string(20'000, '&'));
    }
    attacked.check_unharmed();
}

TEST_CASE("row 3: attributes that collide are too many before they are slow") {
    Attacked attacked;
    std::string declarations = "<!DOCTYPE x [<!ATTLIST x ";
    for (int i = 0; i < 40'000; ++i) declarations += "a" + std::to_string(i) + " CDATA #IMPLIED ";
    check_ended(end_of_stream_that_begins(attacked, declarations + ">]>" + header()), "restricted-xml");
    std::string attributes;
    for (int i = 0; i < 20'000; ++i) attributes += " a" + std::to_string(i) + "=''";
    check_ended(end_of_session_that_sends(attacked, "<message" + attributes + "/>"), "policy-violation");
    check_ended(end_of_stream_that_begins(attacked, "<stream:stream" + attributes.substr(0, 8000) + ">"),
                "policy-violation");
    attacked.check_unharmed({.cpu_seconds = 1});
}

TEST_CASE("row 4: a stanza fed byte by byte costs in proportion to its size") {
    Attacked attacked{{{"TERN_C2S_REQUIRE_TLS", "false"}}};
    WireClient romeo{*attacked.server, "romeo@localhost/orchard", LiveServer::password,
                     WireClient::Door::plain};
    romeo.be_available();
    const auto cost_of = [&](std::size_t size) {
        const Burden before{attacked.server.process().pid()};
        const std::string message =
            "<message to='romeo@localhost/orchard'><body>" + std::string(size, 'x') + "</body></message>";
        for (const char& byte : message) romeo.send({&byte, 1});
        const auto back = romeo.next_message();
        REQUIRE(back);
        CHECK(back->child("body", ns::client)->text.size() == size);
        return before.cpu_seconds();
    };
    const double quarter = std::max(0.05, cost_of(60'000));
    CHECK(cost_of(240'000) < 10 * quarter);
    attacked.check_unharmed({.cpu_seconds = 8});
}

TEST_CASE("row 5: deep nesting ends the stream before it is deep") {
    Attacked attacked;
    check_ended(end_of_session_that_sends(attacked, to_juliet(repeated("<a>", 80'000))), "policy-violation");
    check_ended(end_of_stream_that_begins(attacked, header() + repeated("<a>", 5'000)), "policy-violation");
    check_ended(end_of_session_that_sends(attacked, repeated("<message>", 20'000)), "policy-violation");
    attacked.check_unharmed();
}

TEST_CASE("row 6: what is no UTF-8 and no XML character is not well-formed, wherever it stands") {
    Attacked attacked;
    const std::vector<std::string> bad{"\xff",
                                       "\xc0\x80",
                                       "\xc1\xbf",
                                       "\xe0\x80\xaf",
                                       "\xed\xa0\x80",
                                       "\xed\xbf\xbf",
                                       "\xf4\x90\x80\x80",
                                       "\xf8\x88\x80\x80\x80",
                                       "\xe2\x82",
                                       "\x80",
                                       std::string(1, '\0'),
                                       "\x01",
                                       "\x1b",
                                       "\xef\xbf\xbf",
                                       "&#0;",
                                       "&#x1;",
                                       "&#xD800;",
                                       "&#x110000;"};
    for (const std::string& text : bad) {
        CAPTURE(text);
        check_ended(end_of_session_that_sends(attacked, to_juliet("<body>" + text + "</body>")),
                    "not-well-formed");
        check_ended(end_of_session_that_sends(attacked,
                                              "<message to='juliet@localhost" + text + "'><body/></message>"),
                    "not-well-formed");
    }
    for (const char* name : {"\xff", "\xed\xa0\x80", "\xe2\x82"})
        check_ended(end_of_session_that_sends(attacked, to_juliet("<" + std::string{name} + "/>")),
                    "not-well-formed");
    // A character that comes in two pieces is whole.
    WireClient romeo = attacked.romeo();
    romeo.be_available();
    romeo.send("<message to='romeo@localhost/orchard'><body>\xf0\x9f");
    romeo.send("\x8c\xb9</body></message>");
    const auto back = romeo.next_message();
    REQUIRE(back);
    CHECK(back->child("body", ns::client)->text == "\xf0\x9f\x8c\xb9");
    attacked.check_unharmed();
}

TEST_CASE("row 7: a namespace cannot pretend to be another one by what it contains") {
    Attacked attacked;
    check_ended(end_of_session_that_sends(
                    attacked, "<iq type='set' id='1'><query xmlns='jabber:iq:register&#1;query'/></iq>"),
                "not-well-formed");
    check_ended(
        end_of_session_that_sends(attacked, "<iq type='get' id='1'><query xmlns='urn:xmpp:ping&#xC;'/></iq>"),
        "not-well-formed");
    WireClient romeo = attacked.romeo();
    for (const std::string separator : {"|", "&#10;", " ", "^", "#", "}"}) {
        CAPTURE(separator);
        const Node reply = romeo.ask("get", "<x xmlns='urn:xmpp:ping" + separator + "ping'/>");
        CHECK(reply.attr_or_empty("type") == "error");
        const Node other = romeo.ask("get", "<ping xmlns='urn:xmpp:ping" + separator + "'/>");
        CHECK(other.attr_or_empty("type") == "error");
    }
    attacked.check_unharmed();
}

TEST_CASE("row 8: no stanza is smuggled inside another one") {
    Attacked attacked;
    WireClient juliet = attacked.juliet();
    juliet.be_available();
    juliet.forget();
    WireClient romeo = attacked.romeo();
    const std::string forged =
        "<message from='benvolio@localhost' to='juliet@localhost'><body>forged</body></message>";
    const std::vector<std::string> disguises{
        "<body><![CDATA[</body></message>" + forged + "]]></body>",
        "<body><![CDATA[x]]]]><![CDATA[></body></message>" + forged + "]]></body>",
        "<body a='</body></message>" + repeated("&lt;", 3) + "'/>",
        "<body>&lt;/body&gt;&lt;/message&gt;&#60;message from='benvolio@localhost'&#62;</body>",
        "<body xmlns:a='urn:x' a:b=\"'\" c='\"></message>'>text</body>",
        "<body\n>text</body\n>",
        "<body>text</body>\r\n",
        "<x xmlns='urn:example'>" + forged + "</x><body>text</body>",
    };
    for (std::size_t i = 0; i < disguises.size(); ++i) {
        CAPTURE(disguises[i]);
        // '<' may not stand in an attribute: what does is refused whole.
        const bool is_refused = disguises[i].find("='</") != std::string::npos ||
                                disguises[i].find("></message>'") != std::string::npos;
        WireClient sender{*attacked.server, "romeo@localhost/" + std::to_string(i), LiveServer::password};
        sender.send(to_juliet(disguises[i]) +
                    "<message to='juliet@localhost' id='end'><body>end</body></message>");
        if (is_refused) {
            check_ended(sender.end(), "not-well-formed");
            continue;
        }
        const auto first = juliet.next_message(), second = juliet.next_message();
        REQUIRE(first);
        REQUIRE(second);
        CHECK(first->attr_or_empty("from") == sender.full_jid());
        CHECK(second->attr_or_empty("id") == "end");
    }
    check_ended(end_of_session_that_sends(attacked, to_juliet("<body>]]></body>")), "not-well-formed");
    check_ended(end_of_session_that_sends(
                    attacked, "<message to='juliet@localhost'><body></message>" + forged + "</message>"),
                "not-well-formed");
    juliet.ping();
    CHECK_FALSE(juliet.next(0ms));
    attacked.check_unharmed();
}

TEST_CASE("row 9: a stanza without an end is refused when it is too long, not when it is over") {
    Attacked attacked;
    constexpr std::size_t limit = 262'144, limit_before_login = 16'384;  // limits.stanza_bytes…
    for (const std::string start :
         {"<message><body>", "<message to='", "<message><body><![CDATA[", "<message a"}) {
        CAPTURE(start);
        check_ended(end_of_session_that_sends(attacked, start + std::string(limit, 'x')), "policy-violation");
        check_ended(
            end_of_stream_that_begins(attacked, header() + start + std::string(limit_before_login, 'x')),
            "policy-violation");
        const bool is_a_tag = start.ends_with('>') || start.ends_with('[');
        check_ended(end_of_stream_that_begins(attacked, start + std::string(limit_before_login, 'x')),
                    is_a_tag ? "bad-format" : "policy-violation");
    }
    // Many at once, each just below the limit: what they hold is bounded by the number of connections.
    std::vector<std::unique_ptr<WireClient>> crowd;
    for (int i = 0; i < 100; ++i) {
        crowd.push_back(std::make_unique<WireClient>(*attacked.server, WireClient::Door::plain));
        crowd.back()->send(header() + "<message a" + std::string(limit_before_login - 100, 'x'));
    }
    for (const auto& client : crowd) CHECK(client->element().name == "features");
    attacked.check_unharmed({.cpu_seconds = 3});
}

TEST_CASE("row 10: what swells in memory is counted: attributes, elements, prefixes") {
    Attacked attacked;
    std::string attributes, prefixes;
    for (int i = 0; i < 65; ++i) attributes += " a" + std::to_string(i) + "='1'";
    check_ended(end_of_session_that_sends(attacked, "<message" + attributes + "/>"), "policy-violation");
    check_ended(end_of_session_that_sends(attacked, to_juliet(repeated("<a/>", 2048))), "policy-violation");
    for (int i = 0; i < 200; ++i)
        prefixes += "<a xmlns:p" + std::to_string(i) + "='urn:" + std::to_string(i) + "'>";
    check_ended(end_of_session_that_sends(attacked, to_juliet(prefixes)), "policy-violation");
    // As many as are allowed, again and again, to somebody who is not there: each goes to the disk and out of
    // memory.
    WireClient romeo = attacked.romeo();
    for (int i = 0; i < 100; ++i) romeo.send(to_juliet("<body>x</body>" + repeated("<a/>", 2000)));
    romeo.ping();
    attacked.check_unharmed({.cpu_seconds = 4});
}

TEST_CASE("row 61: no encoding but UTF-8") {
    Attacked attacked;
    const auto in_utf16 = [](const std::string& text, bool big_endian) {
        std::string wide;
        for (const char c : text) {
            if (big_endian) wide += '\0';
            wide += c;
            if (!big_endian) wide += '\0';
        }
        return wide;
    };
    const std::string declaration = "<?xml version='1.0'?>";
    for (const std::string& text :
         {"\xff\xfe" + in_utf16(declaration + header(), false),
          "\xfe\xff" + in_utf16(declaration + header(), true), in_utf16(declaration + header(), false),
          in_utf16(declaration + header(), true), in_utf16(header(), false)})
        check_ended(end_of_stream_that_begins(attacked, text), "unsupported-encoding");
    for (const char* encoding : {"ISO-8859-1", "UTF-16", "utf-7", "US-ASCII", "windows-1252"}) {
        CAPTURE(encoding);
        check_ended(end_of_stream_that_begins(attacked, "<?xml version='1.0' encoding='" +
                                                            std::string{encoding} + "'?>" + header()),
                    "unsupported-encoding");
    }
    check_ended(end_of_stream_that_begins(attacked, "\xef\xbb\xbf" + header()), "not-well-formed");
    WireClient tybalt = attacked.client(WireClient::Door::plain);
    tybalt.send("<?xml version='1.0' encoding='utf-8'?>" + header());
    CHECK(tybalt.element().name == "features");
    attacked.check_unharmed();
}

TEST_CASE(
    "row 62: prefixes that the sender's stream or stanza declares do not break the recipient's stream") {
    Attacked attacked;
    WireClient juliet = attacked.juliet();
    juliet.be_available();
    juliet.forget();
    WireClient romeo = attacked.client();
    REQUIRE(romeo.log_in("romeo@localhost/orchard", LiveServer::password,
                         "xmlns:evil='urn:evil' xmlns:s='http://etherx.jabber.org/streams'"));
    const std::vector<std::pair<std::string, std::string>> stanzas{
        {to_juliet("<evil:x evil:a='1'/><body>text</body>"), "urn:evil"},
        {to_juliet("<x xmlns='urn:one'><evil:y/></x><body>text</body>"), "urn:one"},
        {"<message to='juliet@localhost' xmlns:p='urn:p'><p:x/><body>text</body></message>", "urn:p"},
        {"<message to='juliet@localhost' xmlns:stream='urn:other'><stream:x/><body>text</body></message>",
         "urn:other"},
        {"<message to='juliet@localhost' xmlns:evil='urn:redeclared'><evil:x/><body>text</body></message>",
         "urn:redeclared"},
        {"<c:message xmlns:c='jabber:client' to='juliet@localhost'><x "
         "xmlns='urn:two'/><c:body>text</c:body></c:message>",
         "urn:two"},
        {to_juliet("<s:error xmlns:s='urn:three'/><body>text</body>"), "urn:three"},
    };
    for (const auto& [stanza, expected] : stanzas) {
        CAPTURE(stanza);
        romeo.send(stanza);
        const auto message = juliet.next_message();  // throws when what came was no XML
        REQUIRE(message);
        REQUIRE(message->children.size() == 3);  // what was sent, and the archive's id of it
        REQUIRE(message->child("stanza-id", "urn:xmpp:sid:0"));
        CHECK(message->children.front().ns == expected);
        REQUIRE(message->child("body", ns::client));
        CHECK(message->child("body", ns::client)->text == "text");
    }
    // In another sender's stream the prefix is unknown: his own stream ends.
    check_ended(end_of_session_that_sends(attacked, to_juliet("<evil:x/>")), "not-well-formed");
    juliet.ping();
    attacked.check_unharmed();
}

TEST_CASE("row 63: nested messages are relayed and stored as far as the limit, and refused beyond") {
    Attacked attacked;
    const auto nested = [](int times) {
        return to_juliet("<body>deep</body>" +
                         repeated("<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'>",
                                  static_cast<std::size_t>(times)) +
                         repeated("</message></forwarded>", static_cast<std::size_t>(times)));
    };
    WireClient romeo = attacked.romeo();
    romeo.send(nested(30));
    romeo.ping();
    WireClient juliet = attacked.juliet();  // was offline: the message comes from the log
    juliet.be_available();
    const auto message = juliet.next_message();
    REQUIRE(message);
    std::size_t depth = 0;
    for (const Node* at = &*message; !at->children.empty(); at = &at->children.back()) {
        if (at->name == "message" && at->children.back().name != "forwarded" &&
            depth == 0) {  // <delay/> stands behind it
            at = at->child("forwarded", "urn:xmpp:forward:0");
            REQUIRE(at);
        }
        ++depth;
    }
    CHECK(depth >= 59);
    check_ended(end_of_session_that_sends(attacked, nested(40)), "policy-violation");
    check_ended(end_of_session_that_sends(attacked, nested(3'000)), "policy-violation");
    juliet.ping();
    attacked.check_unharmed();
}
