// SPDX-License-Identifier: MIT
// Modern logins from end to end: tokens (XEP-0484) through their whole life, and how many round trips each way of logging
// in takes until a session can be used.
#include <catch2/catch.hpp>

#include "auth/crypto.h"
#include "tests/clients/live_server.h"
#include "tests/clients/wire_client.h"
#include "tests/support/mariadb.h"
#include "tests/support/scram_client.h"
#include "xmpp/base64.h"

using namespace tests;

namespace {

constexpr const char* header =
    "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
constexpr const char* mechanism = "HT-SHA-256-NONE";

std::string authenticate(const std::string& with, const std::string& initial, const std::string& more) {
    return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + with + "'><initial-response>" + xmpp::base64(initial) +
           "</initial-response>" + more + "</authenticate>";
}
std::string client(const std::string& id = "d4565fa7-4d72-4749-b3d3-740edbf87770") { return "<user-agent id='" + id + "'/>"; }

std::string proof(const std::string& token) { return std::string{"romeo"} + '\0' + auth::hmac(storage::Hash::sha256, token, "Initiator"); }

// A new stream that logs in so; what came of it: <success/> or <failure/>.
Node log_in(const LiveServer& server, const std::string& request) {
    WireClient wire{*server};
    wire.open_stream();
    wire.send(request);
    return wire.element();
}
Node with_token(const LiveServer& server, const std::string& token, const std::string& attributes = "", const std::string& more = "",
                const std::string& who = client()) {
    return log_in(server, authenticate(mechanism, proof(token), who + "<fast xmlns='urn:xmpp:fast:0'" + attributes + "/>" + more));
}
std::string token_in(const Node& success) {
    const Node* const token = success.child("token", "urn:xmpp:fast:0");
    return token ? token->attr_or_empty("token") : "";
}
std::string condition(const Node& answer) { return answer.name == "failure" && !answer.children.empty() ? answer.children.front().name : answer.name; }

std::string first_token(const LiveServer& server, const std::string& who = client()) {
    const std::string plain = std::string{'\0'} + "romeo" + '\0' + LiveServer::password;
    return token_in(log_in(server, authenticate("PLAIN", plain, who + "<request-token xmlns='urn:xmpp:fast:0' mechanism='" + mechanism + "'/>")));
}

void live_and_die(const LiveServer& server) {
    const std::string token = first_token(server);
    REQUIRE(token.size() >= 40);
    const Node success = with_token(server, token);
    REQUIRE(success.name == "success");
    CHECK(xmpp::parse_base64(success.child("additional-data", "urn:xmpp:sasl:2")->text) == auth::hmac(storage::Hash::sha256, token, "Responder"));
    CHECK(token_in(success).empty());   // not due for rotation

    // Nobody else's, and nothing else.
    CHECK(condition(with_token(server, "wrong")) == "not-authorized");
    CHECK(condition(with_token(server, token, "", "", client("11111111-4d72-4749-b3d3-740edbf87770"))) == "not-authorized");
    CHECK(condition(with_token(server, token, "", "", "")) == "not-authorized");
    CHECK(condition(log_in(server, authenticate(mechanism, proof(token), client()))) == "invalid-mechanism");   // without <fast/>
    CHECK(condition(log_in(server, authenticate("SCRAM-SHA-256", proof(token), client() + "<fast xmlns='urn:xmpp:fast:0'/>"))) == "malformed-request");

    // Replays.
    CHECK(with_token(server, token, " count='7'").name == "success");
    CHECK(condition(with_token(server, token, " count='7'")) == "not-authorized");
    CHECK(condition(with_token(server, token, " count='3'")) == "not-authorized");
    CHECK(condition(with_token(server, token, " count='many'")) == "malformed-request");
    CHECK(with_token(server, token, " count='8'").name == "success");

    // Rotation, asked for: the old one is good until the new one was used.
    const Node renewed = with_token(server, token, "", std::string{"<request-token xmlns='urn:xmpp:fast:0' mechanism='"} + mechanism + "'/>");
    const std::string fresh = token_in(renewed);
    REQUIRE(!fresh.empty());
    CHECK(with_token(server, token).name == "success");
    CHECK(with_token(server, fresh).name == "success");
    CHECK(condition(with_token(server, token)) == "not-authorized");

    // The client lets go of it.
    CHECK(with_token(server, fresh, " invalidate='true'").name == "success");
    CHECK(condition(with_token(server, fresh)) == "not-authorized");
}

// How often a client has to wait for the server, the handshake of TCP and that of TLS 1.3 included.
struct Counted {
    explicit Counted(const TernProcess& server) : wire{server} {}
    void send(const std::string& text) {
        ++round_trips;
        wire.send(text);
    }
    WireClient wire;
    int round_trips = 2;
};

}  // namespace

TEST_CASE("a token lives as XEP-0484 says, on SQLite") {
    const LiveServer server{TERN_BINARY};
    live_and_die(server);
    CHECK(server.log().find(first_token(server)) == std::string::npos);
}

TEST_CASE("a token lives as XEP-0484 says, on MariaDB") {
    MariaDb& database = MariaDb::shared();
    const LiveServer server{TERN_BINARY, {.storage_url = database.url(database.create_database())}};
    live_and_die(server);
}

TEST_CASE("a token survives the server, and dies with its device") {
    LiveServer server{TERN_BINARY};
    const std::string token = first_token(server);
    server.kill_and_start_again();
    CHECK(with_token(server, token).name == "success");
    // Another password, another device: nothing of the old one is left.
    const std::string command = std::string{TERN_BINARY} + " account passwd romeo@localhost --password other --data " + server.data() + " >/dev/null 2>&1";
    REQUIRE(std::system(command.c_str()) == 0);
    CHECK(condition(with_token(server, token)) == "not-authorized");
}

TEST_CASE("a device that is used in one network alone logs in from nowhere else, by key or by token") {
    LiveServer server{TERN_BINARY};
    const std::string token = first_token(server);
    const auto limit = [&](const std::string& networks) {
        const std::string devices = "$(" TERN_BINARY " device list romeo@localhost --json --data " + server.data() + " | grep -o '\"id\": *\"[^\"]*' | head -1 | sed 's/.*\"//')";
        const std::string command = std::string{TERN_BINARY} + " device limit --data " + server.data() + " -- romeo@localhost " + devices + " '" + networks + "' >/dev/null 2>&1";
        return std::system(command.c_str());
    };
    REQUIRE(limit("192.0.2.0/24 2001:db8::/32") == 0);
    CHECK_FALSE(WireClient{*server}.log_in("romeo@localhost/orchard", LiveServer::password));
    CHECK(condition(with_token(server, token)) == "not-authorized");
    REQUIRE(limit("192.0.2.0/24 127.0.0.0/8") == 0);
    CHECK(WireClient{*server}.log_in("romeo@localhost/orchard", LiveServer::password));
    CHECK(with_token(server, token).name == "success");
    CHECK(limit("somewhere") != 0);
}

TEST_CASE("round trips until a session can be used") {
    const LiveServer server{TERN_BINARY};
    const auto next = [](Counted& client, const char* name) {
        const Node came = client.wire.element();
        CHECK(came.name == name);
        return came;
    };
    {   // RFC 6120 over direct TLS, with SCRAM
        Counted classic{*server};
        ++classic.round_trips;
        classic.wire.open_stream();
        ScramClient scram{"romeo", LiveServer::password};
        classic.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>" + xmpp::base64(scram.first()) + "</auth>");
        const Node challenge = next(classic, "challenge");
        classic.send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + xmpp::base64(*scram.final(*xmpp::parse_base64(challenge.text))) + "</response>");
        next(classic, "success");
        ++classic.round_trips;
        classic.wire.open_stream();
        ++classic.round_trips;
        classic.wire.bind("orchard");
        classic.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        next(classic, "enabled");
        ++classic.round_trips;
        classic.wire.ask("set", "<enable xmlns='urn:xmpp:carbons:2'/>", "romeo@localhost");
        CHECK(classic.round_trips <= 11);
    }
    const std::string everything = "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/><enable xmlns='urn:xmpp:carbons:2'/></bind>";
    {   // SASL2 and Bind 2
        Counted modern{*server};
        ++modern.round_trips;
        modern.wire.open_stream();
        ScramClient scram{"romeo", LiveServer::password};
        modern.send(authenticate("SCRAM-SHA-256", scram.first(), client() + everything));
        const Node challenge = next(modern, "challenge");
        modern.send("<response xmlns='urn:xmpp:sasl:2'>" + xmpp::base64(*scram.final(*xmpp::parse_base64(challenge.text))) + "</response>");
        const Node success = next(modern, "success");
        REQUIRE(success.child("bound", "urn:xmpp:bind:0"));
        CHECK(success.child("bound", "urn:xmpp:bind:0")->child("enabled", "urn:xmpp:sm:3"));
        CHECK(modern.round_trips == 5);
        CHECK_NOTHROW(modern.wire.ping());
    }
    const std::string token = first_token(server);
    {   // FAST: who knows what the server offers need not wait for its features
        Counted fast{*server};
        fast.send(header + authenticate(mechanism, proof(token), client() + "<fast xmlns='urn:xmpp:fast:0'/>" + everything));
        next(fast, "features");
        const Node success = next(fast, "success");
        CHECK(success.child("bound", "urn:xmpp:bind:0"));
        CHECK(fast.round_trips == 3);
        CHECK_NOTHROW(fast.wire.ping());
    }
}
