// SPDX-License-Identifier: MIT
// A message that its recipient's clients have acknowledged need not be stored, where nobody's ack promises that it is
// (messages.ack = "receive"). Counted by what is given to the database.
#include <catch2/catch.hpp>

#include "server/server.h"
#include "server/worker.h"
#include "tests/support/in_process.h"
#include "tests/support/player.h"
#include "tests/support/scene.h"

using namespace std::chrono_literals;

namespace {

// Juliet's client says when it has got something, Romeo's does not.
class Home {
public:
    explicit Home(const std::string& ack) : stage{1} {
        const auto scene = tests::parse_scene("postponed", "# postponed\n\n[Server]\n\tc2s.require_tls: false\n\tmessages.archive: never\n"
                                                           "\tmessages.retention: delivered\n\tmessages.ack: " + ack +
                                                           "\n\n[Client] Romeo\n\tjid: romeo@localhost/r\n\tpassword: secret\n"
                                                           "[Client] Juliet\n\tjid: juliet@localhost/j\n\tpassword: secret\n\n-----\n\nRomeo connects\n");
        INFO((scene ? std::string{} : scene.error()));
        REQUIRE(scene);
        stage.open(*scene);
        romeo = stage.actor(*scene->role("Romeo"));
        juliet = stage.actor(*scene->role("Juliet"));
        romeo->connect();
        log_in();
    }
    ~Home() { stage.close(); }
    Home(const Home&) = delete;
    Home& operator=(const Home&) = delete;

    void log_in() {
        juliet->connect();
        juliet->send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
        REQUIRE(next() == "enabled");
        juliet->send("<presence/>");
        REQUIRE(next() == "presence");
    }
    std::string next() {
        auto event = juliet->next();
        while (event && event->node.name == "r") event = juliet->next();
        return event ? event->node.name : "nothing";
    }
    void say(int times = 1) {
        for (int i = 0; i < times; ++i) romeo->send("<message type='chat' to='juliet@localhost'><body>O</body></message>");
        stage.settle();
        for (int i = 0; i < times; ++i) REQUIRE(next() == "message");
    }
    void acknowledge(int h) {
        juliet->send("<a xmlns='urn:xmpp:sm:3' h='" + std::to_string(h) + "'/>");
        stage.settle();
    }
    std::uint64_t stored() { return stage.next_worker().counters.logged; }

    tests::InProcess stage;
    std::unique_ptr<tests::Actor> romeo, juliet;
};

}  // namespace

TEST_CASE("a message that is acknowledged at once is never stored") {
    Home home{"receive"};
    home.say(2);
    home.acknowledge(3);   // and the presence
    home.stage.pass(5s);
    CHECK(home.stored() == 0);
}

TEST_CASE("a message that is not acknowledged in a second is stored") {
    Home home{"receive"};
    home.say();
    CHECK(home.stored() == 0);
    home.stage.pass(1s);
    CHECK(home.stored() == 1);
}

TEST_CASE("who waits longest decides when what is not acknowledged is stored") {
    Home home{"receive"};
    home.say();
    home.stage.pass(1s);
    home.say(3);
    CHECK(home.stored() == 1);
    home.acknowledge(3);   // the presence, the first, one of the three
    home.stage.pass(1s);
    CHECK(home.stored() == 3);
}

TEST_CASE("a message that waits for its acknowledgement is stored when the connection breaks") {
    Home home{"receive"};
    home.say();
    REQUIRE(home.stored() == 0);
    home.juliet->lose_connection();
    home.stage.settle();
    CHECK(home.stored() == 1);
}

TEST_CASE("a message that was not acknowledged before the server went down is there afterwards") {
    Home home{"receive"};
    home.say(2);
    home.juliet->forget();
    home.stage.restart();
    home.log_in();
    CHECK(home.next() == "message");
    CHECK(home.next() == "message");
}

TEST_CASE("of many messages without an acknowledgement few wait for one") {
    Home home{"receive"};
    home.say(200);
    CHECK(home.stored() > 100);
}

TEST_CASE("where an ack promises that a message is stored, it is stored at once") {
    Home home{"commit"};
    home.say();
    CHECK(home.stored() == 1);
}
