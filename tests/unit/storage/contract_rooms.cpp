// SPDX-License-Identifier: MIT
// The storage contract: persistent rooms (XEP-0045).
#include <catch2/catch.hpp>

#include "tests/unit/storage/backends.h"

using namespace tests;
using namespace storage;

namespace {

Room coven() {
    Room room;
    room.jid = *Jid::parse("coven@groups.shakespeare.example");
    room.founder = *Jid::parse("crone1@shakespeare.example");
    room.secret = std::string{"\0\xff secret", 9};
    room.config = "<x xmlns='jabber:x:data' type='submit'/>";
    room.listed_as = "A Dark Cave";
    room.created = Time{std::chrono::seconds{1'700'000'000}};
    RoomAffiliation owner, outcast;
    owner.jid = room.founder;
    owner.affiliation = Affiliation::owner;
    owner.nick = "firstwitch";
    outcast.jid = *Jid::parse("pistol@shakespeare.example");
    outcast.affiliation = Affiliation::outcast;
    outcast.reason = "Avaunt, you cullion!";
    room.affiliations = {owner, outcast};
    return room;
}

std::vector<std::string> shown(const Room& room) {
    std::vector<std::string> all;
    for (const RoomAffiliation& each : room.affiliations)
        all.push_back(each.jid.text() + " " + std::to_string(static_cast<int>(each.affiliation)) + " " + each.nick + " " + each.reason);
    return all;
}

}  // namespace

TEMPLATE_TEST_CASE("a room comes back as it was put, and goes as a whole", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& rooms = o.storage->rooms();
    const Room room = coven();
    using Lines = std::vector<std::string>;
    const Lines both{"crone1@shakespeare.example 4 firstwitch ", "pistol@shakespeare.example 0  Avaunt, you cullion!"};
    CHECK_FALSE(o.get(rooms.find(room.jid)));
    must(o.run(rooms.put(room)));
    must(o.run(rooms.put(room)));
    const auto found = o.get(rooms.find(room.jid));
    REQUIRE(found);
    CHECK(found->jid == room.jid);
    CHECK(found->founder == room.founder);
    CHECK(found->secret == room.secret);
    CHECK(found->config == room.config);
    CHECK(found->subject.empty());
    CHECK(found->listed_as == room.listed_as);
    CHECK(found->created == room.created);
    CHECK(shown(*found) == both);
    CHECK(o.get(rooms.count_founded(room.founder)) == 1);
    must(o.run(rooms.remove(room.jid)));
    CHECK_FALSE(o.get(rooms.find(room.jid)));
    CHECK(o.get(rooms.count_founded(room.founder)) == 0);
    must(o.run(rooms.remove(room.jid)));
}

TEMPLATE_TEST_CASE("what changes of a room is stored together, and the rest stays", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& rooms = o.storage->rooms();
    Room room = coven();
    RoomChange change;
    change.subject = "<message><subject>Bubble</subject></message>";
    CHECK(o.run(rooms.change(room.jid, change)).error().kind == StorageError::Kind::not_found);
    must(o.run(rooms.put(room)));
    RoomAffiliation pardoned, member;
    pardoned.jid = *Jid::parse("pistol@shakespeare.example");
    member.jid = *Jid::parse("hag66@shakespeare.example");
    member.affiliation = Affiliation::member;
    change.affiliations = {pardoned, member};
    must(o.run(rooms.change(room.jid, change)));
    auto found = o.get(rooms.find(room.jid));
    REQUIRE(found);
    CHECK(found->subject == *change.subject);
    CHECK(found->config == room.config);
    CHECK(found->listed_as == room.listed_as);
    using Lines = std::vector<std::string>;
    CHECK(shown(*found) == Lines{"crone1@shakespeare.example 4 firstwitch ", "hag66@shakespeare.example 2  "});
    RoomChange hidden;
    hidden.config = "<x xmlns='jabber:x:data'/>";
    must(o.run(rooms.change(room.jid, hidden)));
    found = o.get(rooms.find(room.jid));
    CHECK(found->config == *hidden.config);
    CHECK(found->listed_as.empty());
    CHECK(found->subject == *change.subject);
}

TEMPLATE_TEST_CASE("rooms are listed by their domain, those with a name", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& rooms = o.storage->rooms();
    Room room = coven();
    must(o.run(rooms.put(room)));
    room.jid = *Jid::parse("heath@groups.shakespeare.example");
    room.listed_as.clear();
    must(o.run(rooms.put(room)));
    room.jid = *Jid::parse("forres@groups.elsewhere.example");
    room.listed_as = "The Palace";
    must(o.run(rooms.put(room)));
    const auto listed = o.get(rooms.listed("groups.shakespeare.example"));
    REQUIRE(listed.size() == 1);
    CHECK(listed[0].jid.text() == "coven@groups.shakespeare.example");
    CHECK(listed[0].name == "A Dark Cave");
    CHECK(o.get(rooms.count_founded(room.founder)) == 3);
}

TEMPLATE_TEST_CASE("who gets an address that was somebody's does not belong to that one's rooms", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& rooms = o.storage->rooms();
    const AccountId pistol = o.create("pistol@shakespeare.example");
    o.create("crone1@shakespeare.example");
    must(o.run(rooms.put(coven())));
    must(o.run(o.storage->accounts().remove(pistol)));
    const auto found = o.get(rooms.find(coven().jid));
    REQUIRE(found);
    CHECK(shown(*found) == std::vector<std::string>{"crone1@shakespeare.example 4 firstwitch "});
}

TEMPLATE_TEST_CASE("a room has a log, which goes with it, and is nobody's account", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& rooms = o.storage->rooms();
    const Room room = coven();
    const AccountId log = o.get(rooms.put(room));
    must(o.append(entry(log, 7)));
    CHECK(o.get(rooms.put(room)) == log);
    const auto found = o.get(rooms.find(room.jid));
    REQUIRE(found);
    CHECK(found->log == log);
    CHECK(o.ids(log) == std::vector<LogId>{7});
    CHECK(o.get(o.storage->messages().query(log, {})).entries.size() == 1);
    CHECK(o.get(o.storage->messages().remove_delivered_unarchived(at(100), 10)) == 0);

    const AccountId crone = o.create("crone1@shakespeare.example");
    CHECK(o.get(o.storage->accounts().count({})) == 1);
    const auto listed = o.get(o.storage->accounts().list({}, {}, 10));
    REQUIRE(listed.size() == 1);
    CHECK(listed[0].id == crone);

    must(o.run(rooms.remove(room.jid)));
    CHECK(o.ids(log).empty());
    const AccountId next = o.get(rooms.put(room));
    CHECK(next != log);
    CHECK(o.ids(next).empty());
    CHECK_FALSE(o.append(entry(log, 8)).ok());
}
