// SPDX-License-Identifier: MIT
// Clients that go without a word, or never read (attack rows 15 and 58). A peer whose packets are swallowed
// by the network is not simulated here: TCP_USER_TIMEOUT is the kernel's.
#include <catch2/catch.hpp>

#include <sys/socket.h>

#include "tests/clients/live_server.h"
#include "tests/clients/wire_client.h"

using namespace tests;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

// Juliet is told of romeo's presence.
void subscribe(WireClient& juliet, WireClient& romeo) {
    juliet.be_available();
    romeo.be_available();
    juliet.send("<presence to='romeo@localhost' type='subscribe'/>");
    while (romeo.element().attr_or_empty("type") != "subscribe") {
    }
    romeo.send("<presence to='juliet@localhost' type='subscribed'/>");
    romeo.ping();
    while (true) {
        const Node presence = juliet.element();
        if (presence.name == "presence" && presence.attr_or_empty("type").empty() &&
            presence.attr_or_empty("from").starts_with("romeo@localhost/"))
            break;
    }
    juliet.forget();
}

// How long it takes until she is told that he has gone; she shows signs of life meanwhile.
std::chrono::milliseconds time_until_gone(WireClient& juliet, const std::string& who,
                                          std::chrono::seconds wait = 20s) {
    const auto began = Clock::now();
    while (Clock::now() - began < wait) {
        juliet.send(" ");
        const auto node = juliet.next(100ms);
        if (node && node->name == "presence" && node->attr_or_empty("type") == "unavailable" &&
            node->attr_or_empty("from") == who)
            return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
    }
    FAIL_CHECK("nobody said that " << who << " has gone");
    return wait;
}

const TernProcess::Environment impatient{
    {"TERN_LIMITS_IDLE", "1"}, {"TERN_LIMITS_PING_TIMEOUT", "1"}};

}  // namespace

TEST_CASE(
    "a client that vanishes is gone at once, one that falls silent is asked and then gone, and contacts are "
    "told") {
    LiveServer server{TERN_BINARY, {.settings = impatient}};
    WireClient juliet{*server, "juliet@localhost/balcony", LiveServer::password};
    {
        WireClient romeo{*server, "romeo@localhost/first", LiveServer::password};
        subscribe(juliet, romeo);
        romeo.vanish();  // RST
        CHECK(time_until_gone(juliet, "romeo@localhost/first") < 5s);
    }
    auto romeo = std::make_unique<WireClient>(*server, "romeo@localhost/second", LiveServer::password);
    romeo->be_available();
    romeo.reset();  // FIN without the end of the stream
    CHECK(time_until_gone(juliet, "romeo@localhost/second") < 5s);

    WireClient silent{*server, "romeo@localhost/third", LiveServer::password};
    silent.be_available();
    const auto took = time_until_gone(juliet, "romeo@localhost/third");
    CHECK(took > 1s);
    CHECK(took < 10s);
    bool was_asked = false;
    while (const auto node = silent.next(1s))
        was_asked = was_asked || node->child("ping", "urn:xmpp:ping") != nullptr;
    CHECK(was_asked);
    CHECK(silent.end().condition == "connection-timeout");
    CHECK(server.process().logged_errors() == std::vector<std::string>{});
}

TEST_CASE(
    "a resumable session outlives its connection for as long as agreed, and then leaves its messages to the "
    "log") {
    LiveServer server{TERN_BINARY};
    WireClient juliet{*server, "juliet@localhost/balcony", LiveServer::password};
    WireClient romeo{*server, "romeo@localhost/first", LiveServer::password};
    romeo.send("<enable xmlns='urn:xmpp:sm:3' resume='true' max='2'/>");
    CHECK(romeo.element().attr_or_empty("max") == "2");
    subscribe(juliet, romeo);
    romeo.vanish();
    for (int n = 0; n < 20; ++n)
        juliet.send("<message to='romeo@localhost' type='chat' id='" + std::to_string(n) +
                    "'><body>Are you there?</body></message>");
    juliet.ping();
    const auto took = time_until_gone(juliet, "romeo@localhost/first");
    CHECK(took > 1s);
    WireClient again{*server, "romeo@localhost/second", LiveServer::password};
    again.be_available();
    for (int n = 0; n < 20; ++n) {
        const auto message = again.next_message();
        REQUIRE(message);
        CHECK(message->attr_or_empty("id") == std::to_string(n));
    }
    CHECK(server.process().logged_errors() == std::vector<std::string>{});
}

TEST_CASE("a client that does not read loses its session when its queue is full, and nothing else") {
    LiveServer server{TERN_BINARY, {.settings = {{"TERN_LIMITS_OUTBOX_BYTES", "1000000"}}}};
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password},
        benvolio{*server, "benvolio@localhost/garden", LiveServer::password};
    romeo.be_available();
    romeo.forget();
    auto juliet = std::make_unique<WireClient>(*server, "juliet@localhost/balcony", LiveServer::password);
    const int small = 4096;
    ::setsockopt(juliet->socket().descriptor(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    juliet->send("<enable xmlns='urn:xmpp:sm:3'/>");
    CHECK(juliet->element().name == "enabled");
    juliet->be_available();
    juliet->send("<presence to='romeo@localhost/orchard'/>");
    CHECK(romeo.element().attr_or_empty("from") == "juliet@localhost/balcony");

    const Burden burden{server.process().pid()};
    const std::string text(100'000, 'x');
    int sent = 0;
    bool is_gone = false;
    for (; sent < 200 && !is_gone; ++sent) {
        romeo.send("<message to='juliet@localhost' type='chat' id='" + std::to_string(sent) + "'><body>" +
                   text + "</body></message>");
        romeo.ping();
        while (const auto node = romeo.next(0ms))
            is_gone = is_gone || node->attr_or_empty("type") == "unavailable";
    }
    CHECK(is_gone);
    CHECK(burden.megabytes() < 100 * instrumented);
    benvolio.ping(5s);
    juliet.reset();
    // She acked nothing: all of it is still hers.
    WireClient again{*server, "juliet@localhost/balcony", LiveServer::password};
    again.send("<presence/>");
    for (int n = 0; n < sent; ++n) {
        CAPTURE(n, sent);
        const auto message = again.next_message();
        REQUIRE(message);
        CHECK(message->attr_or_empty("id") == std::to_string(n));
    }
    again.ping();
    CHECK_FALSE(again.next_message(0ms));
    CHECK(server.process().logged_errors() == std::vector<std::string>{});
}

TEST_CASE("a session that is owed more than a queue holds is resumed all the same, and gets all of it") {
    LiveServer server{TERN_BINARY, {.settings = {{"TERN_LIMITS_OUTBOX_BYTES", "1000000"}}}};
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    auto juliet = std::make_unique<WireClient>(*server, "juliet@localhost/balcony", LiveServer::password);
    juliet->send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    const Node enabled = juliet->element();
    const std::string id = enabled.attr_or_empty("id");
    juliet->be_available();
    juliet->vanish();
    constexpr int count = 60;
    const std::string text(100'000, 'x');
    for (int n = 0; n < count; ++n) romeo.send("<message to='juliet@localhost' type='chat' id='" + std::to_string(n) + "'><body>" + text + "</body></message>");
    romeo.ping(20s);

    WireClient again{*server};
    again.open_stream();
    REQUIRE(again.authenticate("juliet", LiveServer::password));
    again.open_stream();
    again.send("<resume xmlns='urn:xmpp:sm:3' previd='" + id + "' h='0'/>");
    Node resumed = again.element();
    while (resumed.name != "resumed") resumed = again.element();
    for (int n = 0; n < count; ++n) {
        CAPTURE(n);
        const auto message = again.next_message();
        REQUIRE(message);
        CHECK(message->attr_or_empty("id") == std::to_string(n));
    }
    again.ping();
}

TEST_CASE("a client that asks for more than it reads is not read itself, and gets all of it when it does") {
    LiveServer server{TERN_BINARY, {.settings = {{"TERN_LIMITS_OUTBOX_BYTES", "1000000"}}}};
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    const std::string text(100'000, 'x');
    CHECK(romeo.ask("set", "<vCard xmlns='vcard-temp'><NOTE>" + text + "</NOTE></vCard>", "").attr_or_empty("type") == "result");
    constexpr int count = 200;
    const Burden burden{server.process().pid()};
    std::string requests;
    for (int n = 0; n < count; ++n) requests += "<iq type='get' id='v" + std::to_string(n) + "'><vCard xmlns='vcard-temp'/></iq>";
    romeo.send(requests);
    for (int n = 0; n < count; ++n) {
        const Node answer = romeo.element();
        REQUIRE(answer.attr_or_empty("id") == "v" + std::to_string(n));
    }
    CHECK(burden.megabytes() < 50 * instrumented);
    romeo.ping();
}
