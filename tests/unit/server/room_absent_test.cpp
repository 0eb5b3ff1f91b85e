// SPDX-License-Identifier: MIT
// Members of a room who are away, and what is taken back in their absence; without a server around.
#include "tests/unit/server/room_stage.h"

using namespace tests::rooms;

namespace {

void say(Stage& stage, const std::string& who, const std::string& inner = "<body>Well met</body>") {
    stage.take("<message type='groupchat' id='m' from='" + who + "' to='" + address + "'>" + inner + "</message>");
}

std::vector<std::string> told(Stage& stage) {
    auto told = std::exchange(stage.world.missed, {});
    std::ranges::sort(told);
    return told;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("members are told that something was said in their absence: once, until they have been there, and after an hour") {
    Stage stage;
    stage.open();
    stage.configure("muc#roomconfig_persistentroom", {"1"});
    stage.admin("crone@localhost/0", "<item jid='hag@localhost' affiliation='member'/>");
    stage.admin("crone@localhost/0", "<item jid='wiccarocks@localhost' affiliation='admin'/>");
    stage.admin("crone@localhost/0", "<item jid='macbeth@localhost' affiliation='outcast'/>");
    stage.join("bard@localhost/0", "bard");
    say(stage, "crone@localhost/0");
    CHECK(told(stage) == Names{"hag@localhost", "wiccarocks@localhost"});
    say(stage, "crone@localhost/0");
    CHECK(told(stage).empty());
    say(stage, "bard@localhost/0");   // now she who speaks most hears of it as well: she may have another device
    CHECK(told(stage) == Names{"crone@localhost"});
    say(stage, "bard@localhost/0");
    CHECK(told(stage).empty());
    stage.join("hag@localhost/0", "hag");
    say(stage, "crone@localhost/0");
    CHECK(told(stage) == Names{"hag@localhost"});
    stage.take("<presence type='unavailable' from='hag@localhost/0' to='" + address + "/hag'/>");
    say(stage, "crone@localhost/0");
    CHECK(told(stage) == Names{"hag@localhost"});
    stage.world.time += std::chrono::minutes{59};
    say(stage, "bard@localhost/0");
    CHECK(told(stage).empty());
    stage.world.time += std::chrono::minutes{2};
    say(stage, "bard@localhost/0");
    CHECK(told(stage) == Names{"crone@localhost", "hag@localhost", "wiccarocks@localhost"});
    stage.admin("crone@localhost/0", "<item jid='wiccarocks@localhost' affiliation='none'/>");
    stage.world.time += std::chrono::hours{2};
    say(stage, "bard@localhost/0");
    CHECK(told(stage) == Names{"crone@localhost", "hag@localhost"});
}

TEST_CASE("nobody is told of what says nothing, of what is not kept, and in a room that does not stay") {
    Stage stage;
    stage.open();
    stage.admin("crone@localhost/0", "<item jid='hag@localhost' affiliation='member'/>");
    say(stage, "crone@localhost/0");
    CHECK(told(stage).empty());
    stage.configure("muc#roomconfig_persistentroom", {"1"});
    say(stage, "crone@localhost/0", "<composing xmlns='http://jabber.org/protocol/chatstates'/>");
    say(stage, "crone@localhost/0", "<body>Hush</body><no-store xmlns='urn:xmpp:hints'/>");
    say(stage, "crone@localhost/0", "<retract xmlns='urn:xmpp:message-retract:1' id='place 1'/>");
    CHECK(told(stage).empty());
    say(stage, "crone@localhost/0");
    CHECK(told(stage) == Names{"hag@localhost"});
}

TEST_CASE("what cannot be taken back now is not said to be, and its sender is told") {
    Stage stage;
    stage.world.archives = true;
    stage.open();
    stage.configure("muc#roomconfig_persistentroom", {"1"});
    stage.join("hag@localhost/0", "hag");
    say(stage, "hag@localhost/0");
    REQUIRE(stage.world.kept.size() == 1);
    const std::string original = stage.world.kept.front();
    stage.world.stores = false;
    const std::size_t before = stage.world.views["crone@localhost/0"].stanzas.size();
    say(stage, "hag@localhost/0", "<retract xmlns='urn:xmpp:message-retract:1' id='place 1'/>");
    stage.set("crone@localhost/0", "<moderate xmlns='urn:xmpp:message-moderate:1' id='place 1'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>");
    CHECK(stage.world.errors == Names{"resource-constraint", "resource-constraint"});
    CHECK(stage.world.views["crone@localhost/0"].stanzas.size() == before);
    CHECK(stage.world.kept == Names{original});
    stage.world.stores = true;
    stage.set("crone@localhost/0", "<moderate xmlns='urn:xmpp:message-moderate:1' id='place 1'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>");
    REQUIRE(stage.world.kept.size() == 2);
    CHECK(stage.world.kept.front().find("Well met") == std::string::npos);
    CHECK(stage.world.kept.back().find("<moderated") != std::string::npos);
}
