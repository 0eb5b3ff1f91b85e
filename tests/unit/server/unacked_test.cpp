// SPDX-License-Identifier: MIT
// A client that reads and never acknowledges (XEP-0198): what is kept for it has an end, in bytes as well.
#include <catch2/catch.hpp>

#include "tests/support/in_process.h"
#include "tests/support/player.h"
#include "tests/support/scene.h"

TEST_CASE("who acknowledges nothing is sent no more than so many bytes") {
    const auto scene = tests::parse_scene("unacked", "# unacked\n\n[Client] Romeo\n\tjid: romeo@localhost/r\n\tpassword: secret\n"
                                                     "[Client] Juliet\n\tjid: juliet@localhost/j\n\tpassword: secret\n\n-----\n\nRomeo connects\n");
    REQUIRE(scene);
    tests::InProcess stage{1};
    stage.open(*scene);
    {
        const auto romeo = stage.actor(*scene->role("Romeo")), juliet = stage.actor(*scene->role("Juliet"));
        romeo->connect();
        juliet->connect();
        juliet->send("<enable xmlns='urn:xmpp:sm:3'/><presence/>");
        stage.settle();
        const std::string message = "<message to='juliet@localhost/j' type='chat'><body>" + std::string(200'000, 'o') + "</body><no-store xmlns='urn:xmpp:hints'/></message>";
        std::size_t messages = 0;
        std::string last;
        for (int sent = 0; sent < 500 && last != "error"; ++sent) {
            romeo->send(message);
            stage.settle();
            while (const auto event = juliet->next()) {
                if (event->kind != tests::Event::Kind::element) continue;
                last = event->node.name;
                if (last == "message") ++messages;
                if (last == "error") break;
            }
        }
        CHECK(last == "error");
        CHECK(messages > 300);
        CHECK(messages < 400);
    }
    stage.close();
}
