// SPDX-License-Identifier: MIT
// A message that could not be stored is not acknowledged as if it were, whoever was there to read it: other
// devices and the archive lack it, and its sender is told.
#include <catch2/catch.hpp>

#include "tests/clients/live_server.h"
#include "tests/clients/wire_client.h"
#include "tests/support/mariadb.h"

using namespace tests;

namespace {

// What messages come until the server has acked so many stanzas: ids and types of errors.
std::vector<std::string> told_before_ack(WireClient& romeo, int stanzas) {
    romeo.send("<r xmlns='urn:xmpp:sm:3'/>");
    std::vector<std::string> told;
    for (;;) {
        const Node node = romeo.element();
        if (node.name == "message")
            told.push_back(node.attr_or_empty("id") + " " +
                           node.child("error", ns::client)->attr_or_empty("type"));
        if (node.name == "a" && node.attr_or_empty("h") == std::to_string(stanzas)) return told;
    }
}

}  // namespace

TEST_CASE("what was delivered and could not be stored is refused, once and before its ack") {
    MariaDb& database = MariaDb::shared();
    LiveServer server{TERN_BINARY,
                      {.settings = {{"TERN_STORAGE_PATIENCE", "1s"}},
                       .storage_url = database.url(database.create_database())}};
    WireClient juliet{*server, "juliet@localhost/balcony", LiveServer::password},
        romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    juliet.be_available();
    romeo.send("<enable xmlns='urn:xmpp:sm:3'/>");
    REQUIRE(romeo.element().name == "enabled");
    int sent = 0;
    for (bool is_live = false; !is_live;) {  // until she has caught up
        const std::string id = "stored-" + std::to_string(++sent);
        romeo.send("<message to='juliet@localhost' type='chat' id='" + id + "'><body>Hi</body></message>");
        is_live = juliet.answer(id).child("delay", "urn:xmpp:delay") == nullptr;
    }

    CHECK(told_before_ack(romeo, sent) == std::vector<std::string>{});

    database.kill();
    romeo.send("<message to='juliet@localhost' type='chat' id='unstored'><body>Hi</body></message>");
    CHECK(juliet.answer("unstored").name == "message");
    CHECK(told_before_ack(romeo, sent + 1) == std::vector<std::string>{"unstored wait"});
    CHECK_NOTHROW(database.restart());
    romeo.send("<message to='juliet@localhost' type='chat' id='stored again'><body>Hi</body></message>");
    CHECK(told_before_ack(romeo, sent + 2) == std::vector<std::string>{});
}
