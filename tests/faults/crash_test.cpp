// SPDX-License-Identifier: MIT
// kill -9 of the server at any moment (attack row 52): a message that its sender's <a h='…'/> covered is
// delivered to every device of the recipient exactly once, in order; what a device acked and what is
// committed is not sent to it again. Whatever was not acked may be there or not, but never twice and never
// out of order.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "tests/clients/live_server.h"
#include "tests/clients/wire_client.h"
#include "tests/support/mariadb.h"

using namespace tests;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;
using Numbers = std::vector<int>;

constexpr const char* sm = "urn:xmpp:sm:3";
constexpr const char* online = "juliet@localhost";  // one of whose devices is there
constexpr const char* offline = "mercutio@localhost";

// A client with XEP-0198 that counts by hand.
class Acking {
public:
    Acking(const TernProcess& server, const std::string& jid) : client{server, jid, LiveServer::password} {
        client.send("<enable xmlns='urn:xmpp:sm:3'/>");
        REQUIRE(client.element().name == "enabled");
    }
    // What is there now, or comes in that time. Acks what it is asked to ack.
    void take(std::chrono::milliseconds wait) {
        while (const auto node = client.next(wait)) {
            wait = 0ms;
            if (node->ns == sm && node->name == "a")
                acked = static_cast<std::size_t>(std::stoul(node->attr_or_empty("h")));
            if (node->ns == sm && node->name == "r")
                client.send("<a xmlns='urn:xmpp:sm:3' h='" + std::to_string(handled) + "'/>");
            if (node->ns == sm) continue;
            ++handled;
            if (node->name == "message" && node->attr("id") != nullptr)
                received.push_back(std::stoi(node->attr_or_empty("id")));
        }
    }
    void send_number(const std::string& to, int number) {
        client.send("<message to='" + to + "' type='chat' id='" + std::to_string(number) + "'><body>" +
                    std::string(static_cast<std::size_t>(number % 300), 'x') + "</body></message>");
        sent.emplace_back(to, number);
    }
    bool wait_for_acks() {
        const auto until = Clock::now() + 20s;
        client.send("<r xmlns='urn:xmpp:sm:3'/>");
        while (acked < sent.size() && Clock::now() < until) take(50ms);
        return acked >= sent.size();
    }
    Numbers acked_to(const std::string& to) const {
        Numbers all;
        for (std::size_t i = 0; i < std::min(acked, sent.size()); ++i)
            if (sent[i].first == to) all.push_back(sent[i].second);
        return all;
    }

    WireClient client;
    std::vector<std::pair<std::string, int>> sent;
    std::size_t acked = 0;    // of sent, by the server
    std::size_t handled = 0;  // stanzas received
    Numbers received;
};

class Crash {
public:
    Crash(const std::string& storage_url, std::uint64_t seed)
        : server_{TERN_BINARY, {.storage_url = storage_url}}, random_{seed} {}

    void round() {
        INFO("round that began with message " << next_);
        Acking romeo{*server_, "romeo@localhost/orchard"};
        Acking juliet{*server_, "juliet@localhost/balcony"};
        juliet.client.send("<presence/>");
        const int durable = settle(romeo, juliet);
        send_until_killed(romeo, juliet);
        server_.kill_and_start_again();

        const Numbers at_balcony = received_by("juliet@localhost/balcony", LiveServer::password);
        const Numbers at_phone = received_by("juliet@localhost/phone", LiveServer::second);
        const Numbers at_square = received_by("mercutio@localhost/square", LiveServer::password);
        const Numbers to_juliet = romeo.acked_to(online), to_mercutio = romeo.acked_to(offline);
        check_each_once(at_phone, to_juliet);
        check_each_once(at_square, to_mercutio);

        // The device that was there has the rest, and nothing again of what was settled before.
        check_ascending(juliet.received);
        check_ascending(at_balcony);
        std::set<int> both{juliet.received.begin(), juliet.received.end()};
        both.insert(at_balcony.begin(), at_balcony.end());
        check_includes({both.begin(), both.end()}, to_juliet);
        CHECK((at_balcony.empty() || at_balcony.front() > durable));
        acked_ += to_juliet.size() + to_mercutio.size();
    }
    std::size_t acked() const { return acked_; }

private:
    int number_between(int least, int most) {
        return std::uniform_int_distribution<int>{least, most}(random_);
    }

    // Some messages, all acked by everybody, and committed along with the last one. The number of the last to
    // juliet.
    int settle(Acking& romeo, Acking& juliet) {
        const int count = number_between(1, 20);
        for (int i = 0; i < count; ++i) romeo.send_number(online, next_++);
        const int last = next_ - 1;
        REQUIRE(romeo.wait_for_acks());
        const auto until = Clock::now() + 20s;
        while ((juliet.received.empty() || juliet.received.back() != last) && Clock::now() < until)
            juliet.take(50ms);
        REQUIRE(juliet.received.back() == last);
        juliet.client.send("<a xmlns='urn:xmpp:sm:3' h='" + std::to_string(juliet.handled) + "'/>");
        juliet.client.ping();
        ++juliet.handled;  // the pong
        romeo.send_number(offline, next_++);
        REQUIRE(romeo.wait_for_acks());
        return last;
    }

    void send_until_killed(Acking& romeo, Acking& juliet) {
        const auto end = Clock::now() + std::chrono::milliseconds{number_between(5, 300)};
        while (Clock::now() < end) {
            for (int i = number_between(1, 30); i > 0; --i)
                romeo.send_number(number_between(0, 1) == 0 ? online : offline, next_++);
            romeo.client.send("<r xmlns='urn:xmpp:sm:3'/>");
            romeo.take(std::chrono::milliseconds{number_between(0, 4)});
            juliet.take(0ms);
        }
        server_.process().kill();
        romeo.take(1s);  // acks that were on their way: they were true
        juliet.take(1s);
    }

    // What a device is sent that comes (back), up to a message that was sent after it came.
    Numbers received_by(const std::string& jid, const std::string& password) {
        WireClient device{*server_, jid, password};
        device.send("<presence/>");
        WireClient benvolio{*server_, "benvolio@localhost/garden", LiveServer::password};
        const int marker = next_++;
        benvolio.send("<message to='" + jid.substr(0, jid.find('/')) + "' type='chat' id='" +
                      std::to_string(marker) + "'><body>marker</body></message>");
        Numbers all;
        while (const auto message = device.next_message()) {
            const int number = std::stoi(message->attr_or_empty("id"));
            if (number == marker) {
                device.send("</stream:stream>");
                CHECK(device.end().is_over);
                markers_.insert(marker);
                return all;
            }
            if (!markers_.contains(number)) all.push_back(number);  // the other device's
        }
        FAIL("the marker did not come");
        return all;
    }

    static void check_ascending(const Numbers& received) {
        const auto wrong =
            std::adjacent_find(received.begin(), received.end(), [](int a, int b) { return a >= b; });
        if (wrong != received.end()) FAIL_CHECK("after " << *wrong << " came " << *(wrong + 1));
    }
    static void check_includes(const Numbers& received, const Numbers& acked) {
        for (const int number : acked)
            if (!std::binary_search(received.begin(), received.end(), number))
                FAIL_CHECK("acked and lost: " << number);
    }
    static void check_each_once(const Numbers& received, const Numbers& acked) {
        check_ascending(received);
        check_includes(received, acked);
    }

    LiveServer server_;
    std::mt19937_64 random_;
    std::set<int> markers_;
    std::size_t acked_ = 0;
    int next_ = 1;
};

std::uint64_t seed() { return Catch::rngSeed() != 0 ? Catch::rngSeed() : std::random_device{}(); }

void crash(const std::string& storage_url, int rounds) {
    const std::uint64_t chosen = seed();
    INFO("seed (give it with --rng-seed): " << chosen);
    Crash crash{storage_url, chosen};
    for (int i = 0; i < rounds; ++i) crash.round();
    CHECK(crash.acked() > static_cast<std::size_t>(rounds));  // else nothing was tested
}

}  // namespace

TEST_CASE("kill -9 on SQLite: what was acked is delivered once, in order, to every device") { crash("", 6); }

TEST_CASE("kill -9 on MariaDB: what was acked is delivered once, in order, to every device") {
    MariaDb& database = MariaDb::shared();
    crash(database.url(database.create_database()), 4);
}
