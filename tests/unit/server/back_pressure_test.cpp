// SPDX-License-Identifier: MIT
// A client that sends to accounts of another worker, faster than that takes it, is not read meanwhile: what waits between
// two workers is bounded, whatever the limits of connections say.
#include <catch2/catch.hpp>

#include "server/server.h"
#include "server/worker.h"
#include "tests/support/in_process.h"
#include "tests/support/player.h"
#include "tests/support/scene.h"

using server::net::Loop;

namespace {

constexpr int count = 5000;

// The address of an account that lives on another worker than that one.
std::string elsewhere(tests::InProcess& stage, const std::string& here) {
    for (int i = 0;; ++i)
        if (std::string there = "u" + std::to_string(i) + "@localhost"; &stage.server().worker_of(there) != &stage.server().worker_of(here)) return there;
}

}  // namespace

TEST_CASE("a client waits for the worker that it sends to") {
    tests::InProcess stage{2};
    const auto opening = tests::parse_scene("back pressure", "# back pressure\n\n[Server]\n\tc2s.require_tls: false\n\tlimits.bytes_per_second: 0\n\tlimits.outbox_bytes: 64M\n\n"
                                                             "[Client] Romeo\n\tjid: romeo@localhost/r\n\tpassword: secret\n\n-----\n\nRomeo connects\n");
    INFO((opening ? std::string{} : opening.error()));
    REQUIRE(opening);
    stage.open(*opening);
    server::Worker& there = stage.server().worker_of(elsewhere(stage, "romeo@localhost"));
    {
        const auto romeo = stage.actor(*opening->role("Romeo"));
        romeo->connect();
        const std::string one = "<message to='" + elsewhere(stage, "romeo@localhost") + "' id='m' type='chat'><body>O</body></message>";
        std::string all;
        for (int i = 0; i < count; ++i) all += one;
        romeo->send(all);
        stage.settle();
        CHECK(there.loop.mailbox().high_water <= Loop::most_waiting + 10);
        CHECK(there.loop.mailbox().high_water > Loop::most_waiting / 2);
        int answers = 0;   // nobody is there: each comes back
        while (const auto event = romeo->next()) answers += event->node.attr_or_empty("type") == "error" ? 1 : 0;
        CHECK(answers == count);
    }
    stage.close();
}
