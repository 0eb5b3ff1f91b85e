// SPDX-License-Identifier: MIT
// Who is served first in a turn of the event loop.
#include "server/net/loop.h"

#include <catch2/catch.hpp>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

// Readable until it was served once, which takes a millisecond.
class Client final : public server::net::Pollable {
public:
    Client(server::net::Loop& loop, server::net::ManualClock& clock, std::string name, bool may_wait, std::vector<std::string>& served)
        : loop_{loop}, clock_{clock}, name_{std::move(name)}, served_{served}, event_{::eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)} {
        may_wait_ = may_wait;
        loop_.add(event_, EPOLLIN, *this);
    }
    ~Client() {
        loop_.remove(event_);
        ::close(event_);
    }

private:
    void on_ready(std::uint32_t) override {
        std::uint64_t count = 0;
        REQUIRE(::read(event_, &count, sizeof count) == sizeof count);
        clock_.advance(1ms);
        served_.push_back(name_);
    }

    server::net::Loop& loop_;
    server::net::ManualClock& clock_;
    std::string name_;
    std::vector<std::string>& served_;
    int event_;
};

}  // namespace

TEST_CASE("a turn serves those who are logged in first, and for a few milliseconds those who are not", "[loop]") {
    server::net::ManualClock clock;
    server::net::Loop loop{"loop", clock};
    std::vector<std::string> served;
    std::vector<std::unique_ptr<Client>> clients;
    constexpr int strangers = 100;
    for (int i = 0; i < strangers; ++i) clients.push_back(std::make_unique<Client>(loop, clock, "stranger", true, served));
    for (int i = 0; i < 3; ++i) clients.push_back(std::make_unique<Client>(loop, clock, "user", false, served));

    REQUIRE(loop.turn(0us));
    REQUIRE(served.size() > 3);
    CHECK(std::all_of(served.begin(), served.begin() + 3, [](const std::string& name) { return name == "user"; }));
    CHECK(served.size() - 3 < 10);   // strangers

    // Who comes meanwhile waits for none of the others.
    served.clear();
    clients.push_back(std::make_unique<Client>(loop, clock, "user", false, served));
    REQUIRE(loop.turn(0us));
    CHECK(served.front() == "user");

    // Nobody is forgotten.
    for (int turns = 0; turns < strangers && loop.turn(0us); ++turns) {
    }
    served.clear();
    CHECK_FALSE(loop.turn(0us));
    CHECK(served.empty());
}

TEST_CASE("one who may wait is served in each turn, however long it takes", "[loop]") {
    server::net::ManualClock clock;
    server::net::Loop loop{"loop", clock};
    std::vector<std::string> served;
    Client first{loop, clock, "stranger", true, served}, second{loop, clock, "stranger", true, served};
    clock.advance(1h);
    loop.turn(0us);
    CHECK_FALSE(served.empty());
}

namespace {

// A connection that is logged in. It notes what it is told, and closes when the peer has gone, which takes a millisecond.
class Connection final : public server::net::Pollable {
public:
    Connection(server::net::Loop& loop, server::net::ManualClock& clock, std::vector<std::string>& served) : loop_{loop}, clock_{clock}, served_{served} {
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_) == 0);
        loop_.add(ends_[0], EPOLLIN, *this);
    }
    ~Connection() {
        loop_.remove(ends_[0]);
        ::close(ends_[0]);
        hang_up();
    }
    void say(char c) { REQUIRE(::send(ends_[1], &c, 1, 0) == 1); }
    void hang_up() {
        if (ends_[1] >= 0) ::close(ends_[1]);
        ends_[1] = -1;
    }

private:
    void on_ready(std::uint32_t) override {
        char said = 0;
        clock_.advance(1ms);
        if (::recv(ends_[0], &said, 1, 0) == 1) return served_.push_back({said});
        served_.emplace_back("gone");
        loop_.remove(ends_[0]);
    }

    server::net::Loop& loop_;
    server::net::ManualClock& clock_;
    std::vector<std::string>& served_;
    int ends_[2] = {-1, -1};
};

}  // namespace

TEST_CASE("those whose peer has gone keep nobody waiting, and lose nothing they had said", "[loop]") {
    server::net::ManualClock clock;
    server::net::Loop loop{"loop", clock};
    std::vector<std::string> served;
    std::vector<std::unique_ptr<Connection>> connections;
    constexpr int leaving = 100;
    for (int i = 0; i <= leaving; ++i) connections.push_back(std::make_unique<Connection>(loop, clock, served));
    for (int i = 0; i < leaving; ++i) {
        if (i == 50) connections[i]->say('l');   // its last word
        connections[i]->hang_up();
    }
    connections.back()->say('h');

    REQUIRE(loop.turn(0us));
    REQUIRE_FALSE(served.empty());
    CHECK(served.front() == "h");
    CHECK(served.size() < 10);

    for (int turns = 0; turns < 2 * leaving && loop.turn(0us); ++turns) {
    }
    CHECK(std::ranges::count(served, "gone") == leaving);
    CHECK(std::ranges::count(served, "l") == 1);
}
