// SPDX-License-Identifier: MIT
// Who is served first in a turn of the event loop.
#include "server/net/loop.h"

#include <catch2/catch.hpp>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;

namespace {

// One that is served notes what it was told, and is removed when its peer has gone; either takes a millisecond.
class Client final : public server::net::Pollable {
public:
    Client(server::net::Loop& loop, server::net::ManualClock& clock, std::vector<std::string>& served, bool may_wait = false, std::uint32_t events = EPOLLIN)
        : loop_{loop}, clock_{clock}, served_{served} {
        may_wait_ = may_wait;
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()) == 0);
        loop_.add(ends_[0], events, *this);
    }
    ~Client() {
        loop_.remove(ends_[0]);
        ::close(ends_[0]);
        hang_up();
    }
    void say(std::string_view text) { REQUIRE(::send(ends_[1], text.data(), text.size(), 0) == static_cast<ssize_t>(text.size())); }
    void hang_up() {
        if (ends_[1] >= 0) ::close(ends_[1]);
        ends_[1] = -1;
    }

private:
    void on_ready(std::uint32_t) override {
        std::array<char, 16> said;
        clock_.advance(1ms);
        const ssize_t count = ::recv(ends_[0], said.data(), said.size(), 0);
        if (count < 0) return;   // it was told twice
        served_.push_back(count > 0 ? std::string(said.data(), static_cast<std::size_t>(count)) : "gone");
        if (count == 0) loop_.remove(ends_[0]);
    }

    server::net::Loop& loop_;
    server::net::ManualClock& clock_;
    std::vector<std::string>& served_;
    std::array<int, 2> ends_{-1, -1};
};

}  // namespace

TEST_CASE("a turn serves those who are logged in first, and for a few milliseconds those who are not", "[loop]") {
    server::net::ManualClock clock;
    server::net::Loop loop{"loop", clock};
    std::vector<std::string> served;
    std::vector<std::unique_ptr<Client>> clients;
    constexpr int strangers = 100;
    const auto comes = [&](const char* who, bool may_wait) {
        clients.push_back(std::make_unique<Client>(loop, clock, served, may_wait));
        clients.back()->say(who);
    };
    for (int i = 0; i < strangers; ++i) comes("stranger", true);
    for (int i = 0; i < 3; ++i) comes("user", false);

    REQUIRE(loop.turn(0us));
    REQUIRE(served.size() > 3);
    CHECK(std::all_of(served.begin(), served.begin() + 3, [](const std::string& name) { return name == "user"; }));
    CHECK(served.size() - 3 < 10);   // strangers

    // Who comes meanwhile waits for none of the others.
    served.clear();
    comes("user", false);
    REQUIRE(loop.turn(0us));
    CHECK(served.front() == "user");

    // Nobody is forgotten.
    for (int turns = 0; turns < strangers && loop.turn(0us); ++turns) {
    }
    served.clear();
    CHECK_FALSE(loop.turn(0us));
    CHECK(served.empty());
}

TEST_CASE("who may wait is served in turn, also who is told of but once", "[loop]") {
    const std::uint32_t events = GENERATE(EPOLLIN, EPOLLIN | EPOLLONESHOT);
    server::net::ManualClock clock;
    server::net::Loop loop{"loop", clock};
    std::vector<std::string> served;
    std::vector<std::unique_ptr<Client>> clients;
    constexpr int strangers = 100;
    for (int i = 0; i < strangers; ++i) {
        clients.push_back(std::make_unique<Client>(loop, clock, served, true, events));
        clients.back()->say(std::to_string(i));
    }
    for (int turns = 0; turns < strangers && served.size() < strangers; ++turns) {
        const std::size_t before = served.size();
        loop.turn(0us);
        if (events == EPOLLIN)   // those who are served have more to say, and stand behind the others
            for (std::size_t i = before; i < served.size() && i < strangers; ++i) clients[std::stoul(served[i])]->say(served[i]);
    }
    REQUIRE(served.size() >= strangers);
    for (int i = 0; i < strangers; ++i) CHECK(served[i] == std::to_string(i));
}

TEST_CASE("one who may wait is served in each turn, however long it takes", "[loop]") {
    server::net::ManualClock clock;
    server::net::Loop loop{"loop", clock};
    std::vector<std::string> served;
    Client first{loop, clock, served, true}, second{loop, clock, served, true};
    first.say("stranger");
    second.say("stranger");
    clock.advance(1h);
    loop.turn(0us);
    CHECK_FALSE(served.empty());
}

TEST_CASE("those whose peer has gone keep nobody waiting, and lose nothing they had said", "[loop]") {
    server::net::ManualClock clock;
    server::net::Loop loop{"loop", clock};
    std::vector<std::string> served;
    std::vector<std::unique_ptr<Client>> connections;
    constexpr int leaving = 100;
    for (int i = 0; i <= leaving; ++i) connections.push_back(std::make_unique<Client>(loop, clock, served));
    for (int i = 0; i < leaving; ++i) {
        if (i == 50) connections[i]->say("l");   // its last word
        connections[i]->hang_up();
    }
    connections.back()->say("h");

    REQUIRE(loop.turn(0us));
    REQUIRE_FALSE(served.empty());
    CHECK(served.front() == "h");
    CHECK(served.size() < 10);

    for (int turns = 0; turns < 2 * leaving && loop.turn(0us); ++turns) {
    }
    CHECK(std::ranges::count(served, "gone") == leaving);
    CHECK(std::ranges::count(served, "l") == 1);
}
