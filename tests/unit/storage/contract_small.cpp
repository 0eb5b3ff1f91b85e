// SPDX-License-Identifier: MIT
// The contract of rosters, private data, block lists, registrations and secrets, held against every backend.
#include <algorithm>

#include "tests/unit/storage/backends.h"

using namespace tests;
using storage::RosterItem;
using storage::Subscription;

TEMPLATE_TEST_CASE("a roster item is loaded as it was put, and put again replaces it", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& rosters = o.storage->rosters();
    const AccountId id = o.create("romeo@montague.example");
    RosterItem item;
    item.jid = jid("juliet@capulet.example");
    item.name = "Juliet 🌹 'the sun'";
    item.subscription = Subscription::both;
    item.ask = item.approved = item.pending_in = item.removed = true;
    item.in_roster = false;
    item.request = "<presence type='subscribe'/>";
    item.groups = {"Friends", "", "a:b;1:", std::string{"\x1f\n\0", 3}, "Fr\xC3\xA9res"};
    item.version = 9007199254740993;
    must(o.run(rosters.put(id, item)));
    auto loaded = o.get(rosters.load(id));
    REQUIRE(loaded.size() == 1);
    CHECK(loaded[0].jid == item.jid);
    CHECK(loaded[0].name == item.name);
    CHECK(loaded[0].subscription == Subscription::both);
    CHECK(loaded[0].ask);
    CHECK(loaded[0].approved);
    CHECK(loaded[0].pending_in);
    CHECK(loaded[0].removed);
    CHECK_FALSE(loaded[0].in_roster);
    CHECK(loaded[0].request == item.request);
    CHECK(loaded[0].groups == item.groups);
    CHECK(loaded[0].version == item.version);

    RosterItem second;
    second.jid = item.jid;
    must(o.run(rosters.put(id, second)));
    loaded = o.get(rosters.load(id));
    REQUIRE(loaded.size() == 1);
    CHECK(loaded[0].name.empty());
    CHECK(loaded[0].groups.empty());
    CHECK(loaded[0].in_roster);
    must(o.run(rosters.forget(id, item.jid)));
    must(o.run(rosters.forget(id, item.jid)));
    CHECK(o.get(rosters.load(id)).empty());
    const auto missing = o.run(rosters.put(id + 99, item));
    REQUIRE_FALSE(missing.ok());
    CHECK(missing.error().kind == Kind::not_found);
}

// Case, blanks at the end, accents and length must all make a difference, however a database likes to
// compare.
TEMPLATE_TEST_CASE("addresses that differ in anything are different keys", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId id = o.create("romeo@montague.example");
    const std::string local(1000, 'l'), resource(1000, 'r');
    const std::vector<std::string> addresses{"a@x.example/R",
                                             "a@x.example/r",
                                             "a@x.example/r ",
                                             "a@x.example/r  ",
                                             "a@x.example",
                                             "x.example",
                                             "x.example/r",
                                             "a@x.example/\xC3\xA9",
                                             "a@x.example/e",
                                             "a@x.example/\xC3\x89",
                                             local + "@x.example/" + resource,
                                             local + "@x.example/" + resource + "2",
                                             local + "l@x.example/" + resource};
    std::set<std::string> expected;
    for (const std::string& address : addresses) {
        const Jid made = jid(address);
        expected.insert(made.text());
        for (int twice = 0; twice < 2; ++twice) {
            RosterItem item;
            item.jid = made;
            item.name = address;
            must(o.run(o.storage->rosters().put(id, item)));
            must(o.run(o.storage->block_lists().change(id, {made, made}, {})));
            must(o.run(o.storage->private_xml().store(id, address, address)));
        }
    }
    const auto items = o.get(o.storage->rosters().load(id));
    std::set<std::string> roster, blocked;
    for (const RosterItem& item : items) {
        CHECK(item.jid.text() == item.name);
        roster.insert(item.jid.text());
    }
    for (const Jid& made : o.get(o.storage->block_lists().load(id))) blocked.insert(made.text());
    CHECK(items.size() == addresses.size());
    CHECK(roster == expected);
    CHECK(blocked == expected);
    for (const std::string& address : addresses)
        CHECK(o.get(o.storage->private_xml().load(id, address)) == address);
    must(o.run(o.storage->rosters().forget(id, jid("a@x.example/r"))));
    must(o.run(o.storage->block_lists().change(id, {}, {jid("a@x.example/r")})));
    CHECK(o.get(o.storage->rosters().load(id)).size() == addresses.size() - 1);
    CHECK(o.get(o.storage->block_lists().load(id)).size() == addresses.size() - 1);
}

TEMPLATE_TEST_CASE("private XML and vCards are stored, replaced and removed", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId id = o.create("romeo@montague.example"), other = o.create("juliet@capulet.example");
    auto& xml = o.storage->private_xml();
    auto& vcards = o.storage->vcards();
    CHECK(o.get(xml.load(id, "k")).empty());
    CHECK(o.get(vcards.load(id)).empty());
    const std::string large(500000, 'v');
    must(o.run(xml.store(id, "k", "<k>1</k>")));
    must(o.run(xml.store(id, "k", large)));
    must(o.run(xml.store(id, "k2", "<k2/>")));
    must(o.run(vcards.store(id, "<vCard/>")));
    must(o.run(vcards.store(id, large)));
    CHECK(o.get(xml.load(id, "k")) == large);
    CHECK(o.get(xml.load(id, "k2")) == "<k2/>");
    CHECK(o.get(xml.load(other, "k")).empty());
    CHECK(o.get(vcards.load(id)) == large);
    CHECK(o.get(vcards.load(other)).empty());
    must(o.run(xml.store(id, "k", "")));
    must(o.run(vcards.store(id, "")));
    CHECK(o.get(xml.load(id, "k")).empty());
    CHECK(o.get(xml.load(id, "k2")) == "<k2/>");
    CHECK(o.get(vcards.load(id)).empty());
}

TEMPLATE_TEST_CASE("a block list is changed as a whole and cleared", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& lists = o.storage->block_lists();
    const AccountId id = o.create("romeo@montague.example");
    std::vector<Jid> many;
    for (int i = 0; i < 450; ++i) many.push_back(jid("spam" + std::to_string(i) + "@x.example"));
    must(o.run(lists.change(id, many, {})));
    CHECK(o.get(lists.load(id)).size() == 450);
    must(o.run(lists.change(id, {jid("tybalt@capulet.example")}, {many[3], jid("nobody@x.example")})));
    CHECK(o.get(lists.load(id)).size() == 450);
    must(o.run(lists.change(id, {many[0]}, {many[0]})));  // both at once: it is blocked afterwards
    CHECK(o.get(lists.load(id)).size() == 450);
    const auto missing = o.run(lists.change(id + 99, {many[0]}, {}));
    REQUIRE_FALSE(missing.ok());
    CHECK(missing.error().kind == Kind::not_found);
    must(o.run(lists.clear(id)));
    CHECK(o.get(lists.load(id)).empty());
}

TEMPLATE_TEST_CASE("a registration gives so many tries until it expires or is used", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& registrations = o.storage->registrations();
    storage::PendingRegistration made;
    made.id = "r1";
    made.phone = "+4915112345678";
    made.pin_salt = std::string{"\0s", 2};
    made.pin_hash = std::string{"\xff\0h", 3};
    made.tries_left = 3;
    made.created = at(100);
    made.expires = at(200);
    must(o.run(registrations.create(made)));
    const auto twice = o.run(registrations.create(made));
    REQUIRE_FALSE(twice.ok());
    CHECK(twice.error().kind == Kind::conflict);

    const auto found = o.get(registrations.find("r1"));
    REQUIRE(found);
    CHECK(found->phone == made.phone);
    CHECK(found->pin_salt == made.pin_salt);
    CHECK(found->pin_hash == made.pin_hash);
    CHECK(found->tries_left == 3);
    CHECK(found->created == at(100));
    CHECK(found->expires == at(200));
    CHECK_FALSE(found->used);
    CHECK_FALSE(o.get(registrations.find("r2")));

    CHECK_FALSE(o.get(registrations.take_try("r1", at(200))));  // expired
    CHECK_FALSE(o.get(registrations.take_try("r2", at(150))));  // unknown
    CHECK(o.get(registrations.take_try("r1", at(199))) == 2U);
    CHECK(o.get(registrations.take_try("r1", at(199))) == 1U);
    CHECK(o.get(registrations.take_try("r1", at(199))) == 0U);
    CHECK_FALSE(o.get(registrations.take_try("r1", at(199))));
    made.id = "r3";
    made.created = at(110);
    must(o.run(registrations.create(made)));
    CHECK(o.get(registrations.use("r3")));
    CHECK_FALSE(o.get(registrations.use("r3")));
    CHECK_FALSE(o.get(registrations.use("r2")));
    CHECK(o.get(registrations.find("r3"))->used);
    CHECK_FALSE(o.get(registrations.take_try("r3", at(150))));

    auto recent = o.get(registrations.recent(made.phone, at(100)));
    CHECK(recent.count == 2);
    CHECK(recent.last == at(110));
    CHECK(o.get(registrations.recent(made.phone, at(101))).count == 1);
    CHECK(o.get(registrations.recent(made.phone, at(111))).count == 0);
    CHECK(o.get(registrations.recent(made.phone, at(111))).last == Time{});
    CHECK(o.get(registrations.recent("+4915100000000", at(0))).count == 0);
    must(o.run(registrations.remove_before(at(110))));
    CHECK_FALSE(o.get(registrations.find("r1")));
    CHECK(o.get(registrations.find("r3")));
}

TEMPLATE_TEST_CASE("of many who take the last tries at once, only so many get one", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    storage::PendingRegistration made;
    made.id = "r";
    made.tries_left = 5;
    made.expires = at(1000);
    must(o.run(o.storage->registrations().create(made)));
    std::multiset<std::uint32_t> left;
    int refused = 0, used = 0, ended = 0;
    const auto take = [&]() -> storage::Task<void> {
        auto task = o.storage->registrations().take_try("r", at(1));
        auto result = co_await task;
        if (result.ok() && *result)
            left.insert(**result);
        else
            ++refused;
    };
    const auto use = [&]() -> storage::Task<void> {
        auto task = o.storage->registrations().use("r");
        auto result = co_await task;
        if (result.ok() && *result) ++used;
    };
    for (int i = 0; i < 20; ++i) storage::detach(take(), [&](std::exception_ptr) { ++ended; });
    REQUIRE(o.executor.run_until([&] { return ended == 20; }));
    CHECK(left == std::multiset<std::uint32_t>{0, 1, 2, 3, 4});
    CHECK(refused == 15);
    for (int i = 0; i < 20; ++i) storage::detach(use(), [&](std::exception_ptr) { ++ended; });
    REQUIRE(o.executor.run_until([&] { return ended == 40; }));
    CHECK(used == 1);
}

TEMPLATE_TEST_CASE("a secret is the first candidate, for ever", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const std::string secret{"\0\xff secret", 9};
    CHECK(o.get(o.storage->secrets().load_or_store("a", secret)) == secret);
    CHECK(o.get(o.storage->secrets().load_or_store("a", "other")) == secret);
    CHECK(o.get(o.storage->secrets().load_or_store("b", "other")) == "other");
}

TEMPLATE_TEST_CASE("a request to be linked is approved once, and used once, in time", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& requests = o.storage->link_requests();
    const Jid romeo = jid("romeo@montague.example");
    storage::LinkRequest made;
    made.id = "i1";
    made.code = "c1";
    made.device_name = "Laptop";
    made.software = "Dino 0.4";
    made.identity_key = "a2V5";
    made.omemo_id = "27182";
    made.created = at(100);
    made.expires = at(200);
    must(o.run(requests.create(made)));
    made.id = "i2";
    const auto taken = o.run(requests.create(made));
    REQUIRE_FALSE(taken.ok());
    CHECK(taken.error().kind == Kind::conflict);

    CHECK_FALSE(o.get(requests.find("c1")));
    CHECK_FALSE(o.get(requests.find_by_code("i1")));
    const auto found = o.get(requests.find_by_code("c1"));
    REQUIRE(found);
    CHECK(found->id == "i1");
    CHECK(found->device_name == made.device_name);
    CHECK(found->software == made.software);
    CHECK(found->identity_key == made.identity_key);
    CHECK(found->omemo_id == made.omemo_id);
    CHECK(found->created == at(100));
    CHECK(found->expires == at(200));
    CHECK(found->account.empty());
    CHECK_FALSE(found->used);

    CHECK_FALSE(o.get(requests.use("i1", at(150))));                             // nobody approved it
    CHECK_FALSE(o.get(requests.approve("c1", romeo, "phone", "sig", at(200))));      // too late
    CHECK(o.get(requests.approve("c1", romeo, "phone", "sig", at(199))));
    CHECK_FALSE(o.get(requests.approve("c1", jid("juliet@capulet.example"), "other", "", at(150))));         // by one account alone
    const auto approved = o.get(requests.find("i1"));
    CHECK(approved->account == romeo);
    CHECK(approved->approved_by == "phone");
    CHECK(approved->signature == "sig");
    CHECK_FALSE(o.get(requests.use("i1", at(200))));
    CHECK(o.get(requests.use("i1", at(199))));
    CHECK_FALSE(o.get(requests.use("i1", at(199))));
    CHECK(o.get(requests.find("i1"))->used);

    must(o.run(requests.remove_before(at(100))));
    CHECK(o.get(requests.find("i1")));
    must(o.run(requests.remove_before(at(101))));
    CHECK_FALSE(o.get(requests.find("i1")));
}

TEMPLATE_TEST_CASE("a client has a token and perhaps a newer one, and they go with their device", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& tokens = o.storage->fast_tokens();
    const AccountId id = o.create("romeo@montague.example", {device("phone"), device("tablet")});
    const auto token = [](std::string name, std::string client = "c1", std::string of = "phone") {
        storage::FastToken made;
        made.client = std::move(client);
        made.device = std::move(of);
        made.mechanism = "HT-SHA-256-NONE";
        made.seed = std::move(name);
        made.expires = at(500);
        return made;
    };
    const auto names = [&](const std::string& client = "c1") {
        std::vector<std::string> all;
        for (const storage::FastToken& each : o.get(tokens.find(id, client))) all.push_back(each.seed);
        return all;
    };
    using Names = std::vector<std::string>;
    CHECK(names().empty());
    must(o.run(tokens.put(id, token("t1"))));
    must(o.run(tokens.put(id, token("other", "c2", "tablet"))));
    const auto found = o.get(tokens.find(id, "c1"));
    REQUIRE(found.size() == 1);
    CHECK(found[0].device == "phone");
    CHECK(found[0].mechanism == "HT-SHA-256-NONE");
    CHECK(found[0].expires == at(500));

    CHECK_FALSE(o.get(tokens.use(id, "c1", "unknown", std::nullopt)));
    CHECK_FALSE(o.get(tokens.use(id, "c2", "t1", std::nullopt)));
    CHECK(o.get(tokens.use(id, "c1", "t1", 1)));
    CHECK_FALSE(o.get(tokens.use(id, "c1", "t1", 1)));   // a replay
    CHECK(o.get(tokens.use(id, "c1", "t1", 5)));
    CHECK_FALSE(o.get(tokens.use(id, "c1", "t1", 4)));
    CHECK(o.get(tokens.use(id, "c1", "t1", std::nullopt)));

    must(o.run(tokens.put(id, token("t2"))));
    CHECK(names() == Names{"t2", "t1"});
    must(o.run(tokens.put(id, token("t3"))));            // t2 was never used
    CHECK(names() == Names{"t3", "t1"});
    CHECK(o.get(tokens.use(id, "c1", "t1", std::nullopt)));   // the new one may not have arrived
    CHECK(names() == Names{"t3", "t1"});
    CHECK(o.get(tokens.use(id, "c1", "t3", 1)));
    CHECK(names() == Names{"t3"});
    must(o.run(tokens.remove(id, "c1", "t1")));
    CHECK(names() == Names{"t3"});
    must(o.run(tokens.remove(id, "c1", "t3")));
    CHECK(names().empty());

    must(o.run(tokens.put(id, token("t4"))));
    must(o.run(o.storage->accounts().remove_device(id, "phone")));
    CHECK(names().empty());
    CHECK(names("c2") == Names{"other"});
    const auto orphan = o.run(tokens.put(id, token("t5")));
    CHECK_FALSE(orphan.ok());
}

TEMPLATE_TEST_CASE("tokens expire, and a device has so many clients at most", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& tokens = o.storage->fast_tokens();
    const AccountId id = o.create("romeo@montague.example", {device("phone"), device("tablet")});
    const auto put = [&](const std::string& client, const std::string& of, int expires) {
        storage::FastToken token;
        token.client = client;
        token.device = of;
        token.mechanism = "HT-SHA-256-NONE";
        token.seed = "seed of " + client;
        token.expires = at(expires);
        must(o.run(tokens.put(id, token)));
    };
    using Devices = std::vector<std::string>;
    CHECK(o.get(tokens.devices(id, at(0))).empty());
    put("c", "tablet", 50);
    for (int n = 0; n < 25; ++n) put("c" + std::to_string(n), "phone", 100 + n);
    for (int n = 0; n < 25; ++n) CHECK(o.get(tokens.find(id, "c" + std::to_string(n))).size() == (n < 5 ? 0 : 1));
    CHECK(o.get(tokens.find(id, "c")).size() == 1);
    auto devices = o.get(tokens.devices(id, at(0)));
    std::ranges::sort(devices);
    CHECK(devices == Devices{"phone", "tablet"});
    CHECK(o.get(tokens.devices(id, at(50))) == Devices{"phone"});
    CHECK(o.get(tokens.devices(id + 1, at(0))).empty());
    must(o.run(tokens.remove_expired(at(110))));
    CHECK(o.get(tokens.find(id, "c")).empty());
    CHECK(o.get(tokens.find(id, "c10")).empty());
    CHECK(o.get(tokens.find(id, "c11")).size() == 1);
}

TEMPLATE_TEST_CASE("sessions are stored for the next server until it has them, and go with their device", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& sessions = o.storage->stored_sessions();
    const AccountId id = o.create("romeo@montague.example", {device("phone"), device("tablet")});
    const auto session = [id](const std::string& resource, std::string of, std::string state) {
        return storage::StoredSession{id, jid("romeo@montague.example/" + resource), std::move(of), std::move(state)};
    };
    CHECK(o.get(sessions.all()).empty());
    const std::string big(300000, 'x');
    must(o.run(sessions.put({session("orchard", "phone", "an older one")})));
    must(o.run(sessions.put({session("orchard", "phone", "4:state"), session("Orchard 🌹", "phone", big)})));
    must(o.run(sessions.put({session("street", "tablet", "s"), session("nowhere", "revoked", "s")})));   // no such device
    must(o.run(o.storage->accounts().remove_device(id, "tablet")));
    auto taken = o.get(sessions.all());
    REQUIRE(taken.size() == 2);
    if (taken[0].state == big) std::swap(taken[0], taken[1]);
    CHECK(taken[0].account == id);
    CHECK(taken[0].jid == jid("romeo@montague.example/orchard"));
    CHECK(taken[0].device == "phone");
    CHECK(taken[0].state == "4:state");
    CHECK(taken[1].jid == jid("romeo@montague.example/Orchard 🌹"));
    CHECK(taken[1].state == big);
    CHECK(o.get(sessions.all()).size() == 2);
    must(o.run(sessions.clear()));
    CHECK(o.get(sessions.all()).empty());
    must(o.run(sessions.put({})));
    CHECK(o.get(sessions.all()).empty());
}

TEMPLATE_TEST_CASE("push registrations: one for each service and node, gone with their device", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& registrations = o.storage->push_registrations();
    const AccountId id = o.create("romeo@montague.example", {device("phone"), device("tablet")});
    const AccountId other = o.create("juliet@capulet.example", {device("phone")});
    const auto registration = [](const std::string& service, std::string node, std::string of, std::string options = "") {
        storage::PushRegistration made;
        made.service = *Jid::parse(service);
        made.node = std::move(node);
        made.device = std::move(of);
        made.resource = "r\xC3\xA9";
        made.options = std::move(options);
        return made;
    };
    const auto nodes = [&](AccountId account) {
        std::vector<std::string> all;
        for (const auto& each : o.get(registrations.find(account))) all.push_back(each.service.text() + "/" + each.node + "/" + each.device);
        return all;
    };
    using Nodes = std::vector<std::string>;
    CHECK(nodes(id).empty());
    must(o.run(registrations.put(id, registration("push.example", "n1", "phone", "<x/>"))));
    must(o.run(registrations.put(id, registration("push.example", std::string(1024, 'n'), "phone"))));
    must(o.run(registrations.put(id, registration("push.example", "", "tablet"))));
    must(o.run(registrations.put(other, registration("push.example", "n1", "phone"))));
    CHECK(o.get(registrations.find(id)).size() == 3);
    must(o.run(registrations.put(id, registration("push.example", "n1", "tablet", "<y/>"))));   // the last one counts
    const auto found = o.get(registrations.find(id));
    REQUIRE(found.size() == 3);
    const auto replaced = std::ranges::find(found, "n1", &storage::PushRegistration::node);
    REQUIRE(replaced != found.end());
    CHECK(replaced->device == "tablet");
    CHECK(replaced->options == "<y/>");
    CHECK(replaced->resource == "r\xC3\xA9");
    must(o.run(registrations.remove(id, *Jid::parse("push.example"), "")));
    must(o.run(registrations.remove(id, *Jid::parse("push.example"), "unknown")));
    must(o.run(registrations.remove(id, *Jid::parse("push.example"), std::string(1024, 'n'))));
    CHECK(nodes(id) == Nodes{"push.example/n1/tablet"});
    must(o.run(o.storage->accounts().remove_device(id, "tablet")));
    CHECK(nodes(id).empty());
    CHECK(nodes(other) == Nodes{"push.example/n1/phone"});
}

TEMPLATE_TEST_CASE("private XML of an account is there all at once, too", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& elements = o.storage->private_xml();
    const AccountId id = o.create("romeo@montague.example"), other = o.create("juliet@capulet.example");
    CHECK(o.get(elements.all(id)).empty());
    must(o.run(elements.store(id, "b x", "<x xmlns='b'/>")));
    must(o.run(elements.store(id, "a x", "<x xmlns='a'/>")));
    must(o.run(elements.store(other, "c x", "<x xmlns='c'/>")));
    CHECK(o.get(elements.all(id)) == std::vector<std::string>{"<x xmlns='a'/>", "<x xmlns='b'/>"});
}

TEMPLATE_TEST_CASE("a number is found while its owner wants that and the account is not disabled", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& numbers = o.storage->findable_numbers();
    const AccountId romeo = o.create("4911@montague.example"), juliet = o.create("4922@montague.example");
    const auto found = [&](std::vector<std::string> wanted) {
        std::vector<std::string> all;
        for (const auto& each : o.get(numbers.find(std::move(wanted)))) all.push_back(each.number + " " + each.jid.text());
        return all;
    };
    using Names = std::vector<std::string>;
    CHECK(found({"+4911", "+4922"}).empty());
    CHECK_FALSE(o.get(numbers.has(romeo)));
    must(o.run(numbers.put(romeo, "+4911")));
    must(o.run(numbers.put(romeo, "+4911")));
    must(o.run(numbers.put(juliet, "+4922")));
    CHECK(o.get(numbers.has(romeo)));
    CHECK(found({"+4922", "+4933", "+4911"}) == Names{"+4922 4922@montague.example", "+4911 4911@montague.example"});
    CHECK(found({"+491", "+49112", "%"}).empty());
    must(o.run(o.storage->accounts().set_disabled(juliet, true)));
    CHECK(found({"+4911", "+4922"}) == Names{"+4911 4911@montague.example"});
    must(o.run(numbers.remove(romeo)));
    CHECK(found({"+4911"}).empty());
    CHECK_FALSE(o.get(numbers.has(romeo)));
    must(o.run(numbers.put(romeo, "+4911")));
    must(o.run(o.storage->accounts().remove(romeo)));
    CHECK(found({"+4911"}).empty());
}
