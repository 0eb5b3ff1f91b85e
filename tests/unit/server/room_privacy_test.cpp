// SPDX-License-Identifier: MIT
// XEP-0045 §7.5, §7.8, §8, §9, §17.4: who learns what of whom, and who may do what to whom.
#include <catch2/catch.hpp>

#include "tests/unit/server/room_stage.h"

using namespace tests::rooms;

TEST_CASE("moderators alone see addresses in a semi-anonymous room") {
    Stage stage;
    stage.open();
    stage.join("hag@localhost/0", "hag");
    stage.join("bard@localhost/0", "bard");
    stage.admin("crone@localhost/0", "<item jid='bard@localhost' affiliation='member'/>");
    stage.take("<presence from='bard@localhost/0' to='" + address + "/minstrel'/>");
    stage.take("<presence type='unavailable' from='bard@localhost/0' to='" + address + "/minstrel'/>");
    for (const Stanza& told : stage.world.views["hag@localhost/0"].stanzas) CHECK(told.xml().find("bard@localhost") == std::string::npos);
    std::size_t seen = 0;
    for (const Stanza& told : stage.world.views["crone@localhost/0"].stanzas) seen += told.xml().find("bard@localhost/0") != std::string::npos;
    CHECK(seen == 5);   // came, became a member, left by one name, came by the other, left
}

TEST_CASE("§7.8.2: who is banned is not invited, and only who may know it is told, nor does an outcast decline") {
    Stage stage;
    stage.open();
    stage.join("hag@localhost/0", "hag");
    const auto mediate = [&](const std::string& who, const std::string& what) {
        stage.take("<message from='" + who + "' to='" + address + "'><x xmlns='http://jabber.org/protocol/muc#user'>" + what + "</x></message>");
    };
    stage.admin("crone@localhost/0", "<item jid='bard@localhost' affiliation='outcast'/>");
    mediate("hag@localhost/0", "<invite to='bard@localhost'/>");
    CHECK(stage.world.errors.empty());
    CHECK(stage.world.routed == 0);
    mediate("crone@localhost/0", "<invite to='bard@localhost'/>");
    CHECK(stage.world.errors == std::vector<std::string>{"not-allowed"});

    mediate("hag@localhost/0", "<invite to='lear@localhost/0'/><invite to='wiccarocks@localhost'/>");
    CHECK(stage.world.routed == 2);
    stage.admin("crone@localhost/0", "<item jid='lear@localhost' affiliation='outcast'/>");
    mediate("lear@localhost/0", "<decline to='hag@localhost'><reason>Boo</reason></decline>");
    CHECK(stage.world.routed == 2);
    mediate("wiccarocks@localhost/0", "<decline to='" + address + "/hag'/>");
    CHECK(stage.world.routed == 3);
    CHECK(stage.world.errors.size() == 1);
}

TEST_CASE("an error says no more than what went wrong, and to whom might have written") {
    Stage stage;
    stage.open();
    stage.join("hag@localhost/0", "hag");
    stage.join("bard@localhost/0", "bard");
    auto& received = stage.world.views["bard@localhost/0"].stanzas;
    const std::string error = "<message id='p' type='error' from='hag@localhost/0' to='" + address + "/bard'><body>psst</body><error type='wait'><resource-constraint xmlns='"
                              "urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>psst</text></error></message>";
    stage.take(error);
    CHECK(received.back().id() == "p");
    CHECK(received.back().xml().find("psst") == std::string::npos);
    CHECK(received.back().child("error", xmpp::ns::client).attr("type") == "wait");
    CHECK(received.back().child("error", xmpp::ns::client).child("resource-constraint", xmpp::ns::stanzas));
    for (const std::string whispers : {"moderators", "none"}) {
        stage.configure("muc#roomconfig_allowpm", {whispers});
        received.clear();
        stage.take(error);
        CHECK(received.empty());
    }
    stage.configure("muc#roomconfig_allowpm", {"moderators"});
    stage.admin("crone@localhost/0", "<item nick='bard' role='moderator'/>");
    received.clear();
    stage.take(error);
    CHECK(received.size() == 1);
}

TEST_CASE("§7.6, §17.3: who asks to enter by another nickname is told of itself after the others, and that it is seen") {
    Stage stage;
    stage.open();
    stage.configure("muc#roomconfig_whois", {"anyone"});
    stage.join("hag@localhost/0", "hag");
    auto& received = stage.world.views["hag@localhost/0"].stanzas;
    received.clear();
    stage.join("hag@localhost/0", "oldhag");
    std::vector<std::string> from;
    for (const Stanza& each : received) from.emplace_back(each.from().resourcepart());
    CHECK(from == std::vector<std::string>{"hag", "crone", "oldhag", ""});   // the last: the subject
    CHECK(received.at(2).xml().find("code='100'") != std::string::npos);
    check(stage);
}

TEST_CASE("§8.4, §9.7: nobody takes voice or moderation from admins, they themselves neither") {
    Stage stage;
    stage.open();
    stage.join("hag@localhost/0", "hag");
    for (const std::string role : {"participant", "visitor"}) stage.admin("crone@localhost/0", "<item nick='crone' role='" + role + "'/>");
    CHECK(stage.world.errors == std::vector<std::string>{"not-allowed", "not-allowed"});
    CHECK(stage.room.occupants().find("crone")->role == Role::moderator);
    stage.admin("crone@localhost/0", "<item nick='hag' role='moderator'/>");
    stage.admin("hag@localhost/0", "<item nick='hag' role='participant'/>");
    CHECK(stage.world.errors.size() == 2);
    CHECK(stage.room.occupants().find("hag")->role == Role::participant);
}

TEST_CASE("who is not broadcast is named neither as an actor nor in lists") {
    Stage stage;
    stage.open();
    stage.configure("muc#roomconfig_whois", {"anyone"});
    stage.configure("muc#roomconfig_getmemberlist", {"moderator", "participant", "visitor"});
    stage.configure("muc#roomconfig_presencebroadcast", {"participant", "visitor"});
    stage.join("hag@localhost/0", "hag");
    stage.join("bard@localhost/0", "bard");
    const auto owners = [&](const std::string& who) {
        stage.take("<iq type='get' id='l' from='" + who + "' to='" + address + "'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='owner'/></query></iq>");
        return stage.world.payloads.back();
    };
    CHECK(owners("hag@localhost/0").find("crone@localhost") != std::string::npos);
    CHECK(owners("hag@localhost/0").find("nick=") == std::string::npos);
    CHECK(owners("crone@localhost/0").find("nick='crone'") != std::string::npos);
    stage.admin("crone@localhost/0", "<item jid='hag@localhost' affiliation='member'/><item nick='bard' role='none'/>");
    for (const auto& [jid, view] : stage.world.views)
        for (const Stanza& each : view.stanzas) CHECK(each.xml().find("actor") == std::string::npos);
}

TEST_CASE("one account by two nicknames answers by the one that was asked, and asks by the one that asks") {
    Stage stage;
    stage.open();
    stage.configure("muc#roomconfig_whois", {"anyone"});
    stage.configure("muc#roomconfig_getmemberlist", {"moderator"});
    stage.join("hag@localhost/0", "anna");
    stage.join("hag@localhost/1", "zoe");
    for (const std::string nick : {"anna", "zoe"}) {
        stage.take("<iq type='get' id='v' from='crone@localhost/0' to='" + address + "/" + nick + "'><vCard xmlns='vcard-temp'/></iq>");
        const Stanza asked = stage.world.views["hag@localhost"].stanzas.back();
        stage.take("<iq type='result' id='" + std::string{asked.id()} + "' from='hag@localhost' to='" + address + "/crone'/>");
        CHECK(stage.world.views["crone@localhost/0"].stanzas.back().from().resourcepart() == nick);
        CHECK(stage.world.views["crone@localhost/0"].stanzas.back().id() == "v");
    }
    stage.admin("crone@localhost/0", "<item nick='zoe' role='moderator'/>");
    const auto list = [&](const std::string& who) {
        stage.take("<iq type='get' id='l' from='" + who + "' to='" + address + "'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member'/></query></iq>");
    };
    list("hag@localhost/1");
    CHECK(stage.world.errors.empty());
    list("hag@localhost/0");
    CHECK(stage.world.errors == std::vector<std::string>{"forbidden"});
}

TEST_CASE("a private message goes to the occupant's sessions alone") {
    Stage stage;
    stage.open();
    stage.join("hag@localhost/0", "hag");
    stage.take("<message type='chat' from='crone@localhost/0' to='" + address + "/hag'><body>psst</body></message>");
    CHECK(stage.world.views["hag@localhost/0"].stanzas.back().child("body", xmpp::ns::client).text() == "psst");
    CHECK(stage.world.routed == 0);   // the route has other ways when that session is gone
}

TEST_CASE("§17.3, rule 6: nothing that is the room's to say comes from an occupant, nor a stamp of nobody") {
    Stage stage;
    stage.open();
    stage.take("<message type='groupchat' from='crone@localhost/0' to='" + address + "'><body>O</body><status xmlns='http://jabber.org/protocol/muc#user' code='301'/>"
               "<delay xmlns='urn:xmpp:delay' stamp='2002-10-13T23:58:37Z'/><delay xmlns='urn:xmpp:delay' from='crone@localhost' stamp='2002-10-13T23:58:37Z'/></message>");
    const Stanza& said = stage.world.views["crone@localhost/0"].stanzas.back();
    CHECK(said.child("body", xmpp::ns::client));
    CHECK(said.xml().find("301") == std::string::npos);
    CHECK(std::ranges::count_if(said.children(), [](const xmpp::Element& child) { return child.name() == "delay"; }) == 1);
}

TEST_CASE("§9.3: two that become members at once are not given one nickname") {
    Stage stage;
    stage.open();
    stage.admin("crone@localhost/0", "<item jid='hag@localhost' affiliation='member' nick='witch'/><item jid='bard@localhost' affiliation='member' nick='witch'/>");
    CHECK(stage.world.errors == std::vector<std::string>{"conflict"});
    CHECK(stage.room.affiliations().size() == 1);
}
