// SPDX-License-Identifier: MIT
// XEP-0045: a room without a server around it. Whatever happens in it, what each occupant has been told is what there is.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <random>

#include "tests/unit/server/room_stage.h"

using namespace tests::rooms;

namespace {

unsigned seed() {
    const char* const given = std::getenv("TERN_SEED");
    return given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
}

}  // namespace

TEST_CASE("whatever happens in a room, each occupant's view of it is what it is") {
    const unsigned start = seed();
    CAPTURE(start);
    std::mt19937 random{start};
    const auto pick = [&](const std::vector<std::string>& from) { return from[random() % from.size()]; };
    const auto pick_some = [&](std::vector<std::string> from) {
        std::erase_if(from, [&](const std::string&) { return random() % 2 == 0; });
        return from;
    };
    const std::vector<std::string> users{"crone", "hag", "wiccarocks", "bard", "lear"};
    const std::vector<std::string> nicks{"one", "two", "three", "crone", "hag"};
    for (int round = 0; round < 40; ++round) {
        Stage stage;
        stage.open();
        for (int step = 0; step < 120 && !stage.room.is_over(); ++step) {
            const std::string user = pick(users), full = user + "@localhost/" + std::to_string(random() % 3), nick = pick(nicks);
            const std::string actor = random() % 3 == 0 ? full : "crone@localhost/0";
            switch (random() % 15) {
                case 0: case 1: case 2: stage.join(full, nick); break;
                case 3: stage.take("<presence from='" + full + "' to='" + address + "/" + nick + "'><show>away</show></presence>"); break;
                case 4: stage.take("<presence type='unavailable' from='" + full + "' to='" + address + "/" + nick + "'/>"); break;
                case 5: stage.admin(actor, "<item nick='" + nick + "' role='" + pick({"none", "visitor", "participant", "moderator"}) + "'/>"); break;
                case 6: case 7:
                    stage.admin(actor, "<item jid='" + user + "@localhost' affiliation='" + pick({"outcast", "none", "member", "admin", "owner"}) + "'/>");
                    break;
                case 8: stage.configure("muc#roomconfig_membersonly", {pick({"0", "0", "1"})}); break;
                case 9: stage.configure("muc#roomconfig_moderatedroom", {pick({"0", "1"})}); break;
                case 10: stage.configure("muc#roomconfig_whois", {pick({"anyone", "moderators"})}); break;
                case 11:
                    stage.take("<message type='error' from='" + full + "' to='" + address + "/" + nick +
                               "'><error type='wait'><recipient-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>");
                    break;
                case 12:
                    stage.configure("muc#roomconfig_presencebroadcast", pick_some({"moderator", "participant", "visitor"}));
                    break;
                case 13:
                    if (random() % 4 == 0) stage.room.account_removed(*Jid::parse(user + "@localhost"));
                    break;
                case 14:
                    stage.configure(pick({"muc#roomconfig_roomadmins", "muc#roomconfig_roomowners"}),
                                    pick_some({"crone@localhost", "crone@localhost", "hag@localhost", "bard@localhost"}));
                    break;
            }
            check(stage);
        }
    }
}

TEST_CASE("what is said is one announcement for each worker, whoever many hear it") {
    Stage stage;
    stage.open();
    for (int i = 0; i < 60; ++i) stage.join("user" + std::to_string(i) + "@localhost/r", "nick" + std::to_string(i));
    const std::size_t before = stage.world.announcements;
    stage.take("<message type='groupchat' from='user7@localhost/r' to='" + address + "'><body>hi</body></message>");
    CHECK(stage.world.announcements - before <= 3);
    CHECK(stage.world.views["user59@localhost/r"].stanzas.back().child("body", xmpp::ns::client).text() == "hi");
}

TEST_CASE("XEP-0421: an occupant's id is the same under every name, and another's in another room") {
    Stage stage, elsewhere;
    stage.open();
    stage.join("hag@localhost/0", "hag");
    const std::string id = stage.room.occupants().find("hag")->id;
    stage.take("<presence from='hag@localhost/0' to='" + address + "/oldhag'/>");
    CHECK(stage.room.occupants().find("oldhag")->id == id);
    CHECK(id.size() <= 128);
    World world;
    Room other{world, *Jid::parse("heath@groups.localhost"), "another secret"};
    other.found(*Jid::parse("hag@localhost"));
    const Stanza presence = stanza("<presence from='hag@localhost/0' to='heath@groups.localhost/hag'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    other.take(presence, presence.to());
    CHECK(other.occupants().find("hag")->id != id);
}

TEST_CASE("nothing changes that could not be stored") {
    Stage stage;
    stage.open();
    stage.configure("muc#roomconfig_persistentroom", {"1"});
    stage.world.stores = false;
    stage.admin("crone@localhost/0", "<item jid='hag@localhost' affiliation='outcast'/>");
    stage.configure("muc#roomconfig_roomname", {"Cave"});
    stage.take("<message type='groupchat' from='crone@localhost/0' to='" + address + "'><subject>Bubble</subject></message>");
    CHECK(stage.world.errors == std::vector<std::string>{"resource-constraint", "resource-constraint", "resource-constraint"});
    CHECK(stage.room.affiliations().of(Jid::parse("hag@localhost")->view()) == Affiliation::none);
    CHECK(stage.room.config().name.empty());
    CHECK(stage.room.subject().empty());
}

TEST_CASE("a room that has lost its owners with their accounts belongs to the server's admins until there is one again") {
    Stage stage;
    stage.open();
    stage.join("lear@localhost/0", "lear");
    stage.join("hag@localhost/0", "hag");
    const Occupant& lear = *stage.room.occupants().find("lear");
    CHECK(lear.affiliation == Affiliation::none);
    stage.admin("lear@localhost/0", "<item jid='hag@localhost' affiliation='owner'/>");
    CHECK(stage.world.errors == std::vector<std::string>{"forbidden"});
    stage.room.account_removed(*Jid::parse("crone@localhost"));
    check(stage);
    CHECK(lear.affiliation == Affiliation::owner);
    CHECK(lear.role == Role::moderator);
    CHECK(stage.room.occupants().find("crone")->role == Role::participant);
    // Belonging to it by that alone, nobody becomes more.
    stage.set("lear@localhost/0", "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value>"
                                  "</field><field var='muc#register_roomnick'><value>lear</value></field></x></query>");
    CHECK_FALSE(stage.room.affiliations().has_owner());
    stage.admin("lear@localhost/0", "<item jid='hag@localhost' affiliation='owner'/>");
    check(stage);
    CHECK(lear.affiliation == Affiliation::none);
    CHECK(lear.role == Role::participant);
    stage.admin("lear@localhost/0", "<item jid='hag@localhost' affiliation='none'/>");
    CHECK(stage.world.errors == std::vector<std::string>{"forbidden", "forbidden"});
}

TEST_CASE("who registers a nickname in an open room has that and no more") {
    Stage stage;
    stage.open();
    stage.join("hag@localhost/0", "hag");
    stage.set("hag@localhost/0", "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value>"
                                 "</field><field var='muc#register_roomnick'><value>hag</value></field></x></query>");
    CHECK(stage.world.errors.empty());
    const Jid hag = *Jid::parse("hag@localhost");
    CHECK(stage.room.affiliations().of(hag.view()) == Affiliation::none);
    REQUIRE(stage.room.affiliations().owner_of_nick("hag"));
    CHECK(*stage.room.affiliations().owner_of_nick("hag") == hag);
    stage.configure("muc#roomconfig_membersonly", {"1"});
    CHECK_FALSE(stage.room.occupants().find("hag"));
    stage.join("hag@localhost/0", "hag");
    CHECK(stage.world.errors == std::vector<std::string>{"registration-required"});
    check(stage);
    // What others gave stays when the nickname goes.
    stage.admin("crone@localhost/0", "<item jid='hag@localhost' affiliation='member'/>");
    stage.set("hag@localhost/0", "<query xmlns='jabber:iq:register'><remove/></query>");
    CHECK(stage.room.affiliations().of(hag.view()) == Affiliation::member);
    CHECK_FALSE(stage.room.affiliations().owner_of_nick("hag"));
}

TEST_CASE("XEP-0359 §3: an id that claims to be the room's goes, however the room's address is written") {
    Stage stage;
    stage.open();
    stage.take("<message type='groupchat' from='crone@localhost/0' to='" + address +
               "'><body>O</body><stanza-id xmlns='urn:xmpp:sid:0' by='COVEN@groups.Localhost' id='forged'/><stanza-id xmlns='urn:xmpp:sid:0' by='heath@groups.localhost' id='theirs'/></message>");
    std::vector<std::string> by;
    for (const xmpp::Element child : stage.world.views["crone@localhost/0"].stanzas.back().children())
        if (child.is("stanza-id", xmpp::ns::stanza_id)) by.emplace_back(child.attr("by"));
    CHECK(by == std::vector<std::string>{"heath@groups.localhost", address});
}

TEST_CASE("what the archive refuses at once nobody is sent, and its sender is told") {
    Stage stage;
    stage.open();
    stage.world.archives = true;
    stage.world.keeps = false;
    stage.world.errors.clear();
    auto& received = stage.world.views["crone@localhost/0"].stanzas;
    received.clear();
    const std::string message = std::string{"<message type='groupchat' id='m' from='crone@localhost/0' to='"} + address + "'><body>Hail!</body></message>";
    stage.take(message);
    CHECK(stage.world.errors == std::vector<std::string>{"resource-constraint"});
    CHECK(received.empty());

    stage.world.keeps = true;
    stage.take(message);
    REQUIRE(received.size() == 1);
    CHECK(received[0].child("stanza-id", xmpp::ns::stanza_id).attr("id") == "place 1");
    CHECK(stage.world.kept.size() == 1);
}

TEST_CASE("an archive is read by who may come in, with addresses by who sees them") {
    Stage stage;
    stage.open();
    stage.join("wiccarocks@localhost/0", "wicca");
    stage.world.archives = true;
    const auto ask = [&stage](const std::string& who) {
        stage.world.results.clear();
        stage.world.errors.clear();
        stage.set(who, "<query xmlns='urn:xmpp:mam:2'/>");
        return stage.world.errors.empty() ? stage.world.results.at(0) : stage.world.errors.at(0);
    };
    CHECK(ask("crone@localhost/0") == "s with addresses");
    CHECK(ask("crone@localhost/elsewhere") == "s with addresses");
    CHECK(ask("wiccarocks@localhost/0") == "s");
    CHECK(ask("hag@localhost/0") == "s");
    stage.configure("muc#roomconfig_whois", {"anyone"});
    CHECK(ask("hag@localhost/0") == "s with addresses");
    stage.configure("muc#roomconfig_membersonly", {"1"});
    CHECK(ask("hag@localhost/0") == "forbidden");
    CHECK(ask("crone@localhost/0") == "s with addresses");
    stage.configure("muc#roomconfig_enablearchiving", {"0"});
    CHECK(ask("crone@localhost/0") == "service-unavailable");
}

TEST_CASE("§10.2: who is made an admin by the form that closes the room stays in it, and who is an owner no longer is an admin") {
    Stage stage;
    stage.open();
    stage.join("hag@localhost/0", "hag");
    stage.join("bard@localhost/0", "bard");
    const auto configure = [&stage](const std::string& fields) {
        stage.set("crone@localhost/0", "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>" + std::string{ns_room_config} +
                                           "</value></field>" + fields + "</x></query>");
    };
    configure("<field var='muc#roomconfig_membersonly'><value>1</value></field><field var='muc#roomconfig_roomadmins'><value>hag@localhost</value></field>");
    REQUIRE(stage.room.occupants().find("hag"));
    CHECK(stage.room.occupants().find("hag")->role == Role::moderator);
    CHECK_FALSE(stage.room.occupants().find("bard"));
    check(stage);
    configure("<field var='muc#roomconfig_roomowners'><value>crone@localhost</value><value>hag@localhost</value></field>");
    CHECK(stage.room.occupants().find("hag")->affiliation == Affiliation::owner);
    configure("<field var='muc#roomconfig_roomowners'><value>crone@localhost</value></field>");
    CHECK(stage.room.occupants().find("hag")->affiliation == Affiliation::admin);
    CHECK(stage.room.occupants().find("hag")->role == Role::moderator);
    check(stage);
    // §9.5: who is invited by a form is told the password that it sets.
    configure("<field var='muc#roomconfig_passwordprotectedroom'><value>1</value></field><field var='muc#roomconfig_roomsecret'><value>new</value></field>"
              "<field var='muc#roomconfig_roomadmins'><value>hag@localhost</value><value>lear@localhost</value></field>");
    const auto& invited = stage.world.views["lear@localhost"].stanzas;
    REQUIRE(invited.size() == 1);
    CHECK(invited[0].child("x", xmpp::ns::muc_user).child("password", xmpp::ns::muc_user).text() == "new");
}

TEST_CASE("§8.2: who is kicked is told first, then who did it, then the others, and nobody is kicked twice") {
    Stage stage;
    stage.open();
    for (const std::string who : {"hag", "bard", "lear"}) stage.join(who + "@localhost/0", who);
    stage.world.told.clear();
    stage.admin("crone@localhost/0", "<item nick='hag' role='none'/><item nick='bard' role='none'><reason>Avaunt!</reason></item>");
    REQUIRE(stage.world.told.size() == 7);
    CHECK(std::vector(stage.world.told.begin(), stage.world.told.begin() + 3) == std::vector<std::string>{"hag@localhost/0", "bard@localhost/0", "answer"});
    check(stage);
    stage.admin("crone@localhost/0", "<item nick='lear' role='none'/><item nick='lear' role='none'/>");
    CHECK(stage.world.errors == std::vector<std::string>{"conflict"});
    stage.admin("crone@localhost/0", "<item nick='crone' role='none'/>");
    CHECK(stage.room.occupants().size() == 1);
    check(stage);
}
