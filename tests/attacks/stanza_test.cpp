// SPDX-License-Identifier: MIT
// Attacks by stanzas of somebody who has logged in: false names, forged answers, hostile texts and addresses,
// floods.
#include <set>

#include "tests/attacks/attacked.h"

using namespace tests;
using namespace std::chrono_literals;

namespace {

constexpr const char* ns_roster = "jabber:iq:roster";

std::string to_juliet(const std::string& inside, const std::string& attributes = "") {
    return "<message to='juliet@localhost' type='chat' " + attributes + ">" + inside + "</message>";
}

}  // namespace

TEST_CASE("row 31: a client speaks in its own name alone, on the outside and on the inside") {
    Attacked attacked;
    for (const std::string from :
         {"juliet@localhost", "juliet@localhost/balcony", "localhost", "benvolio@localhost/garden",
          "romeo@localhost/elsewhere", "elsewhere.example", "@", "a@b@c"}) {
        for (const std::string& stanza :
             {"<message to='benvolio@localhost' from='" + from + "'><body>x</body></message>",
              "<presence from='" + from + "'/>",
              "<iq type='get' id='1' from='" + from + "'><ping xmlns='urn:xmpp:ping'/></iq>"}) {
            CAPTURE(stanza);
            WireClient romeo = attacked.romeo();
            romeo.send(stanza);
            CHECK(romeo.end().condition == "invalid-from");
        }
    }
    WireClient juliet = attacked.juliet();
    juliet.be_available();
    juliet.forget();
    WireClient romeo = attacked.romeo();
    const std::string forwarded =
        "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' "
        "from='benvolio@localhost/garden' to='juliet@localhost'><body>forged</body></message></forwarded>";
    for (const std::string& from :
         {std::string{}, std::string{"from='romeo@localhost'"}, std::string{"from='romeo@localhost/orchard'"},
          std::string{"from='ROMEO@localhost/orchard'"}}) {
        // Row 32: what pretends to be a carbon comes from him as well, and it is for the recipient's client
        // to ask who that is.
        for (const std::string& inside :
             {std::string{"<body>x</body>"}, "<body>x</body>" + forwarded,
              "<received xmlns='urn:xmpp:carbons:2'>" + forwarded + "</received><body>x</body>"}) {
            romeo.send(to_juliet(inside, from));
            const auto message = juliet.next_message();
            REQUIRE(message);
            CHECK(message->attr_or_empty("from") == "romeo@localhost/orchard");
        }
    }
    CHECK_NOTHROW(attacked.benvolio.ping());
    CHECK_FALSE(attacked.benvolio.next(0ms));
    attacked.check_unharmed();
}

TEST_CASE("row 33: nobody changes another one's roster, nor answers what the server or a contact was asked") {
    Attacked attacked;
    WireClient juliet = attacked.juliet();
    juliet.be_available();
    juliet.ask("get", "<query xmlns='jabber:iq:roster'/>", "");
    juliet.forget();
    WireClient romeo = attacked.romeo();
    const std::string push =
        "<query xmlns='jabber:iq:roster'><item jid='tybalt@localhost' subscription='both'/></query>";
    for (const std::string to :
         {"juliet@localhost", "juliet@localhost/balcony", "juliet@localhost/nowhere"}) {
        CAPTURE(to);
        romeo.send("<iq type='set' id='push' to='" + to + "'>" + push + "</iq>");
        if (to == "juliet@localhost/balcony") {
            // Relayed, since IQs to full addresses are; with his name on it.
            const auto relayed = juliet.next(300ms);
            if (relayed) {
                CHECK(relayed->attr_or_empty("from") == "romeo@localhost/orchard");
                juliet.send(
                    "<iq type='error' id='push' to='romeo@localhost/orchard'><error "
                    "type='cancel'><service-unavailable "
                    "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>");
            }
        }
        const Node refused = romeo.answer("push");
        CHECK(refused.attr_or_empty("type") == "error");
    }
    // Answers to questions that the server, or benvolio, put to her: they come with his name on them.
    for (const char* type : {"result", "error"}) {
        romeo.send("<iq type='" + std::string{type} + "' id='ask-7' to='juliet@localhost/balcony'/>");
        const auto forged = juliet.next(2s);
        REQUIRE(forged);
        CHECK(forged->attr_or_empty("from") == "romeo@localhost/orchard");
        romeo.send("<iq type='" + std::string{type} + "' id='ask-7' to='juliet@localhost'/>");
    }
    romeo.ping();
    const Node roster = juliet.ask("get", "<query xmlns='jabber:iq:roster'/>", "");
    REQUIRE(roster.child("query", ns_roster));
    CHECK(roster.child("query", ns_roster)->children.empty());
    attacked.check_unharmed();
}

TEST_CASE("row 39: text that means something to SQL means nothing here") {
    Attacked attacked{{{"TERN_REGISTRATION_OPEN", "true"}}};
    const std::vector<std::string> hostile{"'; DROP TABLE accounts; --",
                                           "\" OR \"\"=\"",
                                           "' OR 1=1 --",
                                           "\\'; SELECT 1; --",
                                           "%",
                                           "_",
                                           "?1",
                                           ":a",
                                           "x' UNION SELECT 1,2,3 --",
                                           "/* */",
                                           "0x27",
                                           "`"};
    WireClient romeo = attacked.romeo();
    WireClient juliet = attacked.juliet();
    juliet.be_available();
    juliet.forget();
    for (const std::string& text : hostile) {
        CAPTURE(text);
        const std::string x = escaped(text);
        romeo.send(to_juliet("<body>" + x + "</body>", "id='" + x + "'"));
        const auto message = juliet.next_message();
        REQUIRE(message);
        CHECK(message->child("body", ns::client)->text == text);
        CHECK(message->attr_or_empty("id") == text);
        CHECK(romeo
                  .ask("set",
                       "<query xmlns='jabber:iq:roster'><item jid='mercutio@localhost' name='" + x +
                           "'><group>" + x + "</group></item></query>",
                       "")
                  .attr_or_empty("type") == "result");
        const Node roster = romeo.ask("get", "<query xmlns='jabber:iq:roster'/>", "");
        CHECK(roster.child("query", ns_roster)->children.at(0).attr_or_empty("name") == text);
        CHECK(romeo
                  .ask("set",
                       "<query xmlns='jabber:iq:private'><x xmlns='urn:" + x + "'>" + x + "</x></query>", "")
                  .attr_or_empty("type") == "result");
        const Node kept =
            romeo.ask("get", "<query xmlns='jabber:iq:private'><x xmlns='urn:" + x + "'/></query>", "");
        CHECK(kept.children.at(0).children.at(0).text == text);
        WireClient stranger = attacked.client();
        stranger.open_stream();
        CHECK_FALSE(stranger.authenticate(text, text));
        CHECK(stranger
                  .ask("set",
                       "<query xmlns='jabber:iq:register'><username>" + x +
                           "</username><password>secret</password></query>",
                       "")
                  .name == "iq");
    }
    WireClient resource{*attacked.server, "romeo@localhost/'; DROP TABLE accounts; --", LiveServer::password};
    CHECK(resource.full_jid() == "romeo@localhost/'; DROP TABLE accounts; --");
    CHECK_NOTHROW(attacked.juliet().ping());
    attacked.check_unharmed({.cpu_seconds = 6});
}

TEST_CASE("row 48: new names cost nothing that stays") {
    Attacked attacked;
    WireClient romeo = attacked.romeo();
    const auto series = [&] {
        RawSocket web{attacked.server.process().http().host, attacked.server.process().http().port};
        web.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        std::string text;
        for (std::string more = web.receive(20s); !more.empty(); more = web.receive(5s)) text += more;
        return std::count(text.begin(), text.end(), '\n');
    };
    const auto before = series();
    const auto flood = [&](int from, int to) {
        std::string batch;
        for (int i = from; i < to; ++i) {
            const std::string name = "name-" + std::to_string(i) + std::string(40, 'x');
            batch += "<message to='romeo@localhost/orchard' " + name + "='1'><" + name +
                     " xmlns='urn:" + name + "' " + name +
                     "='1'/><no-store xmlns='urn:xmpp:hints'/></message>"  // the database's page cache is not meant
                     "<iq type='get' id='" +
                     name + "' to='localhost'><" + name + " xmlns='urn:" + name + "'/></iq>";
            if (i % 100 != 99) continue;
            romeo.send(batch);
            romeo.ping();
            romeo.forget();
            batch.clear();
        }
    };
    flood(0, 4'000);
    const Burden later{attacked.server.process().pid()};
    flood(4'000, 16'000);
    CHECK(later.megabytes() <
          1 * instrumented);  // 24,000 names of 50 bytes would be more, in one table
    for (int i = 0; i < 200; ++i) {
        RawSocket web{attacked.server.process().http().host, attacked.server.process().http().port};
        web.send("M" + std::to_string(i) + " /path-" + std::to_string(i) + " HTTP/1.1\r\nHost: h" +
                 std::to_string(i) + "\r\nX-" + std::to_string(i) + ": 1\r\nConnection: close\r\n\r\n");
        web.receive(5s);
    }
    CHECK(series() <= before + 4);  // statuses that were not answered before
    attacked.check_unharmed({.cpu_seconds = 8});
}

TEST_CASE("row 49: addresses that are none are refused, one by one, and the session goes on") {
    Attacked attacked;
    WireClient romeo = attacked.romeo();
    const std::string long_part(1024, 'a'), wide_part = repeated("\xc3\xa4", 512);
    const std::vector<std::string> malformed{"@localhost",
                                             "a@",
                                             "a@b@c",
                                             "/x",
                                             "a@/x",
                                             "juliet@localhost/",
                                             long_part + "@localhost",
                                             "juliet@localhost/" + long_part,
                                             "juliet@" + long_part,
                                             wide_part + "@localhost",
                                             "jul\xe2\x80\x8biet@localhost",
                                             "jul iet@localhost",
                                             "a&quot;b@localhost",
                                             "a&amp;b@localhost",
                                             "a&apos;b@localhost",
                                             "a:b@localhost",
                                             "a&lt;b@localhost",
                                             "juliet@local host",
                                             "juliet@-",
                                             "juliet@.",
                                             "juliet@a..b",
                                             "\xe2\x99\x9a@localhost",
                                             "juliet@localhost/\xef\xbf\xbe"
                                             "x",
                                             "\xd7\x90"
                                             "a@localhost",
                                             "juliet@[::1",
                                             "juliet@xn--",
                                             "juliet@loc\xe3\x80\x82",
                                             "a&#x7f;b@localhost"};
    int n = 0;
    for (const std::string& to : malformed) {
        CAPTURE(to);
        if (to.find("\xef\xbf\xbe") != std::string::npos) continue;  // no XML character at all: row 6
        const std::string id = "bad-" + std::to_string(++n);
        romeo.send("<iq type='get' id='" + id + "' to='" + to + "'><ping xmlns='urn:xmpp:ping'/></iq>");
        const Node reply = romeo.answer(id);
        CHECK(reply.attr_or_empty("type") == "error");
        // A domain that could exist somewhere is not malformed, only not here.
        const std::string condition = condition_of(reply);
        CHECK((condition == "jid-malformed" || condition == "remote-server-not-found"));
        if (to.ends_with("@localhost")) CHECK(condition == "jid-malformed");
    }
    // The longest that there are, and look-alikes that are somebody else.
    const std::string longest(1023, 'a');
    CHECK(condition_of(romeo.ask("get", "<ping xmlns='urn:xmpp:ping'/>",
                                 longest + "@localhost/" + longest)) == "service-unavailable");
    romeo.send("<message to='juli\xd0\xb5t@localhost' id='look'><body>x</body></message>");  // Cyrillic
    CHECK(condition_of(romeo.answer("look")) == "service-unavailable");
    for (const std::string& resource :
         {std::string(1024, 'r'), std::string{"\xe2\x80\x8b"}, std::string{"a\tb"}}) {
        WireClient client = attacked.client();
        client.open_stream();
        REQUIRE(client.authenticate("romeo", LiveServer::password));
        client.open_stream();
        const Node refused = client.ask(
            "set",
            "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" + resource + "</resource></bind>",
            "");
        CHECK(condition_of(refused) == "bad-request");
    }
    romeo.ping();
    attacked.check_unharmed();
}

TEST_CASE(
    "row 50: acks and resumptions of what was never sent, and of somebody else's session, are refused") {
    Attacked attacked;
    const std::string enable = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
    for (const std::string h : {"1", "4294967295", "2147483648"}) {
        WireClient romeo = attacked.romeo();
        romeo.send(enable);
        CHECK(romeo.element().name == "enabled");
        romeo.send("<a xmlns='urn:xmpp:sm:3' h='" + h + "'/>");
        CHECK(romeo.end().condition == "undefined-condition");
    }
    for (const std::string bad :
         {"<a xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='-1'/>",
          "<a xmlns='urn:xmpp:sm:3' h='4294967296'/>", "<a xmlns='urn:xmpp:sm:3' h='x'/>"}) {
        CAPTURE(bad);
        WireClient romeo = attacked.romeo();
        romeo.send(enable + bad);
        CHECK(romeo.element().name == "enabled");
        CHECK(romeo.end().condition == "unsupported-stanza-type");
    }
    WireClient juliet = attacked.juliet();
    juliet.send(enable);
    const std::string id = juliet.element().attr_or_empty("id");
    REQUIRE(id.size() >= 16);
    WireClient thief = attacked.client();
    thief.open_stream();
    REQUIRE(thief.authenticate("romeo", LiveServer::password));
    thief.open_stream();
    for (const std::string& previous : {id, id.substr(1), std::string{}, std::string(5'000, 'x')}) {
        thief.send("<resume xmlns='urn:xmpp:sm:3' previd='" + previous + "' h='0'/>");
        const Node refused = thief.element();
        CHECK(refused.name == "failed");
        CHECK(refused.child("item-not-found", "urn:ietf:params:xml:ns:xmpp-stanzas"));
    }
    juliet.ping();
    attacked.check_unharmed();
}

TEST_CASE(
    "row 51: one stanza makes one stanza: errors are not answered, floods are answered once and hold up "
    "nobody") {
    Attacked attacked;
    WireClient juliet = attacked.juliet();
    juliet.be_available();
    juliet.forget();
    WireClient romeo = attacked.romeo();
    romeo.be_available();
    romeo.forget();
    // Nobody answers an answer.
    for (const std::string stanza :
         {"<iq type='error' id='e' to='localhost'><error type='cancel'><gone "
          "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
          "<iq type='result' id='r' to='localhost'/>",
          "<message type='error' to='nobody@localhost'><body>x</body></message>",
          "<message type='error' to='juliet@localhost'/>", "<presence type='error' to='juliet@localhost'/>",
          "<iq type='result' id='r2' to='nobody@localhost/x'/>",
          "<message type='headline' to='nobody@localhost'/>",
          "<presence type='probe' to='juliet@localhost'/>",
          "<presence type='unavailable' to='nobody@localhost'/>"})
        romeo.send(stanza);
    romeo.ping();
    juliet.ping();
    CHECK_FALSE(romeo.next(100ms));

    std::string questions;
    for (int i = 0; i < 2'000; ++i)
        questions += "<iq type='get' id='q" + std::to_string(i) +
                     "' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    romeo.send(questions);
    attacked.benvolio.ping(5s);
    std::set<std::string> answered;
    for (int i = 0; i < 2'000; ++i) CHECK(answered.insert(romeo.element().attr_or_empty("id")).second);
    CHECK_FALSE(romeo.next(50ms));

    // Directed presence to many who do not exist: nothing comes back. There is a limit; and leaving tells
    // each once.
    std::string presences;
    for (int i = 0; i < 500; ++i) presences += "<presence to='juliet@localhost'/>";
    for (int i = 0; i < 1'999; ++i) presences += "<presence to='nobody" + std::to_string(i) + "@localhost'/>";
    romeo.send(presences);
    attacked.benvolio.ping(5s);
    romeo.ping();
    CHECK_FALSE(romeo.next(100ms));
    romeo.send("<presence to='onemore@localhost'/>");
    CHECK(condition_of(romeo.element()) == "resource-constraint");
    romeo.send("</stream:stream>");
    CHECK(romeo.end().is_over);
    int available = 0, unavailable = 0;
    while (unavailable == 0) {
        const Node presence = juliet.element();
        if (presence.attr_or_empty("from") != "romeo@localhost/orchard") continue;
        available += presence.attr_or_empty("type").empty();
        unavailable += presence.attr_or_empty("type") == "unavailable";
    }
    juliet.ping();
    while (const auto more = juliet.next(100ms)) unavailable += more->name == "presence";
    CHECK(available == 500);
    CHECK(unavailable == 1);
    attacked.check_unharmed({.cpu_seconds = 5});
}

// What nobody will answer any more is refused when a session ends; here that goes to the session itself.
TEST_CASE("who asked himself a thousand things and goes without an acknowledgement takes nothing with him") {
    Attacked attacked;
    {
        WireClient romeo = attacked.romeo();
        romeo.send("<enable xmlns='urn:xmpp:sm:3'/>");
        REQUIRE(romeo.element().name == "enabled");
        romeo.send(repeated("<iq type='get' id='q' to='" + romeo.full_jid() + "'><x xmlns='urn:example'/></iq>", 1000));
        romeo.ping();
        romeo.vanish();
    }
    attacked.benvolio.ping();
    attacked.check_unharmed({.cpu_seconds = 3});
}
