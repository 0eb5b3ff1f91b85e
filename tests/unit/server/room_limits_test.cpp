// SPDX-License-Identifier: MIT
// XEP-0045: whatever is asked of a room, what it keeps and what it causes has an end.
#include <catch2/catch.hpp>

#include "tests/unit/server/room_stage.h"

using namespace tests::rooms;

TEST_CASE("§7.2.2: where moderators alone are broadcast, coming in costs as much as there are of them") {
    Stage stage;
    stage.open();
    stage.configure("muc#roomconfig_presencebroadcast", {"moderator"});
    const std::size_t before = stage.world.announcements;
    for (int i = 0; i < 1000; ++i) stage.join("user" + std::to_string(i) + "@localhost/r", "nick" + std::to_string(i));
    CHECK(stage.world.announcements == before);
    CHECK(stage.world.views["user999@localhost/r"].stanzas.size() == 3);   // the owner, itself, the subject
    check(stage);
    // All at once they are too many to be shown.
    stage.configure("muc#roomconfig_presencebroadcast", {"moderator", "participant"});
    CHECK(stage.world.errors == std::vector<std::string>{"policy-violation"});
    stage.configure("muc#roomconfig_presencebroadcast", {"moderator", "visitor"});
    CHECK(stage.world.errors.size() == 1);
    check(stage);
}

TEST_CASE("those who go out together hear of themselves alone, and those who stay of all") {
    Stage stage;
    stage.open();
    std::string members;
    for (int i = 0; i < 20; ++i) members += "<item jid='member" + std::to_string(i) + "@localhost' affiliation='member'/>";
    stage.admin("crone@localhost/0", members);
    for (int i = 0; i < 20; ++i) stage.join("member" + std::to_string(i) + "@localhost/r", "member" + std::to_string(i));
    const auto come_in_and_go = [&](const std::function<void()>& go) {
        for (int i = 0; i < 30; ++i) stage.join("user" + std::to_string(i) + "@elsewhere/r", "nick" + std::to_string(i));
        for (auto& [jid, view] : stage.world.views) view.stanzas.clear();
        go();
        CHECK(stage.room.occupants().size() == 21);
        check(stage);
        for (int i = 0; i < 30; ++i) CHECK(stage.world.views["user" + std::to_string(i) + "@elsewhere/r"].stanzas.size() == 1);
        CHECK(std::ranges::count(stage.world.views["member7@localhost/r"].stanzas, xmpp::Kind::presence, &Stanza::kind) == 30);
    };
    come_in_and_go([&] { stage.configure("muc#roomconfig_membersonly", {"1"}); });
    stage.configure("muc#roomconfig_membersonly", {"0"});
    come_in_and_go([&] { stage.admin("crone@localhost/0", "<item jid='elsewhere' affiliation='outcast'/>"); });
}

TEST_CASE("one request causes no more than a million presences") {
    Stage stage;
    stage.open();
    stage.configure("muc#roomconfig_presencebroadcast", {"moderator"});
    std::string members, silent, none;
    for (int i = 0; i < 1000; ++i) members += "<item jid='member" + std::to_string(i) + "@localhost' affiliation='member'/>";
    stage.admin("crone@localhost/0", members);
    for (int i = 0; i < 1000; ++i) {
        const std::string number = std::to_string(i);
        stage.join("user" + number + "@elsewhere/r", "nick" + number);
        if (i > 0) silent += "<item nick='nick" + number + "' role='visitor'/>";
        none += "<item nick='nick" + number + "' affiliation='member'/>";
    }
    stage.admin("crone@localhost/0", silent);
    CHECK(stage.world.errors.empty());
    CHECK(stage.room.occupants().find("nick999")->role == Role::visitor);
    stage.admin("crone@localhost/0", "<item nick='nick0' role='visitor'/>" + silent);
    stage.admin("crone@localhost/0", none);
    CHECK(stage.world.errors == std::vector<std::string>{"policy-violation", "policy-violation"});
    CHECK(stage.room.occupants().find("nick0")->role == Role::participant);
    for (int i = 0; i < 1000; ++i) stage.join("member" + std::to_string(i) + "@localhost/r", "member" + std::to_string(i));
    stage.configure("muc#roomconfig_membersonly", {"1"});
    CHECK(stage.world.errors.size() == 3);
    CHECK(stage.room.occupants().size() == 2001);
    stage.admin("crone@localhost/0", "<item jid='member0@localhost' affiliation='none'/>");
    stage.admin("crone@localhost/0", "<item jid='elsewhere' affiliation='outcast'/>");   // as many: 1000 × 1001
    CHECK(stage.world.errors.size() == 4);
    stage.take("<presence type='unavailable' from='member0@localhost/r' to='" + address + "/member0'/>");
    stage.take("<presence type='unavailable' from='member1@localhost/r' to='" + address + "/member1'/>");
    stage.admin("crone@localhost/0", "<item jid='elsewhere' affiliation='outcast'/>");
    CHECK(stage.world.errors.size() == 4);
    CHECK(stage.room.occupants().size() == 999);
    check(stage);
}

TEST_CASE("what a room remembers of what was said has an end in bytes") {
    Stage stage;
    stage.open();
    const auto say = [&](std::size_t bytes) {
        stage.take("<message type='groupchat' from='crone@localhost/0' to='" + address + "'><body>" + std::string(bytes, 'x') + "</body></message>");
    };
    const auto remembered = [&](const std::string& who) {
        stage.join(who + "@localhost/0", who);
        std::vector<std::size_t> sizes;
        for (const Stanza& each : stage.world.views[who + "@localhost/0"].stanzas)
            if (each.child("body", xmpp::ns::client)) sizes.push_back(each.size());
        return sizes;
    };
    say(70'000);
    CHECK(remembered("hag").empty());
    for (int i = 0; i < 20; ++i) say(30'000);
    CHECK(remembered("bard").size() == 8);
    say(10);
    CHECK(remembered("lear").size() == 9);
}

TEST_CASE("what all rooms of a worker remember has an end, and those lose it first that are silent") {
    Histories all{100'000};
    const xmpp::Time now{std::chrono::seconds{1'700'000'000}};
    const auto say = [&](History& history) {
        history.add({"<message from='coven@groups.localhost/crone' type='groupchat'><body>" + std::string(10'000, 'x') + "</body></message>", "id", "author"}, now, 20);
    };
    const auto remembered = [](History& history) { return history.read({}, 20, address).size(); };
    {
        History silent{all}, busy{all};
        say(busy);
        for (int i = 0; i < 3; ++i) say(silent);
        for (int i = 0; i < 5; ++i) say(busy);
        CHECK(all.bytes() > 90'000);
        for (int i = 0; i < 2; ++i) say(busy);
        CHECK(all.bytes() <= 100'000);
        CHECK(remembered(silent) == 1);   // there thrice from now on, so that
        CHECK(all.bytes() <= 100'000);
        CHECK(remembered(silent) == 0);
        CHECK(remembered(busy) > 0);
        CHECK(all.bytes() <= 100'000);
        say(silent);
        CHECK(remembered(silent) == 1);
    }
    CHECK(all.bytes() == 0);
}

TEST_CASE("the list of those who belong to a room has an end, but bans and removals pass") {
    Stage stage;
    stage.open();
    const std::string padding(900, 'a');
    int members = 0;
    for (; stage.world.errors.empty() && members < 3000; ++members)
        stage.admin("crone@localhost/0", "<item jid='" + padding + std::to_string(members) + "@localhost' affiliation='member'/>");
    CHECK(stage.world.errors == std::vector<std::string>{"policy-violation"});
    CHECK(members > 1000);
    stage.admin("crone@localhost/0", "<item jid='hag@localhost' affiliation='outcast'><reason>" + std::string(2000, 'x') + "</reason></item>");
    stage.admin("crone@localhost/0", "<item jid='" + padding + "0@localhost' affiliation='none'/>");
    CHECK(stage.world.errors.size() == 1);
    CHECK(stage.room.affiliations().find(Jid::parse("hag@localhost")->view())->reason.size() <= 300);
    CHECK(stage.room.affiliations().bytes() < 1024 * 1024 + 1000);
}

TEST_CASE("when many belong to a room, there is place for a ban and for what changes of them") {
    Stage stage;
    stage.open();
    for (int i = 0; i < 10; ++i) {
        std::string items;
        for (int j = i == 0 ? 1 : 0; j < 1000; ++j) items += "<item jid='u" + std::to_string(1000 * i + j) + "@localhost' affiliation='member'/>";
        stage.admin("crone@localhost/0", items);
    }
    CHECK(stage.world.errors.empty());
    CHECK(stage.room.affiliations().size() == 10'000);
    stage.admin("crone@localhost/0", "<item jid='u1@localhost' affiliation='admin'/>");
    stage.admin("crone@localhost/0", "<item jid='bard@localhost' affiliation='outcast'/>");
    stage.admin("crone@localhost/0", "<item jid='u2@localhost' affiliation='none'/>");
    CHECK(stage.world.errors.empty());
    stage.admin("crone@localhost/0", "<item jid='lear@localhost' affiliation='member'/>");
    CHECK(stage.world.errors == std::vector<std::string>{"policy-violation"});
}

TEST_CASE("presences of all who are there have an end in bytes, and say then who is away and nothing else") {
    Stage stage;
    stage.open();
    stage.configure("muc#roomconfig_presencebroadcast", {"moderator"});
    const std::string rest = "<show>away</show><status>" + std::string(3700, 'x') + "</status>";
    const auto come_in = [&](int i) {
        stage.take("<presence from='user" + std::to_string(i) + "@localhost/r' to='" + address + "/nick" + std::to_string(i) + "'><x xmlns='http://jabber.org/protocol/muc'/>" + rest + "</presence>");
    };
    const auto shown = [&](int i) { return stage.room.occupants().find("nick" + std::to_string(i))->foremost().presence; };
    for (int i = 0; i < 1300; ++i) come_in(i);
    CHECK(stage.world.errors.empty());
    CHECK(stage.room.occupants().presence_bytes() < (4U << 20) + 100'000);
    CHECK(shown(0).child("status", xmpp::ns::client));
    CHECK_FALSE(shown(1299).child("status", xmpp::ns::client));
    CHECK(shown(1299).child("show", xmpp::ns::client).text() == "away");
    check(stage);
    // A second session of one, and what is said again, count as well; who leaves makes room.
    stage.take("<presence from='user0@localhost/r' to='" + address + "/nick0'/>");
    stage.take("<presence from='user1@localhost/s' to='" + address + "/nick1'><x xmlns='http://jabber.org/protocol/muc'/>" + rest + "</presence>");
    CHECK_FALSE(shown(1).child("status", xmpp::ns::client));
    for (int i = 2; i < 40; ++i) stage.take("<presence type='unavailable' from='user" + std::to_string(i) + "@localhost/r' to='" + address + "/nick" + std::to_string(i) + "'/>");
    stage.take("<presence from='user1299@localhost/r' to='" + address + "/other'>" + rest + "</presence>");
    CHECK(stage.room.occupants().find("other")->foremost().presence.child("status", xmpp::ns::client));
    for (int i = 0; i < 1300; ++i)
        for (const std::string session : {"r", "s"})
            stage.take("<presence type='unavailable' from='user" + std::to_string(i) + "@localhost/" + session + "' to='" + address + "/nick'/>");
    CHECK(stage.room.occupants().presence_bytes() < 200);   // the owner's
}

TEST_CASE("§17.3, rule 11: a long farewell is none") {
    Stage stage;
    stage.open();
    for (const int length : {10, 5000}) {
        stage.join("hag@localhost/0", "hag");
        stage.take("<presence type='unavailable' from='hag@localhost/0' to='" + address + "/hag'><status>" + std::string(static_cast<std::size_t>(length), 'x') + "</status></presence>");
        const Stanza& told = stage.world.views["crone@localhost/0"].stanzas.back();
        CHECK(told.type() == "unavailable");
        CHECK((told.child("status", xmpp::ns::client) ? 10 : 5000) == length);
    }
}
