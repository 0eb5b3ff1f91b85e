// SPDX-License-Identifier: MIT
// What many are sent is held to each recipient's half of the route, in which a session may end.
#include "server/fan_out.h"

#include <catch2/catch.hpp>

#include "server/account.h"
#include "server/server.h"
#include "server/worker.h"
#include "tests/support/in_process.h"
#include "tests/support/player.h"
#include "tests/support/scene.h"

namespace {

struct Ends {
    server::Verdict call(server::Passage& passage) {
        if (passage.stanza.type() != "groupchat") return server::Verdict::pass();
        ++passage.account.busy;   // it stays
        for (const auto& session : std::vector{passage.account.sessions()}) {
            ended.push_back(session);
            passage.account.remove(*session);
        }
        return server::Verdict::pass();
    }
    std::vector<std::shared_ptr<server::Session>> ended;
};

}  // namespace

TEST_CASE("a session that ends on the way is not sent to any more") {
    tests::InProcess stage{1};
    const auto opening = tests::parse_scene("fan out", "# fan out\n\n[Server]\n\tc2s.require_tls: false\n\n[Client] Romeo\n\tjid: romeo@localhost/r\n\tpassword: secret\n\n-----\n\nRomeo connects\n");
    REQUIRE(opening);
    stage.open(*opening);
    Ends hook;
    {
        const auto romeo = stage.actor(*opening->role("Romeo"));
        romeo->connect();
        stage.settle();
        server::Worker& home = stage.server().worker_of("romeo@localhost");
        const auto copies = std::make_shared<const server::Copies>("<message from='coven@groups.localhost/hag' type='groupchat'><body>O</body></message>");
        server::send_all(home, {copies}, *xmpp::Jid::parse("romeo@localhost/r"));
        stage.settle();
        CHECK(romeo->next());
        home.host.inbound[static_cast<std::size_t>(server::Station::copy)].add<&Ends::call>(&hook, "ends");
        server::send_all(home, {copies}, *xmpp::Jid::parse("romeo@localhost/r"));
        stage.settle();
        REQUIRE(hook.ended.size() == 1);
        CHECK_FALSE(romeo->next());
        hook.ended.front()->account().add(hook.ended.front());
        --hook.ended.front()->account().busy;
        hook.ended.clear();
    }
    stage.close();
}
