// SPDX-License-Identifier: MIT
// A session is sent what its device lacks, a batch at a time, while its client acknowledges what it was sent
// before: what arrives between two batches is not sent again (XEP-0198 §4, XEP-0160).
#include <catch2/catch.hpp>

#include "tests/clients/live_server.h"
#include "tests/clients/wire_client.h"

using namespace tests;

namespace {

constexpr int waiting = 350;  // messages: several batches

void send(WireClient& romeo, const std::string& id) {
    romeo.send("<message to='mercutio@localhost' type='chat' id='" + id + "'><body>Hi</body></message>");
}

// Takes stanzas up to that message. Counts them, and the messages before it.
struct Taken {
    int stanzas = 0, messages = 0;
    bool is_delayed = false;  // the message looked for
};
Taken take_up_to(WireClient& client, const std::string& id) {
    Taken taken;
    for (;;) {
        const Node node = client.element();
        if (node.ns != ns::client) continue;
        ++taken.stanzas;
        if (node.name != "message") continue;
        if (node.attr_or_empty("id") != id) {
            ++taken.messages;
            continue;
        }
        taken.is_delayed = node.child("delay", "urn:xmpp:delay") != nullptr;
        return taken;
    }
}

}  // namespace

TEST_CASE("what is acknowledged while a session catches up once more is not sent again") {
    LiveServer server{TERN_BINARY};
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    for (int n = 0; n < waiting; ++n) send(romeo, "waiting");
    romeo.ping();

    WireClient mercutio{*server, "mercutio@localhost/square", LiveServer::password};
    mercutio.send("<enable xmlns='urn:xmpp:sm:3'/><presence/>");
    int handled = 0;
    bool is_live = false;  // the first catching up is over
    for (int n = 0; !is_live; ++n) {
        const std::string id = "later-" + std::to_string(n);
        send(romeo, id);
        const Taken taken = take_up_to(mercutio, id);
        handled += taken.stanzas;
        is_live = !taken.is_delayed;
    }
    REQUIRE(handled > waiting);

    // Everything is outstanding when it begins to catch up again, and nothing soon after.
    mercutio.send("<presence type='unavailable'/><presence/><a xmlns='urn:xmpp:sm:3' h='" +
                  std::to_string(handled) + "'/>");
    mercutio.ping();
    send(romeo, "last");
    CHECK(take_up_to(mercutio, "last").messages == 0);
}
