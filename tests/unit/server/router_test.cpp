// SPDX-License-Identifier: MIT
// What is too much for one stanza does not travel between workers; who asked is told so.
#include <catch2/catch.hpp>

#include "server/server.h"
#include "server/worker.h"
#include "tests/support/in_process.h"
#include "tests/support/player.h"
#include "tests/support/scene.h"
#include "xmpp/parser.h"

TEST_CASE("an answer that is more than a stanza may be is refused on its way to another worker") {
    tests::InProcess stage{2};
    const auto opening = tests::parse_scene("too much", "# too much\n\n[Server]\n\tc2s.require_tls: false\n\n[Client] Romeo\n\tjid: romeo@localhost/r\n\tpassword: secret\n\n-----\n\nRomeo connects\n");
    INFO((opening ? std::string{} : opening.error()));
    REQUIRE(opening);
    stage.open(*opening);
    {
        const auto romeo = stage.actor(*opening->role("Romeo"));
        romeo->connect();
        stage.settle();
        const xmpp::Stanza request = xmpp::parse_trusted("<iq type='get' id='q' from='romeo@localhost/r' to='groups.localhost'><query xmlns='urn:example:all'/></iq>");
        for (const auto& worker : stage.server().workers()) {
            if (worker.get() == &stage.server().worker_of("romeo@localhost")) continue;
            worker->router.answer(request, request.to(), server::IqReply{"<query xmlns='urn:example:all'>" + std::string(17 * 1024 * 1024, 'x') + "</query>"});
        }
        stage.settle();
        const auto event = romeo->next();
        REQUIRE(event);
        CHECK(event->node.attr_or_empty("id") == "q");
        const tests::Node* const error = event->node.child("error", "jabber:client");
        REQUIRE(error);
        CHECK(error->child("resource-constraint", "urn:ietf:params:xml:ns:xmpp-stanzas"));
    }
    stage.close();
}
