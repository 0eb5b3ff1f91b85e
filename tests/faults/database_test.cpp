// SPDX-License-Identifier: MIT
// The database is down, dies, stalls (attack row 53): sessions stay, what was sent waits, and nothing that
// was acked is lost or comes twice. How long the log's writer waits at most is tested where it can be set, in
// unit/storage.
#include <catch2/catch.hpp>

#include <future>
#include <thread>

#include "tests/clients/live_server.h"
#include "tests/clients/wire_client.h"
#include "tests/support/mariadb.h"
#include "xmpp/base64.h"

using namespace tests;
using namespace std::chrono_literals;

namespace {

constexpr const char* sm = "urn:xmpp:sm:3";

void send_numbers(WireClient& sender, const std::string& to, int from, int count) {
    std::string batch;
    for (int n = from; n < from + count; ++n)
        batch += "<message to='" + to + "' type='chat' id='" + std::to_string(n) + "'><body>" +
                 std::to_string(n) + "</body></message>";
    sender.send(batch);
}

std::vector<int> numbers(int from, int count) {
    std::vector<int> all;
    for (int n = from; n < from + count; ++n) all.push_back(n);
    return all;
}

// The next so many messages that are no errors.
std::vector<int> receive_numbers(WireClient& client, std::size_t count) {
    std::vector<int> all;
    while (all.size() < count) {
        const auto message = client.next_message();
        if (!message) break;
        if (message->attr_or_empty("type") == "chat") all.push_back(std::stoi(message->attr_or_empty("id")));
    }
    return all;
}

// Asks for an ack, and for another one, until it covers that many stanzas.
bool is_acked(WireClient& client, unsigned wanted, std::chrono::seconds wait) {
    const auto until = std::chrono::steady_clock::now() + wait;
    client.send("<r xmlns='urn:xmpp:sm:3'/>");
    while (std::chrono::steady_clock::now() < until) {
        const auto node = client.next(100ms);
        if (node && node->name == "a" && node->ns == sm && std::stoul(node->attr_or_empty("h")) >= wanted)
            return true;
    }
    return false;
}

unsigned ack_now(WireClient& client) {
    client.send("<r xmlns='urn:xmpp:sm:3'/>");
    for (;;) {
        const Node node = client.element();
        if (node.name == "a" && node.ns == sm)
            return static_cast<unsigned>(std::stoul(node.attr_or_empty("h")));
    }
}

std::string error_of(const Node& stanza) {  // "wait resource-constraint"
    for (const Node& child : stanza.children)
        if (child.name == "error" && !child.children.empty())
            return child.attr_or_empty("type") + " " + child.children.front().name;
    return "";
}

bool is_in_log(const LiveServer& server, const std::string& text, std::chrono::seconds wait = 30s) {
    const auto until = std::chrono::steady_clock::now() + wait;
    while (server.log().find(text) == std::string::npos) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::sleep_for(20ms);
    }
    return true;
}

}  // namespace

TEST_CASE("a database that is down at start is said so and waited for") {
    MariaDb& database = MariaDb::shared();
    const std::string name = database.create_database();
    LiveServer server{TERN_BINARY, {.storage_url = database.url(name), .is_started = false}};
    server.make_people();
    database.kill();
    // A process ends with the thread that started it: so this one waits for the test's end.
    std::promise<void> up, over;
    std::thread starting{[&server, &up, end = over.get_future()] {
        try {
            server.start();
            up.set_value();
        } catch (...) {  // handed on
            up.set_exception(std::current_exception());
        }
        end.wait();
    }};
    auto is_up = up.get_future();
    CHECK(is_in_log(server, "cannot open the storage"));
    CHECK(is_in_log(server, "next_attempt_ms"));
    CHECK(is_up.wait_for(0s) == std::future_status::timeout);  // neither up nor gone
    CHECK_NOTHROW(database.restart());
    CHECK_NOTHROW(is_up.get());
    CHECK_NOTHROW(WireClient{*server, "romeo@localhost/orchard", LiveServer::password}.ping());
    CHECK(server.log().find("s3cret") == std::string::npos);
    CHECK(server.process().stop() == 0);
    over.set_value();
    starting.join();
}

TEST_CASE("a database that dies while people chat: sessions stay, acks wait, nothing is lost") {
    MariaDb& database = MariaDb::shared();
    const std::string name = database.create_database();
    LiveServer server{TERN_BINARY, {.storage_url = database.url(name)}};
    WireClient juliet{*server, "juliet@localhost/balcony", LiveServer::password},
        romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    juliet.be_available();
    romeo.send("<enable xmlns='urn:xmpp:sm:3'/>");
    REQUIRE(romeo.element().name == "enabled");
    send_numbers(romeo, "juliet@localhost", 0, 10);
    send_numbers(romeo, "mercutio@localhost", 0,
                 10);  // his account is known to the server from now on, benvolio's is not
    REQUIRE(is_acked(romeo, 20, 20s));
    CHECK(receive_numbers(juliet, 10) == numbers(0, 10));

    database.kill();
    const auto killed = std::chrono::steady_clock::now();
    send_numbers(romeo, "juliet@localhost", 10, 20);
    send_numbers(romeo, "mercutio@localhost", 10, 20);
    CHECK(receive_numbers(juliet, 20) == numbers(10, 20));  // who is there has them at once
    CHECK(ack_now(romeo) == 20);                            // but they are not stored yet
    CHECK(is_in_log(server, "the database cannot be used"));

    // What cannot be done without the database fails as something that may work later.
    auto logging_in = std::async(std::launch::async, [&] {
        WireClient benvolio{*server};
        benvolio.open_stream();
        benvolio.authenticate("benvolio", LiveServer::password);
        return benvolio.refusal();
    });
    romeo.send("<message to='benvolio@localhost' id='unknown'><body>Hi</body></message>");
    juliet.send("<iq type='get' id='card'><vCard xmlns='vcard-temp'/></iq>");
    CHECK(error_of(romeo.answer("unknown", 30s)) == "wait resource-constraint");
    CHECK(error_of(juliet.answer("card", 30s)) == "wait resource-constraint");
    CHECK(logging_in.get() == "temporary-auth-failure");
    CHECK(std::chrono::steady_clock::now() - killed < 30s);
    romeo.ping();
    juliet.ping();

    database.restart();
    // 60 numbers, the message to benvolio, the ping.
    CHECK(is_acked(romeo, 62, 20s));
    CHECK(is_in_log(server, "the database can be used again"));
    WireClient mercutio{*server, "mercutio@localhost/square", LiveServer::password};
    mercutio.be_available();
    CHECK(receive_numbers(mercutio, 30) == numbers(0, 30));
    WireClient second{*server, "juliet@localhost/phone", LiveServer::second};
    second.be_available();
    CHECK(receive_numbers(second, 30) == numbers(0, 30));
    second.ping();
    mercutio.ping();
    CHECK_FALSE(second.next_message(100ms));
    CHECK_FALSE(mercutio.next_message(0ms));
    CHECK_NOTHROW(WireClient{*server, "benvolio@localhost/garden", LiveServer::password}.ping());
    CHECK(server.log().find("s3cret") == std::string::npos);
}

TEST_CASE("a database that stalls for a while costs nothing but time") {
    MariaDb& database = MariaDb::shared();
    const std::string name = database.create_database();
    LiveServer server{TERN_BINARY, {.storage_url = database.url(name)}};
    WireClient juliet{*server, "juliet@localhost/balcony", LiveServer::password},
        romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    juliet.be_available();
    romeo.send("<enable xmlns='urn:xmpp:sm:3'/>");
    REQUIRE(romeo.element().name == "enabled");
    send_numbers(romeo, "mercutio@localhost", 0, 1);
    REQUIRE(is_acked(romeo, 1, 20s));
    database.freeze();
    send_numbers(romeo, "juliet@localhost", 0, 50);
    send_numbers(romeo, "mercutio@localhost", 1, 50);
    auto logging_in = std::async(std::launch::async, [&] {
        return WireClient{*server}.log_in("benvolio@localhost/garden", LiveServer::password);
    });
    CHECK(receive_numbers(juliet, 50) == numbers(0, 50));
    CHECK(ack_now(romeo) == 1);
    std::this_thread::sleep_for(1s);  // the stall itself
    romeo.ping();
    CHECK(logging_in.wait_for(0s) == std::future_status::timeout);
    database.thaw();
    CHECK(logging_in.get());
    CHECK(is_acked(romeo, 102, 20s));
    WireClient mercutio{*server, "mercutio@localhost/square", LiveServer::password};
    mercutio.be_available();
    CHECK(receive_numbers(mercutio, 51) == numbers(0, 51));
    CHECK(server.process().logged_errors() == std::vector<std::string>{});
}

TEST_CASE("what no longer fits among what waits for the database is refused, and nobody is sent it") {
    MariaDb& database = MariaDb::shared();
    const std::string name = database.create_database();
    LiveServer server{TERN_BINARY, {.settings = {{"TERN_STORAGE_WAITING_BYTES", "1M"}}, .storage_url = database.url(name)}};
    WireClient juliet{*server, "juliet@localhost/balcony", LiveServer::password},
        romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    juliet.be_available();
    romeo.be_available();
    database.freeze();
    const std::string body = "<body>" + std::string(90'000, 'x') + "</body></message>";
    for (int n = 0; n < 20; ++n) romeo.send("<message to='juliet@localhost' type='chat' id='" + std::to_string(n) + "'>" + body);
    romeo.send("<iq type='get' id='end' to='" + juliet.full_jid() + "'><ping xmlns='urn:xmpp:ping'/></iq>");
    juliet.answer("end");
    juliet.send("<iq type='result' id='end' to='" + romeo.full_jid() + "'/>");
    romeo.answer("end");
    std::vector<int> received, refused;
    while (const auto message = juliet.next_message(0ms)) received.push_back(std::stoi(message->attr_or_empty("id")));
    while (const auto message = romeo.next_message(0ms)) {
        CHECK(error_of(*message) == "wait resource-constraint");
        refused.push_back(std::stoi(message->attr_or_empty("id")));
    }
    database.thaw();
    CHECK_FALSE(refused.empty());
    CHECK_FALSE(received.empty());
    std::vector<int> all = received;
    all.insert(all.end(), refused.begin(), refused.end());
    std::ranges::sort(all);
    CHECK(all == numbers(0, 20));   // each once: who was sent it, or who is told that it is not
}

TEST_CASE("with the database down, `tern status` answers and SIGTERM ends the server, both soon") {
    MariaDb database;
    const std::string name = database.create_database();
    LiveServer server{TERN_BINARY, {.storage_url = database.url(name)}};
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    romeo.send("<enable xmlns='urn:xmpp:sm:3'/>");
    REQUIRE(romeo.element().name == "enabled");
    send_numbers(romeo, "mercutio@localhost", 0, 1);
    REQUIRE(is_acked(romeo, 1, 20s));
    database.kill();
    send_numbers(romeo, "mercutio@localhost", 1, 10);
    romeo.ping();

    auto begun = std::chrono::steady_clock::now();
    const std::string command = "timeout 60 " TERN_BINARY " status --json --data " + server.data() + " 2>&1 </dev/null";
    FILE* const pipe = ::popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::string status;
    char buffer[4096];
    while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) status += buffer;
    CHECK(::pclose(pipe) == 0);
    CHECK(std::chrono::steady_clock::now() - begun < 4s);
    CAPTURE(status);
    CHECK(status.find("\"accounts\": null") != std::string::npos);

    // The ten were not acked: they are their sender's still.
    begun = std::chrono::steady_clock::now();
    CHECK(server.process().stop() == 0);
    CHECK(std::chrono::steady_clock::now() - begun < 12s);
}

TEST_CASE("clients that go while the database is waited for: the server minds none of them") {
    MariaDb& database = MariaDb::shared();
    const std::string name = database.create_database();
    LiveServer server{TERN_BINARY, {.settings = {{"TERN_WORKERS", "3"}, {"TERN_LIMITS_LOGIN_DEADLINE", "2s"}, {"TERN_SMS_GATEWAY", "file"}, {"TERN_SMS_FILE", "sms"}}, .storage_url = database.url(name)}};
    const auto authenticate = [](const std::string& user) {
        return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>" + xmpp::base64(std::string{'\0'} + user + '\0' + LiveServer::password) +
               "</initial-response><user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/><request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"
               "<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind></authenticate>";
    };
    const std::vector<std::string> requests{
        "<iq type='set' id='l'><link xmlns='urn:tern:link:0'><device>Laptop</device></link></iq>",
        "<iq type='set' id='r'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>jabber:iq:register</value></field>"
        "<field var='phone'><value>+4915112345678</value></field></x></query></iq>",
        authenticate("romeo"), authenticate("juliet"), authenticate("benvolio"), authenticate("mercutio"),
    };
    for (const bool is_frozen_first : {true, false}) {
        std::vector<std::unique_ptr<WireClient>> clients;
        for (int n = 0; n < 48; ++n) {
            clients.push_back(std::make_unique<WireClient>(*server));
            clients.back()->open_stream();
        }
        if (is_frozen_first) database.freeze();
        for (std::size_t n = 0; n < clients.size(); ++n) {
            clients[n]->send(requests[n % requests.size()]);
            if (!is_frozen_first && n == clients.size() / 2) database.freeze();
        }
        for (std::size_t n = 0; n < clients.size(); ++n) {
            if (n % 3 == 0) clients[n]->vanish();
            if (n % 3 != 2) clients[n].reset();
        }
        // The time to log in runs out for one that stays, and with it for all.
        if (is_frozen_first) CHECK(clients[2]->end().is_over);
        database.thaw();
        WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
        romeo.ping();
    }
    CHECK(server.is_alive());
    CHECK(server.process().stop() == 0);
}
