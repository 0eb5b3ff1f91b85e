// SPDX-License-Identifier: MIT
// What those get of the server who have not proved who they are: so many connections, so many guesses, so much hashing.
#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/log.h"
#include "server/login.h"
#include "server/net/descriptor.h"
#include "tests/support/comes_true.h"
#include "tests/support/in_process.h"
#include "tests/unit/server/running_server.h"
#include "xmpp/base64.h"

namespace {

using namespace std::chrono_literals;
using server::net::Descriptor;

// Without threads; the clock stands still.
class Home {
public:
    explicit Home(const std::string& settings = {}) : stage{1} {
        const auto scene = tests::parse_scene("logins", "# logins\n\n[Server]\n\tc2s.require_tls: false\n" + settings +
                                                            "\n[Client] Romeo\n\tjid: romeo@localhost/r\n\tpassword: secret\n"
                                                            "[Client] Thief\n\tjid: 4915112345678@localhost/t\n\tpassword: wrong\n\taccount: none\n"
                                                            "\n-----\n\nRomeo connects\n");
        INFO((scene ? std::string{} : scene.error()));
        REQUIRE(scene);
        stage.open(*scene);
        romeo = stage.actor(*scene->role("Romeo"));
        thief = stage.actor(*scene->role("Thief"));
    }
    ~Home() {
        romeo.reset();
        thief.reset();
        stage.close();
    }
    Home(const Home&) = delete;
    Home& operator=(const Home&) = delete;

    tests::InProcess stage;
    std::unique_ptr<tests::Actor> romeo, thief;
};

std::vector<std::string> logged;   // everything is on one thread here

// Says at once all that it says.
Descriptor connect_and_send(const std::string& address, const std::string& text) {
    Descriptor client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(client.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    REQUIRE(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
    return client;
}

}  // namespace

TEST_CASE("the connections of an IPv6 network are one client's") {
    Home home{"\tlimits.logins_per_address: 2\n\tlimits.connections_per_address: 3\n"};
    server::Server& server = home.stage.server();
    REQUIRE(server.admit("2001:db8::1"));
    REQUIRE(server.admit("2001:db8::2"));
    CHECK_FALSE(server.admit("2001:db8::3"));
    CHECK(server.admit("2001:db8:0:1::1"));
    server.logged_in("2001:db8::1");
    REQUIRE(server.admit("2001:db8::3"));
    server.logged_in("2001:db8::3");
    CHECK_FALSE(server.admit("2001:db8::4"));   // three in all
    server.leave("2001:db8::2", false);
    CHECK(server.admit("2001:db8::4"));
}

TEST_CASE("so many streams may be without a login, wherever they come from") {
    Home home;
    server::Server& server = home.stage.server();
    const auto address = [](int i) { return "10." + std::to_string(i / 256) + "." + std::to_string(i % 256) + ".1"; };
    int admitted = 0;
    for (int i = 0; i < 50'000; ++i) admitted += server.admit(address(i)) ? 1 : 0;
    REQUIRE(admitted == 50'000);
    CHECK_FALSE(server.admit("192.0.2.1"));
    server.logged_in(address(0));
    CHECK(server.admit("192.0.2.1"));
    server.leave(address(0), true);   // which had made room before
    CHECK_FALSE(server.admit("192.0.2.2"));
    server.leave(address(1), false);
    CHECK(server.admit("192.0.2.2"));
}

TEST_CASE("who failed to log in too often is told to come later, on whichever connection, without being asked for a proof") {
    Home home;
    for (int i = 0; i < 60; ++i) REQUIRE(home.thief->is_refused());
    CHECK_THROWS_WITH(home.romeo->connect(), Catch::Contains("temporary-auth-failure"));
    home.stage.pass(1s);   // a guess a second
    CHECK_NOTHROW(home.romeo->connect());
    REQUIRE(home.thief->is_refused());
    CHECK_THROWS_WITH(home.romeo->connect(), Catch::Contains("temporary-auth-failure"));
}

TEST_CASE("the log says whose login was refused, without the whole name") {
    Home home;
    logged.clear();
    server::log::open({.level = "info", .format = "text", .file = "/dev/null"});
    server::log::watch([](server::log::Level, std::string_view line) { logged.emplace_back(line); });
    REQUIRE(home.thief->is_refused());
    server::log::watch(nullptr);
    const auto line = std::ranges::find_if(logged, [](const std::string& each) { return each.starts_with("login refused"); });
    REQUIRE(line != logged.end());
    CHECK(line->find("user=491…78") != std::string::npos);
    CHECK(line->find("condition=not-authorized") != std::string::npos);
}

TEST_CASE("nobody's password has the iterations that an account of that name would have") {
    server::Config config;
    config.domains = {"a.example", "b.example"};
    config.auth.iterations = 12'345;
    const auto iterations_of = [&config](const char* address) { return server::iterations_of_nobody(config, *xmpp::Jid::parse(address)); };
    const std::uint32_t of_keys = auth::RegistrationRules{}.iterations;
    CHECK(iterations_of("juliet@a.example") == 12'345);
    CHECK(iterations_of("4915112345678@a.example") == of_keys);
    CHECK(iterations_of("4915112345678@b.example") == 12'345);   // numbers register at the first domain
    config.registration.phone = false;
    CHECK(iterations_of("4915112345678@a.example") == 12'345);
}

// What it would touch when it is gone, a sanitizer tells.
TEST_CASE("a server ends while passwords are hashed") {
    const std::string guess = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
                              "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + xmpp::base64(std::string{"\0nobody\0wrong", 13}) + "</auth>";
    const tests::RunningServer running{[](server::Config& config) {
        config.c2s.require_tls = false;
        config.auth.iterations = 100'000;
    }};
    std::vector<Descriptor> clients;
    for (unsigned i = 0; i < 2 * std::thread::hardware_concurrency() + 4; ++i) clients.push_back(connect_and_send(running.server->addresses().c2s.front(), guess));
    CHECK(tests::comes_true([&] { return running.server->hashes().depth().depth > 2; }));
}
