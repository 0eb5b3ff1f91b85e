// SPDX-License-Identifier: MIT
// Attacks by connections: many, slow, half-made, never read, renegotiated, compressed.
#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <thread>

#include "tests/attacks/attacked.h"
#include "tests/support/comes_true.h"

using namespace tests;
using namespace std::chrono_literals;
using Door = WireClient::Door;

namespace {

using Crowd = std::vector<std::unique_ptr<WireClient>>;

// Whether the server lets this connection be: one too many is closed at once.
bool is_admitted(const Attacked& attacked) {
    WireClient client = attacked.client(Door::plain);
    client.send(header());
    const auto features = client.next();
    return features && features->name == "features";
}

// How far somebody comes who will never log in.
const std::vector<std::pair<const char*, std::function<void(WireClient&)>>> stages{
    {"silent", [](WireClient&) {}},
    {"header", [](WireClient& c) { c.open_stream(); }},
    {"half a header", [](WireClient& c) { c.send("<stream:stream to='loc"); }},
    {"half a stanza",
     [](WireClient& c) {
         c.open_stream();
         c.send("<iq type='get'><que");
     }},
    {"proceed",
     [](WireClient& c) {
         c.open_stream();
         c.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
         c.element();
     }},
    {"half a handshake",
     [](WireClient& c) {
         c.open_stream();
         c.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
         c.element();
         c.send({"\x16\x03\x01\x02\x00\x01", 6});
     }},
    {"sasl",
     [](WireClient& c) {
         c.socket().start_tls("localhost", "");
         c.open_stream();
         c.send(
             "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' "
             "mechanism='SCRAM-SHA-256'>biwsbj1yb21lbyxyPWFiY2RlZg==</auth>");
         CHECK(c.element().name == "challenge");
     }},
    {"logged in, not bound",
     [](WireClient& c) {
         c.socket().start_tls("localhost", "");
         c.open_stream();
         CHECK(c.authenticate("romeo", LiveServer::password));
     }},
};

void start_tls_first(WireClient& client, const char* stage) {
    const std::string name = stage;
    if (name != "sasl" && name != "logged in, not bound") return;
    client.open_stream();
    client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    client.element();
}

struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// A TLS client with a wish of its own, on the port for direct TLS.
struct TlsClient {
    TlsClient(const TernProcess& server, int version, const std::string& alpn)
        : socket{server.direct_tls().host, server.direct_tls().port},
          context{SSL_CTX_new(TLS_client_method())} {
        SSL_CTX_set_max_proto_version(context.get(), version);
        SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
        SSL_CTX_set_security_level(context.get(), 0);
        ssl.reset(SSL_new(context.get()));
        const std::string list = static_cast<char>(alpn.size()) + alpn;
        if (!alpn.empty())
            SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(list.data()),
                                static_cast<unsigned>(list.size()));
        SSL_set_fd(ssl.get(), socket.descriptor());
    }
    RawSocket socket;
    std::unique_ptr<SSL_CTX, FreeSsl> context;
    std::unique_ptr<SSL, FreeSsl> ssl;
};

}  // namespace

TEST_CASE("row 11: connections that never log in leave nothing behind, however far they came") {
    Attacked attacked{{{"TERN_LIMITS_LOGINS_PER_ADDRESS", "25"}}};
    const pid_t server = attacked.server.process().pid();
    const std::size_t before = Burden::sockets(server);
    for (const auto& [name, go] : stages) {
        CAPTURE(name);
        Crowd crowd;  // as many as may be there: a place that leaks is missed by the next crowd
        for (int i = 0; i < 20; ++i) {
            crowd.push_back(std::make_unique<WireClient>(*attacked.server, Door::plain));
            start_tls_first(*crowd.back(), name);
            go(*crowd.back());
        }
        for (std::size_t i = 0; i < crowd.size(); i += 2) crowd[i]->vanish();
        crowd.clear();
        CHECK(comes_true([&] { return Burden::sockets(server) <= before; }));
    }
    CHECK(is_admitted(attacked));
    attacked.check_unharmed();
}

TEST_CASE("row 12: who has not logged in costs little, and cannot crowd out who has") {
    Attacked attacked{{{"TERN_LIMITS_LOGINS_PER_ADDRESS", "100"}}};
    Crowd crowd;
    for (int i = 0; i < 100; ++i) {
        crowd.push_back(std::make_unique<WireClient>(*attacked.server, Door::plain));
        crowd.back()->send(header() + "<iq type='set'><query a='" + std::string(15'000, 'x'));
    }
    for (const auto& client : crowd) CHECK(client->element().name == "features");
    CHECK_FALSE(is_admitted(attacked));
    attacked.benvolio.ping();
    CHECK(attacked.burden.megabytes() < 24 * instrumented);
    crowd.clear();
    CHECK(comes_true([&] { return is_admitted(attacked); }));
    attacked.check_unharmed();
}

TEST_CASE("row 12: one address holds so many connections, and those that go make room") {
    Attacked attacked{{{"TERN_LIMITS_CONNECTIONS_PER_ADDRESS", "6"}}};
    std::vector<std::unique_ptr<WireClient>> crowd;
    for (int i = 0; i < 5; ++i)
        crowd.push_back(std::make_unique<WireClient>(*attacked.server, "romeo@localhost/" + std::to_string(i), LiveServer::password));
    CHECK_FALSE(is_admitted(attacked));
    for (const auto& client : crowd) CHECK_NOTHROW(client->ping());
    crowd.clear();
    CHECK(comes_true([&] { return is_admitted(attacked); }));
    attacked.check_unharmed();
}

TEST_CASE("row 12: passwords are hashed where nobody waits for them") {
    Attacked attacked;
    Crowd crowd;
    for (int i = 0; i < 16; ++i) {
        crowd.push_back(std::make_unique<WireClient>(*attacked.server));
        crowd.back()->open_stream();
        // A user that does not exist costs as many iterations as one that does.
        crowd.back()->send(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AG5vYm9keQB3cm9uZw==</auth>");
    }
    attacked.benvolio.ping(5s);
    for (const auto& client : crowd) CHECK(client->element().name == "failure");
    attacked.check_unharmed({.cpu_seconds = 6});
}

TEST_CASE("row 13: there is a deadline for logging in, whatever keeps the connection busy") {
    Attacked attacked{{{"TERN_LIMITS_LOGIN_DEADLINE", "1"}, {"TERN_LIMITS_LOGIN_ATTEMPTS", "3"}}};
    const auto began = std::chrono::steady_clock::now();
    Crowd crowd;
    for (const auto& [name, go] : stages) {
        crowd.push_back(std::make_unique<WireClient>(*attacked.server, Door::plain));
        start_tls_first(*crowd.back(), name);
        go(*crowd.back());
    }
    // One sends white space all the time, as a sign of life.
    WireClient lively = attacked.client(Door::plain);
    lively.open_stream();
    while (!lively.end(50ms).is_over && std::chrono::steady_clock::now() - began < 10s) lively.send(" ");
    CHECK(lively.end(0ms).condition == "connection-timeout");
    for (std::size_t i = 0; i < crowd.size(); ++i) {
        CAPTURE(stages[i].first);
        CHECK(comes_true(
            [&] { return crowd[i]->socket().is_over() || !crowd[i]->socket().receive(100ms).empty(); }));
        CHECK(comes_true(
            [&] { return crowd[i]->socket().receive(100ms).empty() && crowd[i]->socket().is_over(); }));
    }
    CHECK(std::chrono::steady_clock::now() - began < 12s);
    // Failed logins are counted as well.
    WireClient tybalt = attacked.client();
    tybalt.open_stream();
    for (int i = 0; i < 3; ++i) CHECK_FALSE(tybalt.authenticate("romeo", "wrong"));
    CHECK(tybalt.end().condition == "policy-violation");
    attacked.check_unharmed();
}

TEST_CASE("row 13: who registers has time to read an SMS, and no more than that") {
    Attacked attacked{{{"TERN_LIMITS_LOGIN_DEADLINE", "2"}, {"TERN_REGISTRATION_PIN_LIFETIME", "4"}}};
    const auto ask = [](WireClient& client) {
        client.send("<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>");
        return client.element().attr_or_empty("type") == "result";
    };
    WireClient benvolio = attacked.client();
    benvolio.open_stream();
    CHECK(ask(benvolio));
    WireClient silent = attacked.client();
    silent.open_stream();
    CHECK(silent.end(5s).condition == "connection-timeout");
    // He asks again, which wins no time: who asks for the first time now has more.
    CHECK(ask(benvolio));
    WireClient peter = attacked.client();
    peter.open_stream();
    CHECK(ask(peter));
    CHECK(benvolio.end(10s).condition == "connection-timeout");
    CHECK_FALSE(peter.end(0ms).is_over);
    CHECK(peter.end(10s).condition == "connection-timeout");
    attacked.check_unharmed();
}

TEST_CASE("row 14: byte by byte is slow for its sender alone") {
    Attacked attacked;
    WireClient romeo = attacked.client();
    const std::string login =
        header() +
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>";
    for (const char& byte : login) romeo.send({&byte, 1});  // each in a TLS record of its own
    CHECK(romeo.element().name == "features");
    CHECK(romeo.element().name == "success");
    Crowd crowd;
    for (int i = 0; i < 50; ++i) crowd.push_back(std::make_unique<WireClient>(*attacked.server, Door::plain));
    RawSocket web{attacked.server.process().http().host, attacked.server.process().http().port};
    const std::string request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                      greeting = header();
    for (std::size_t at = 0; at < std::max(request.size(), greeting.size()); ++at) {
        if (at < request.size()) web.send(request.substr(at, 1));
        for (const auto& client : crowd)
            if (at < greeting.size()) client->send(greeting.substr(at, 1));
        if (at % 16 == 0) attacked.benvolio.ping(5s);
    }
    for (const auto& client : crowd) CHECK(client->element().name == "features");
    CHECK(web.receive(20s).starts_with("HTTP/1.1 200"));
    attacked.check_unharmed({.cpu_seconds = 3});
}

TEST_CASE("row 15: who never reads what he asks for is not read either, and costs no more than his queue") {
    Attacked attacked{{{"TERN_LIMITS_OUTBOX_BYTES", "262144"}}};
    WireClient romeo = attacked.romeo();
    const int small = 4096;
    ::setsockopt(romeo.socket().descriptor(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    const std::string questions =
        repeated("<iq type='get' id='" + std::string(900, 'x') +
                     "' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
                 100);
    const timeval moment{1, 0};
    ::setsockopt(romeo.socket().descriptor(), SOL_SOCKET, SO_SNDTIMEO, &moment, sizeof moment);
    bool is_stuck = false;
    for (int i = 0; i < 400 && !is_stuck; ++i) is_stuck = !romeo.send(questions);
    CHECK(is_stuck);
    attacked.benvolio.ping(5s);
    attacked.check_unharmed({.cpu_seconds = 5});
}

TEST_CASE(
    "rows 16 and 17: compression is not offered, neither of the stream nor of TLS, and does not stand in for "
    "TLS") {
    Attacked attacked;
    for (const Door door : {Door::plain, Door::direct_tls}) {
        WireClient tybalt = attacked.client(door);
        tybalt.open_stream();
        CHECK_FALSE(tybalt.features().child("compression", "http://jabber.org/features/compress"));
        tybalt.send("<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>");
        CHECK(tybalt.end().condition == "unsupported-stanza-type");
    }
    TlsClient client{*attacked.server, TLS1_2_VERSION, ""};
    REQUIRE(SSL_connect(client.ssl.get()) == 1);
    CHECK(SSL_get_current_compression(client.ssl.get()) == nullptr);
    // Nor is anything else a way around it.
    WireClient early = attacked.client(Door::plain);
    early.open_stream();
    CHECK_FALSE(early.authenticate("romeo", LiveServer::password));
    CHECK(early.refusal() == "encryption-required");
    attacked.check_unharmed();
}

TEST_CASE("row 18: what stood behind <starttls/> in the clear is never acted on") {
    Attacked attacked;
    const std::string injected =
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AHJvbWVvAHNlY3JldA==</auth>"
        "<iq type='get' id='injected'><query xmlns='jabber:iq:register'/></iq>";
    WireClient victim = attacked.client(Door::plain);
    victim.open_stream();
    victim.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + injected);
    CHECK(victim.element().name == "proceed");
    victim.socket().start_tls("localhost", "");
    victim.open_stream();  // the features come first, and nothing was answered before them
    CHECK(victim.features().child("mechanisms", "urn:ietf:params:xml:ns:xmpp-sasl"));
    CHECK_FALSE(victim.next(200ms));
    // Sent a moment later it is no TLS: the handshake fails.
    WireClient late = attacked.client(Door::plain);
    late.open_stream();
    late.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    CHECK(late.element().name == "proceed");
    late.send(injected);
    CHECK(comes_true(
        [&] { return late.socket().is_over() || (late.socket().receive(100ms), late.socket().is_over()); }));
    attacked.check_unharmed();
}

TEST_CASE("row 19: handshakes are neither renegotiated nor weak, and a flood of them is dealt with") {
    Attacked attacked{{{"TERN_LIMITS_LOGINS_PER_ADDRESS", "30"}}};
    const std::size_t before = Burden::sockets(attacked.server.process().pid());
    TlsClient again{*attacked.server, TLS1_2_VERSION, "xmpp-client"};
    REQUIRE(SSL_connect(again.ssl.get()) == 1);
    SSL_renegotiate(again.ssl.get());
    CHECK(SSL_do_handshake(again.ssl.get()) != 1);
    for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
        TlsClient old{*attacked.server, version, "xmpp-client"};
        CHECK(SSL_connect(old.ssl.get()) != 1);
    }
    TlsClient stranger{*attacked.server, TLS1_3_VERSION, "h2"};
    CHECK(SSL_connect(stranger.ssl.get()) != 1);

    std::vector<std::unique_ptr<TlsClient>> flood;
    for (int i = 0; i < 150; ++i) {
        auto client = std::make_unique<TlsClient>(*attacked.server, TLS1_3_VERSION, "xmpp-client");
        ::fcntl(client->socket.descriptor(), F_SETFL, O_NONBLOCK);
        SSL_connect(client->ssl.get());  // the first flight, and never the second
        flood.push_back(std::move(client));
        if (i % 25 == 0) attacked.benvolio.ping(5s);
    }
    CHECK(Burden::sockets(attacked.server.process().pid()) < 80);  // one address has its limit
    flood.clear();
    for (int i = 0; i < 30; ++i) {
        RawSocket garbage{attacked.server.process().direct_tls().host,
                          attacked.server.process().direct_tls().port};
        garbage.send("GET / HTTP/1.1\r\n\r\n" + std::string(static_cast<std::size_t>(i) * 50, '\xff'));
    }
    CHECK(comes_true(
        [&] { return Burden::sockets(attacked.server.process().pid()) <= before + 1; }));  // that is `again`
    attacked.check_unharmed();
}

TEST_CASE(
    "row 57: without descriptors the server waits instead of spinning, and goes on when there are some") {
    Attacked attacked;
    const pid_t server = attacked.server.process().pid();
    const rlimit few{Burden::descriptors(server) + 10, 20'000};
    rlimit many{};
    REQUIRE(::prlimit(server, RLIMIT_NOFILE, &few, &many) == 0);
    Crowd crowd;
    for (int i = 0; i < 40; ++i) crowd.push_back(std::make_unique<WireClient>(*attacked.server, Door::plain));
    RawSocket web{attacked.server.process().http().host, attacked.server.process().http().port};
    REQUIRE(comes_true(
        [&] { return attacked.server.log().find("no room for more connections") != std::string::npos; }));
    const Burden waiting{server};
    std::this_thread::sleep_for(1s);  // what it costs to have no descriptors
    CHECK(waiting.cpu_seconds() < 0.25 * instrumented);
    attacked.benvolio.ping();  // who is there is served
    const std::string log = attacked.server.log();
    crowd.clear();
    CHECK(comes_true([&] { return is_admitted(attacked); }));
    web.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(web.receive(20s).starts_with("HTTP/1.1 200"));
    CHECK(log.size() < 64 * 1024);  // nor is the log flooded
    REQUIRE(::prlimit(server, RLIMIT_NOFILE, &many, nullptr) == 0);
    attacked.check_unharmed();
}
