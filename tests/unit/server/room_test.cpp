// SPDX-License-Identifier: MIT
// XEP-0045: a room without a server around it. Whatever happens in it, what each occupant has been told is what there is.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "server/rooms/room.h"
#include "xmpp/namespaces.h"
#include "xmpp/parser.h"

namespace {

using namespace server::rooms;
using server::Announcement;
using server::IqReply;
using server::SharedCopies;
using xmpp::Jid;
using xmpp::JidView;
using xmpp::Stanza;

const std::string address = "coven@groups.localhost";

// What a client makes of what it is told.
struct View {
    struct Entry {
        std::string affiliation, role;
        friend bool operator==(const Entry&, const Entry&) = default;
    };
    std::map<std::string, Entry> entries;
    std::vector<Stanza> stanzas;
    bool is_in = false;
};

class World final : public Surroundings {
public:
    std::map<std::string, View> views;       // by full JID
    std::vector<std::string> errors, results;
    bool stores = true, archives = false, keeps = true;
    std::vector<std::string> kept;           // in the archive
    std::size_t announcements = 0, routed = 0;

    storage::Time now() const override { return storage::Time{std::chrono::seconds{1'700'000'000}}; }
    const server::Config::Rooms& rules() const override { return rules_; }
    bool is_admin(JidView bare) const override { return bare.text() == "lear@localhost"; }
    Histories& histories() override { return histories_; }
    std::string new_id() override { return std::to_string(++ids_); }
    bool may_invite(JidView, std::uint32_t) override { return true; }
    std::size_t home_of(JidView bare) const override { return bare.text().size() % 3; }
    void announce(std::size_t home, Announcement announcement) override {
        ++announcements;
        const auto seats = announcement.audience->seats();
        for (std::size_t i = 0; i < seats.size(); ++i) {
            CHECK(home_of(seats[i].jid.bare()) == home);
            if (std::ranges::any_of(announcement.except, [&](const Jid& jid) { return jid.view() == seats[i].jid; })) continue;
            const server::Copies& copies = i < announcement.audience->insiders() ? *announcement.to_insiders : *announcement.to_others;
            receive(seats[i].jid, xmpp::parse_trusted(copies.addressed(seats[i].attribute).bytes()));
        }
    }
    void send_all(std::vector<SharedCopies> stanzas, const Jid& to) override {
        for (const SharedCopies& copies : stanzas) receive(to, copies->stanza());
    }
    void send(std::string_view xml, JidView to) override { ++routed; receive(to, xmpp::parse_trusted(xml)); }
    void bounce(const Stanza&, JidView, const xmpp::StanzaError& error) override { errors.emplace_back(to_string(error.condition)); }
    void answer(const Stanza& request, JidView, const IqReply& reply) override {
        if (reply.error()) errors.emplace_back(to_string(reply.error()->condition));
        else results.emplace_back(request.id());
    }
    bool has_archive() const override { return archives; }
    storage::LogId next_place() override { return kept.size() + 1; }
    std::string archive_id(storage::LogId place) override { return "place " + std::to_string(place); }
    bool keep(storage::LogId, const Stanza&, std::string_view xml) override {
        if (keeps) kept.emplace_back(xml);
        return keeps;
    }
    void read_archive(const Stanza& request, bool sees_addresses) override { results.push_back(std::string{request.id()} + (sees_addresses ? " with addresses" : "")); }
    void store(Change, std::function<void(bool)> then) override { then(stores); }
    void listing_changed() override {}

private:
    void receive(JidView to, const Stanza& stanza) {
        View& view = views[std::string{to.text()}];
        view.stanzas.push_back(stanza);
        if (stanza.kind() != xmpp::Kind::presence) return;
        const xmpp::Element x = stanza.child("x", xmpp::ns::muc_user);
        bool is_own = false, is_renamed = false;
        for (const xmpp::Element child : x.children()) {
            is_own |= child.name() == "status" && child.attr("code") == "110";
            is_renamed |= child.name() == "status" && child.attr("code") == "303";
        }
        const std::string nick{stanza.from().resourcepart()};
        if (stanza.type() == "unavailable") {
            view.entries.erase(nick);
            if (is_own && !is_renamed) view = View{{}, std::move(view.stanzas), false};
            return;
        }
        view.is_in |= is_own;
        view.entries[nick] = {std::string{x.child("item", xmpp::ns::muc_user).attr("affiliation")}, std::string{x.child("item", xmpp::ns::muc_user).attr("role")}};
    }

    server::Config::Rooms rules_;
    Histories histories_{1024 * 1024};
    unsigned ids_ = 0;
};

Stanza stanza(const std::string& xml) { return xmpp::parse_trusted(xml); }

struct Stage {
    World world;
    Room room{world, *Jid::parse(address), "secret"};

    Stage() { room.found(*Jid::parse("crone@localhost")); }
    void take(const Stanza& given) { room.take(given, given.to()); }
    void take(const std::string& xml) { take(stanza(xml)); }
    void join(const std::string& who, const std::string& nick, const std::string& inner = {}) {
        take("<presence from='" + who + "' to='" + address + "/" + nick + "'><x xmlns='http://jabber.org/protocol/muc'>" + inner + "</x></presence>");
    }
    void set(const std::string& who, const std::string& query) {
        take("<iq type='set' id='s' from='" + who + "' to='" + address + "'>" + query + "</iq>");
    }
    void admin(const std::string& who, const std::string& item) { set(who, "<query xmlns='http://jabber.org/protocol/muc#admin'>" + item + "</query>"); }
    void configure(const std::string& var, const std::vector<std::string>& values) {
        std::string given;
        for (const std::string& value : values) given += "<value>" + value + "</value>";
        set("crone@localhost/0", "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>" +
                                     std::string{ns_room_config} + "</value></field><field var='" + var + "'>" + given + "</field></x></query>");
    }
    void open() {
        join("crone@localhost/0", "crone");
        set("crone@localhost/0", "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>");
    }
};

void check(const Stage& stage) {
    std::map<std::string, View::Entry> broadcast;
    std::map<std::string, const Occupant*> inside;
    const auto entry_of = [](const Occupant& occupant) {
        return View::Entry{std::string{to_string(occupant.affiliation)}, std::string{to_string(occupant.role)}};
    };
    std::size_t with_some_role = 0;
    for (const Role role : {Role::visitor, Role::participant, Role::moderator}) with_some_role += stage.room.occupants().with(role).size();
    CHECK(with_some_role == stage.room.occupants().size());
    stage.room.occupants().for_each([&](const Occupant& occupant) {
        if (stage.room.config().broadcast.contains(occupant.role)) broadcast[std::string{occupant.nick()}] = entry_of(occupant);
        CHECK(occupant.affiliation == stage.room.affiliation_of(occupant.bare()));
        for (const Seat& seat : occupant.seats) inside[seat.jid.text()] = &occupant;
    });
    for (const auto& [jid, view] : stage.world.views) {
        INFO(jid);
        CHECK(view.is_in == inside.contains(jid));
        if (!inside.contains(jid)) continue;
        auto seen = broadcast;
        seen[std::string{inside[jid]->nick()}] = entry_of(*inside[jid]);
        CHECK(view.entries == seen);
    }
}

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

TEST_CASE("what is said is one announcement for each worker, whoever many hear it") {
    Stage stage;
    stage.open();
    for (int i = 0; i < 60; ++i) stage.join("user" + std::to_string(i) + "@localhost/r", "nick" + std::to_string(i));
    const std::size_t before = stage.world.announcements;
    stage.take("<message type='groupchat' from='user7@localhost/r' to='" + address + "'><body>hi</body></message>");
    CHECK(stage.world.announcements - before <= 3);
    CHECK(stage.world.views["user59@localhost/r"].stanzas.back().child("body", xmpp::ns::client).text() == "hi");
}

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

TEST_CASE("§7.8.2: who is banned is not invited, and only who may know it is told; nor does an outcast decline") {
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
        history.add("<message from='coven@groups.localhost/crone' type='groupchat'><body>" + std::string(10'000, 'x') + "</body></message>", now, 20);
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

TEST_CASE("the list of those who belong to a room has an end; bans and removals pass") {
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

TEST_CASE("a private message goes to the occupant's sessions alone") {
    Stage stage;
    stage.open();
    stage.join("hag@localhost/0", "hag");
    stage.take("<message type='chat' from='crone@localhost/0' to='" + address + "/hag'><body>psst</body></message>");
    CHECK(stage.world.views["hag@localhost/0"].stanzas.back().child("body", xmpp::ns::client).text() == "psst");
    CHECK(stage.world.routed == 0);   // the route has other ways when that session is gone
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
