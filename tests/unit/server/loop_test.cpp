// SPDX-License-Identifier: MIT
// Who is served first in a turn of the event loop.
#include "server/net/loop.h"

#include <catch2/catch.hpp>
#include <sys/epoll.h>
#include <sys/eventfd.h>
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
