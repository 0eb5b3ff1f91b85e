// SPDX-License-Identifier: MIT
// Push notifications (XEP-0357) from end to end: a message, the push service at push.DOMAIN, and a real HTTP server
// behind it that is busy, forgets phones, or is not there.
#include <catch2/catch.hpp>

#include <algorithm>
#include <thread>

#include <nlohmann/json.hpp>

#include "tests/clients/live_server.h"
#include "tests/clients/wire_client.h"
#include "tests/unit/auth/http_server.h"

using namespace tests;
using namespace std::chrono_literals;
using auth_test::HttpServer;
using Json = nlohmann::json;

namespace {

TernProcess::Environment push_to(const std::string& url) {
    return {{"TERN_PUSH_URL", url}, {"TERN_PUSH_HEADERS", "Authorization: Bearer gateway-secret"}, {"TERN_PUSH_SHOW", "body"}, {"TERN_PUSH_TIMEOUT", "2s"}};
}

void enable(WireClient& client, const std::string& node) {
    const Node answer = client.ask("set",
        "<enable xmlns='urn:xmpp:push:0' jid='push.localhost' node='" + node + "'><x xmlns='jabber:x:data' type='submit'>"
        "<field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
        "<field var='secret'><value>shared</value></field></x></enable>", "romeo@localhost");
    REQUIRE(answer.attr_or_empty("type") == "result");
}

// The server has seen its end.
void leave(WireClient& client) {
    client.send("</stream:stream>");
    REQUIRE(client.end().is_over);
}

void say(WireClient& client, const std::string& body) {
    client.send("<message to='romeo@localhost' type='chat'><body>" + body + "</body></message>");
    client.ping();
}

std::vector<std::string> nodes_of(const std::vector<HttpServer::Request>& requests) {
    std::vector<std::string> nodes;
    for (const auto& request : requests) nodes.push_back(Json::parse(request.body)["node"]);
    std::ranges::sort(nodes);
    return nodes;
}

// The server has written that to its log.
bool says(const LiveServer& server, const std::string& text) {
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (server.log().find(text) == std::string::npos) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::sleep_for(5ms);
    }
    return true;
}

}  // namespace

TEST_CASE("a message for a client that is away is one POST, tried again until it is accepted, and a phone that is gone is not asked again") {
    HttpServer web{{503, 200, 410, 200, 200}};
    LiveServer server{TERN_BINARY, {.settings = push_to(web.url("/push"))}};
    WireClient juliet{*server, "juliet@localhost/balcony", LiveServer::password};
    {
        WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
        enable(romeo, "token-1");
        leave(romeo);
    }
    say(juliet, "It was the nightingale");
    auto requests = web.requests(2);
    REQUIRE(requests.size() == 2);
    CHECK(requests[0].line == "POST /push HTTP/1.1");
    CHECK(requests[0].headers.find("\r\nAuthorization: Bearer gateway-secret\r\n") != std::string::npos);
    const Json told = Json::parse(requests[1].body);
    CHECK(told == Json{{"node", "token-1"}, {"account", "romeo@localhost"}, {"message_count", 1}, {"sender", juliet.full_jid()},
                       {"body", "It was the nightingale"}, {"options", {{"secret", "shared"}}}});
    CHECK(requests[0].body == requests[1].body);

    say(juliet, "and not the lark");                       // 410
    REQUIRE(web.requests(3).size() == 3);
    CHECK(says(server, "push registration ended by its service"));
    say(juliet, "Believe me, love");
    {   // another registration of his shows that the first would have been asked by now
        WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
        enable(romeo, "token-2");
        leave(romeo);
    }
    say(juliet, "it was the nightingale.");
    requests = web.requests(4);
    CHECK(nodes_of(requests) == std::vector<std::string>{"token-1", "token-1", "token-1", "token-2"});
    CHECK(server.log().find("shared") == std::string::npos);
    CHECK(server.log().find("gateway-secret") == std::string::npos);
    CHECK(server.process().logged_errors() == std::vector<std::string>{});
}

TEST_CASE("a connection that breaks wakes the phone for what it had not acked") {
    HttpServer web;
    LiveServer server{TERN_BINARY, {.settings = push_to(web.url())}};
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    romeo.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    REQUIRE(romeo.element().name == "enabled");
    enable(romeo, "token-1");
    romeo.be_available();
    WireClient benvolio{*server, "benvolio@localhost/street", LiveServer::password};
    say(benvolio, "Good morrow, cousin");
    REQUIRE(romeo.next_message());
    CHECK(web.requests(0).empty());
    romeo.vanish();
    auto requests = web.requests(1);
    REQUIRE(requests.size() == 1);
    CHECK(Json::parse(requests[0].body)["message_count"] == 1);
    CHECK_FALSE(Json::parse(requests[0].body).contains("body"));
    say(benvolio, "Soft! I will go along");
    requests = web.requests(2);
    REQUIRE(requests.size() == 2);
    CHECK(Json::parse(requests[1].body)["message_count"] == 2);
}

TEST_CASE("a push gateway that is not there keeps the registration, and holds up nobody") {
    // A port that was free a moment ago.
    const std::string nowhere = [] { const HttpServer web; return web.url(); }();
    LiveServer server{TERN_BINARY, {.settings = push_to(nowhere)}};
    WireClient juliet{*server, "juliet@localhost/balcony", LiveServer::password};
    {
        WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
        enable(romeo, "token-1");
        leave(romeo);
    }
    for (int n = 0; n < 50; ++n) say(juliet, "message " + std::to_string(n));
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    romeo.send("<presence/>");
    for (int n = 0; n < 50; ++n) {
        const auto message = romeo.next_message();
        REQUIRE(message);
        CHECK(message->child("body", "jabber:client")->text == "message " + std::to_string(n));
    }
    CHECK(server.log().find("push registration ended") == std::string::npos);
}
