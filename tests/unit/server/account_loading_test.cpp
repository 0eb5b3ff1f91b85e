// SPDX-License-Identifier: MIT
// Accounts that are loaded: where their logs go on, and that nobody gets a session with one that was forgotten meanwhile.
#include <catch2/catch.hpp>

#include "server/worker.h"
#include "tests/support/accounts.h"
#include "tests/support/in_process.h"
#include "tests/support/scene.h"

using namespace std::chrono_literals;

namespace {

class Home {
public:
    explicit Home(const std::string& cast) : stage{1}, scene{tests::parse_scene("loading", "# loading\n\n" + cast + "\n-----\n\nRomeo connects\n")} {
        INFO((scene ? std::string{} : scene.error()));
        REQUIRE(scene);
        stage.open(*scene);
    }
    ~Home() { stage.close(); }
    Home(const Home&) = delete;
    Home& operator=(const Home&) = delete;

    std::unique_ptr<tests::Actor> actor(const std::string& name) { return stage.actor(*scene->role(name)); }
    static std::vector<std::string> names_of_what_comes(tests::Actor& actor) {
        std::vector<std::string> names;
        while (const auto event = actor.next()) names.push_back(event->node.name);
        return names;
    }

    tests::InProcess stage;
    xmpp::Result<tests::Scene, std::string> scene;
};

// The account's keys change while its client binds a resource.
struct Change {
    storage::Task<void> happen(const server::Account& account, std::string&) {
        worker.unload(account.jid().text());
        co_return;
    }
    server::Worker& worker;
};

}  // namespace

TEST_CASE("what comes for who is away is behind the devices' cursors, though the clock has gone back and the log is empty") {
    Home home{"[Server]\n\tmessages.retention: delivered\n[Client] Romeo\n\tjid: romeo@localhost/r\n\tpassword: secret\n"
              "[Client] Juliet\n\tjid: juliet@localhost/j\n\tpassword: secret\n"};
    const auto juliet = tests::wait_for(home.stage.storage().accounts().find(*xmpp::Jid::parse("juliet@localhost")));
    REQUIRE((juliet.ok() && juliet->has_value()));
    const auto in_an_hour = static_cast<storage::LogId>((home.stage.now() + 1h).time_since_epoch().count());
    home.stage.storage().messages().advance_cursor((*juliet)->id, std::string{(*juliet)->devices.at(0).id}, in_an_hour);
    home.stage.restart();
    const auto romeo = home.actor("Romeo"), client = home.actor("Juliet");
    romeo->connect();
    romeo->send("<message to='juliet@localhost' type='chat'><body>O</body></message>");
    home.stage.settle();
    client->connect();
    client->send("<presence/>");
    home.stage.settle();
    CHECK(Home::names_of_what_comes(*client) == std::vector<std::string>{"presence", "message"});
}

TEST_CASE("a key that is changed while its client binds a resource (XEP-0386) gives no session") {
    Home home{"[Raw] Romeo\n\ttls: direct\n[Account] romeo@localhost\n\tpassword: secret\n"};
    server::Worker& worker = home.stage.next_worker();
    Change change{worker};
    const bool changes = GENERATE(false, true);
    if (changes) worker.host.at<&Change::happen>(worker.host.before_binding, &change);
    const auto romeo = home.actor("Romeo");
    romeo->connect();
    romeo->send("<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>");
    romeo->send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>AHJvbWVvAHNlY3JldA==</initial-response>"
                "<bind xmlns='urn:xmpp:bind:0'/></authenticate>");
    home.stage.settle();
    const auto names = Home::names_of_what_comes(*romeo);
    CHECK((std::ranges::find(names, "success") != names.end()) == !changes);
    CHECK(worker.session_count() == (changes ? 0U : 1U));
}
