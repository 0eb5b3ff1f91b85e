// SPDX-License-Identifier: MIT
// The contract of storage::Accounts, held against every backend.
#include "storage/sql/migrations.h"
#include "tests/unit/storage/backends.h"

using namespace tests;

namespace {

const std::string binary{"\0\x01\xff\xfe'\"\\%_\n", 10};

Account rich_account() {
    Account made = account("romeo@montague.example");
    made.phone = "+4915112345678";
    made.salt = binary;
    made.iterations = 4294967295U;
    made.created = at(1700000000123456);
    made.disabled = true;
    made.last_logout = at(1700000000999999);
    made.last_status = "gone to Mantua 🗡️ ' \" \\ % \xC3\xA9";
    Device phone = device("phone", 12, at(2));
    phone.name = "Romeo's phone ☎️";
    phone.role = storage::DeviceRole::primary;
    for (std::size_t hash = 0; hash < storage::hash_count; ++hash) {
        phone.verifiers[hash].stored_key = binary + std::to_string(hash);
        phone.verifiers[hash].server_key = std::string(64, static_cast<char>(hash));
    }
    phone.last_seen = at(99);
    Device laptop = device("laptop", 5, at(1));
    laptop.role = storage::DeviceRole::companion;
    made.devices = {phone, laptop};
    return made;
}

}  // namespace

TEMPLATE_TEST_CASE("an account is found as it was created, its oldest device first", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const Account made = rich_account();
    const AccountId id = o.get(o.storage->accounts().create(made));
    const auto found = o.get(o.storage->accounts().find(jid("romeo@montague.example/orchard")));
    REQUIRE(found);
    CHECK(found->id == id);
    CHECK(found->jid.text() == "romeo@montague.example");
    CHECK(found->jid.domainpart() == "montague.example");
    CHECK(found->phone == made.phone);
    CHECK(found->salt == made.salt);
    CHECK(found->iterations == made.iterations);
    CHECK(found->created == made.created);
    CHECK(found->disabled);
    CHECK(found->last_logout == made.last_logout);
    CHECK(found->last_status == made.last_status);
    REQUIRE(found->devices.size() == 2);
    CHECK(found->devices[0].id == "laptop");
    CHECK(found->devices[0].role == storage::DeviceRole::companion);
    const Device& phone = found->devices[1];
    CHECK(phone.id == "phone");
    CHECK(phone.name == made.devices[0].name);
    CHECK(phone.role == storage::DeviceRole::primary);
    CHECK(phone.cursor == 12);
    CHECK(phone.created == at(2));
    CHECK(phone.last_seen == at(99));
    for (std::size_t hash = 0; hash < storage::hash_count; ++hash) {
        CHECK(phone.verifiers[hash].stored_key == made.devices[0].verifiers[hash].stored_key);
        CHECK(phone.verifiers[hash].server_key == made.devices[0].verifiers[hash].server_key);
    }
    CHECK_FALSE(o.get(o.storage->accounts().find(jid("romeo@montague.example.org"))));
    CHECK_FALSE(o.get(o.storage->accounts().find(jid("rome@montague.example"))));
}

TEMPLATE_TEST_CASE("an account is created once, whatever its address", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const std::string longest(1023, 'x');
    const std::vector<std::string> addresses{"romeo@montague.example",
                                             "rom\xC3\xA9o@montague.example",
                                             "\xF0\x9F\x98\x80.example" /* not allowed: skipped */,
                                             longest + "@montague.example",
                                             longest.substr(1) + "@montague.example",
                                             "romeo@capulet.example",
                                             "montague.example"};
    std::set<AccountId> ids;
    std::size_t made = 0;
    for (const std::string& address : addresses) {
        if (!Jid::parse(address)) continue;
        ++made;
        ids.insert(o.create(address, {device("d")}));
        const auto again = o.run(o.storage->accounts().create(account(address)));
        REQUIRE_FALSE(again.ok());
        CHECK(again.error().kind == Kind::conflict);
        CHECK(again.error().text.find("romeo") == std::string::npos);
        CHECK(o.get(o.storage->accounts().find(jid(address)))->jid.text() == address);
    }
    CHECK(ids.size() == made);
    CHECK(o.get(o.storage->accounts().count("")) == made);
}

TEMPLATE_TEST_CASE("an account that fails half way leaves nothing behind", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const auto result =
        o.run(o.storage->accounts().create(account("romeo@montague.example", {device("a"), device("a")})));
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().kind == Kind::conflict);
    CHECK_FALSE(o.get(o.storage->accounts().find(jid("romeo@montague.example"))));
}

TEMPLATE_TEST_CASE("thousands of accounts are created at once, and those that exist are left alone",
                   "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    Account first = account("user7@a.example", {device("old")});
    o.get(o.storage->accounts().create(first));
    std::vector<Account> accounts;
    for (int i = 0; i < 2345; ++i)
        accounts.push_back(account("user" + std::to_string(i) + "@a.example", {device("new", 3)}));
    accounts.push_back(account("user1@a.example"));  // twice in one call
    accounts.push_back(account("user1@b.example", {device("x"), device("y")}));
    CHECK(o.get(o.storage->accounts().create_all(accounts)) == 2345);
    CHECK(o.get(o.storage->accounts().create_all(accounts)) == 0);
    CHECK(o.get(o.storage->accounts().create_all({})) == 0);
    CHECK(o.get(o.storage->accounts().count("a.example")) == 2345);
    CHECK(o.get(o.storage->accounts().count("b.example")) == 1);
    CHECK(o.get(o.storage->accounts().count("c.example")) == 0);
    CHECK(o.get(o.storage->accounts().count("")) == 2346);
    CHECK(o.get(o.storage->accounts().find(jid("user7@a.example")))->devices.at(0).id == "old");
    CHECK(o.get(o.storage->accounts().find(jid("user1@a.example")))->devices.size() == 1);
    CHECK(o.get(o.storage->accounts().find(jid("user1@b.example")))->devices.size() == 2);
    CHECK(o.get(o.storage->accounts().find(jid("user2344@a.example")))->devices.at(0).cursor == 3);
}

TEMPLATE_TEST_CASE("accounts are listed page by page in the order of their addresses", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    std::vector<std::string> expected;
    for (int i = 0; i < 25; ++i) {
        expected.push_back("u" + std::to_string(i) + "@a.example");
        o.create(expected.back(), {device("one"), device("two")});
        o.create("u" + std::to_string(i) + "@b.example");
    }
    expected.push_back("u!@a.example");  // '!' comes before '@', '_' behind it
    expected.push_back("u_@a.example");
    o.create("u!@a.example");
    o.create("u_@a.example");
    std::sort(expected.begin(), expected.end());
    std::vector<std::string> listed;
    for (std::string after;;) {
        const auto page = o.get(o.storage->accounts().list("a.example", after, 7));
        if (page.empty()) break;
        CHECK(page.size() <= 7);
        for (const Account& a : page) {
            listed.push_back(a.jid.text());
            CHECK((a.devices.size() == 2 || a.jid.localpart() == "u!" || a.jid.localpart() == "u_"));
        }
        after = listed.back();
    }
    CHECK(listed == expected);
    CHECK(o.get(o.storage->accounts().list("", "", 1000)).size() == 52);
    CHECK(o.get(o.storage->accounts().list("a.example", "", 0)).empty());
}

TEMPLATE_TEST_CASE("changes to an account that is not there are not_found, and doing one twice is none",
                   "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& accounts = o.storage->accounts();
    const AccountId id = o.create("romeo@montague.example", {device("phone")});
    const AccountId none = id + 1000;
    for (int twice = 0; twice < 2; ++twice) {
        CHECK(o.run(accounts.set_disabled(id, true)).ok());
        CHECK(o.run(accounts.set_last_logout(id, at(77), "bye")).ok());
        CHECK(o.run(accounts.set_device_seen(id, "phone", at(88))).ok());
    }
    const auto found = o.get(accounts.find(jid("romeo@montague.example")));
    CHECK(found->disabled);
    CHECK(found->last_logout == at(77));
    CHECK(found->last_status == "bye");
    CHECK(found->devices.at(0).last_seen == at(88));
    must(o.run(accounts.set_disabled(id, false)));
    CHECK_FALSE(o.get(accounts.find(jid("romeo@montague.example")))->disabled);

    const auto is_not_found = [&]<class T>(storage::Task<storage::Result<T>> task) {
        const auto result = o.run(std::move(task));
        return !result.ok() && result.error().kind == Kind::not_found;
    };
    CHECK(is_not_found(accounts.set_disabled(none, true)));
    CHECK(is_not_found(accounts.set_last_logout(none, at(1), "")));
    CHECK(is_not_found(accounts.set_device_seen(id, "laptop", at(1))));
    CHECK(is_not_found(accounts.set_device_software(id, "laptop", "Dino")));
    CHECK(is_not_found(accounts.set_device_networks(id, "laptop", "10.0.0.0/8")));
    CHECK(is_not_found(accounts.add_device(none, device("phone"), 5)));
    CHECK(is_not_found(accounts.remove_device(id, "laptop")));
    CHECK(is_not_found(accounts.replace_devices(none, storage::Salt{"s", 1}, device("phone"))));
    CHECK(is_not_found(accounts.remove(none)));
}

TEMPLATE_TEST_CASE("devices come and go, and a new only device starts where the slowest one was",
                   "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& accounts = o.storage->accounts();
    const AccountId id = o.create("romeo@montague.example", {device("phone", 30, at(1))});
    CHECK(o.get(accounts.add_device(id, device("laptop", 20, at(2)), 2)));
    CHECK_FALSE(o.get(accounts.add_device(id, device("tablet"), 2)));
    const auto again = o.run(accounts.add_device(id, device("laptop"), 5));
    REQUIRE_FALSE(again.ok());
    CHECK(again.error().kind == Kind::conflict);
    o.storage->messages().advance_cursor(id, "laptop", 25);  // counts, though it may not be written yet

    Device fresh = device("fresh", 1000, at(3));
    must(o.run(accounts.replace_devices(id, storage::Salt{"new salt", 10000}, fresh)));
    auto found = o.get(accounts.find(jid("romeo@montague.example")));
    REQUIRE(found->devices.size() == 1);
    CHECK(found->devices[0].id == "fresh");
    CHECK(found->devices[0].cursor == 25);
    CHECK(found->salt == "new salt");
    CHECK(found->iterations == 10000);

    must(o.run(accounts.remove_device(id, "fresh")));
    CHECK(o.get(accounts.find(jid("romeo@montague.example")))->devices.empty());
    must(o.run(accounts.replace_devices(id, storage::Salt{"s", 1}, device("first", 7))));
    CHECK(o.get(accounts.find(jid("romeo@montague.example")))->devices.at(0).cursor == 7);
}

TEMPLATE_TEST_CASE("what is known of a device is kept as it was given", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& accounts = o.storage->accounts();
    const AccountId id = o.create("romeo@montague.example", {device("phone")});
    Device laptop = device("laptop", 0, at(2));
    laptop.role = storage::DeviceRole::companion;
    laptop.name = "Laptop \U0001F339";
    laptop.software = "Gajim 1.7";
    laptop.linked_by = "phone";
    laptop.identity_key = "BQx=";
    laptop.identity_signature = "s1g=";
    laptop.omemo_id = "31415";
    laptop.networks = "10.0.0.0/8 2001:db8::/32";
    CHECK(o.get(accounts.add_device(id, laptop, 5)));
    const auto shown = [&] { return o.get(accounts.find(jid("romeo@montague.example")))->devices.at(1); };
    const Device found = shown();
    CHECK(found.name == laptop.name);
    CHECK(found.role == laptop.role);
    CHECK(found.software == laptop.software);
    CHECK(found.linked_by == laptop.linked_by);
    CHECK(found.identity_key == laptop.identity_key);
    CHECK(found.identity_signature == laptop.identity_signature);
    CHECK(found.omemo_id == laptop.omemo_id);
    CHECK(found.networks == laptop.networks);
    Device orphan = device("orphan");
    orphan.linked_by = "gone";
    const auto refused = o.run(accounts.add_device(id, orphan, 5));
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().kind == Kind::not_found);
    CHECK(o.get(accounts.find(jid("romeo@montague.example")))->devices.size() == 2);
    must(o.run(accounts.set_device_networks(id, "laptop", "")));
    CHECK(shown().networks.empty());
    must(o.run(accounts.set_device_software(id, "laptop", "Dino")));
    CHECK(shown().software == "Dino");
}

// However many come at once, there are never more than there may be.
TEMPLATE_TEST_CASE("devices that are added at the same moment keep to the limit", "[contract]", tests::SqliteFile, tests::Maria) {
    Opened<TestType> o;
    const AccountId id = o.create("romeo@montague.example", {device("phone")});
    constexpr int comers = 8;
    int added = 0, answered = 0;
    for (int n = 0; n < comers; ++n) {
        storage::detach(
            [](auto& accounts, AccountId account, int number, int& good, int& all) -> storage::Task<void> {
                auto adding = accounts.add_device(account, device("d" + std::to_string(number)), 5);
                const auto result = co_await adding;
                good += must(result) ? 1 : 0;
                ++all;
            }(o.storage->accounts(), id, n, added, answered),
            [](const std::exception_ptr& failed) { CHECK_FALSE(failed); });
    }
    REQUIRE(o.executor.run_until([&] { return answered == comers; }));
    CHECK(added == 4);
    CHECK(o.get(o.storage->accounts().find(jid("romeo@montague.example")))->devices.size() == 5);
}

TEMPLATE_TEST_CASE("removing an account removes everything of it and nothing else", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& s = *o.storage;
    const std::vector<AccountId> both{o.create("romeo@montague.example", {device("phone")}),
                                      o.create("juliet@capulet.example", {device("phone")})};
    for (const AccountId id : both) {
        storage::RosterItem item;
        item.jid = jid("nurse@capulet.example");
        must(o.run(s.rosters().put(id, item)));
        must(o.run(s.private_xml().store(id, "k", "<k/>")));
        must(o.run(s.vcards().store(id, "<vCard/>")));
        must(o.run(s.block_lists().change(id, {jid("tybalt@capulet.example")}, {})));
        for (LogId n = 1; n <= 3; ++n) s.messages().append(entry(id, n), {});
        s.messages().mark_delivered(id, "phone", 2);
    }
    must(o.run(s.accounts().remove(both[0])));  // the appends before it do not come in behind it
    const auto late = o.append(entry(both[0], 9));
    REQUIRE_FALSE(late.ok());
    CHECK(late.error().kind == Kind::not_found);
    CHECK_FALSE(o.get(s.accounts().find(jid("romeo@montague.example"))));
    CHECK(o.get(s.rosters().load(both[0])).empty());
    CHECK(o.get(s.private_xml().load(both[0], "k")).empty());
    CHECK(o.get(s.vcards().load(both[0])).empty());
    CHECK(o.get(s.block_lists().load(both[0])).empty());
    CHECK(o.ids(both[0]).empty());

    CHECK(o.get(s.rosters().load(both[1])).size() == 1);
    CHECK(o.get(s.private_xml().load(both[1], "k")) == "<k/>");
    CHECK(o.get(s.vcards().load(both[1])) == "<vCard/>");
    CHECK(o.get(s.block_lists().load(both[1])).size() == 1);
    CHECK(o.ids(both[1]) == std::vector<LogId>{1, 2, 3});
    CHECK(o.get(s.messages().count_undelivered(both[1], "phone")) == 2);

    const AccountId again = o.create("romeo@montague.example");
    CHECK(again !=
          both[0]);  // an id never comes back: what is late for the old account must not reach the new one
    CHECK(again != both[1]);
}

TEMPLATE_TEST_CASE("what was stored is there after the next start", "[contract]", SqliteFile, Maria) {
    Opened<TestType> o;
    const AccountId id = o.get(o.storage->accounts().create(rich_account()));
    o.storage->messages().append(entry(id, 5), {});
    o.storage->messages().advance_cursor(id, "laptop", 6);
    o.reopen();  // commits both
    CHECK(o.get(o.storage->accounts().find(jid("romeo@montague.example")))->devices.at(0).cursor == 6);
    CHECK(o.ids(id) == std::vector<LogId>{5});
    CHECK(o.storage->is_healthy());
    CHECK(o.storage->describe().find("schema " + std::to_string(storage::sql::schema_version)) != std::string::npos);
    CHECK(o.storage->describe().find("s3cret") == std::string::npos);
}

TEMPLATE_TEST_CASE("verifiers that an account was imported without are added once, and known to be missing until then", "[contract]", TERN_STORAGE_BACKENDS) {
    using storage::Hash;
    Opened<TestType> o;
    auto& accounts = o.storage->accounts();
    const auto is_not_found = [&](storage::Task<storage::Result<void>> task) {
        const auto result = o.run(std::move(task));
        return !result.ok() && result.error().kind == Kind::not_found;
    };
    const auto whole_device = [](const char* name) {
        auto made = device(name);
        for (storage::Verifier& verifier : made.verifiers) verifier = {"stored", "server"};
        return made;
    };
    auto part = whole_device("old");
    part.verifiers[1] = part.verifiers[2] = {};
    CHECK(o.get(accounts.partial()).empty());
    const AccountId id = o.create("romeo@montague.example", {part});
    storage::Account many;
    many.jid = jid("juliet@montague.example");
    many.salt = "salt";
    many.iterations = 1;
    many.devices = {whole_device("whole"), part};
    storage::Account whole = many;
    whole.jid = jid("nurse@montague.example");
    whole.devices = {whole_device("whole")};
    CHECK(o.get(accounts.create_all({many, whole})) == 2);

    auto partial = o.get(accounts.partial());
    std::ranges::sort(partial, {}, [](const storage::PartialAccount& account) { return account.jid.text(); });
    REQUIRE(partial.size() == 2);
    CHECK(partial[0].jid == many.jid);
    CHECK(partial[1].jid == jid("romeo@montague.example"));
    CHECK(partial[1].lacks == std::array<bool, storage::hash_count>{false, true, true});

    must(o.run(accounts.add_verifier(id, "old", Hash::sha512, {"new", "new too"})));
    CHECK(is_not_found(accounts.add_verifier(id, "old", Hash::sha512, {"other", "other"})));
    CHECK(is_not_found(accounts.add_verifier(id, "old", Hash::sha1, {"other", "other"})));
    CHECK(is_not_found(accounts.add_verifier(id, "old", Hash::sha512, {"other", "other"}, "stored")));
    must(o.run(accounts.add_verifier(id, "old", Hash::sha512, {"newer", "newer too"}, "new")));   // in place of that one
    must(o.run(accounts.add_verifier(id, "old", Hash::sha512, {"new", "new too"}, "newer")));
    CHECK(is_not_found(accounts.add_verifier(id, "new", Hash::sha256, {"other", "other"})));
    const auto found = o.get(accounts.find(jid("romeo@montague.example")));
    CHECK(found->devices.front().verifiers[2].stored_key == "new");
    CHECK(found->devices.front().verifiers[2].server_key == "new too");
    CHECK(o.get(accounts.partial()).size() == 2);
    must(o.run(accounts.add_verifier(id, "old", Hash::sha256, {"stored", "server"})));
    partial = o.get(accounts.partial());
    REQUIRE(partial.size() == 1);
    CHECK(partial[0].jid == many.jid);
    must(o.run(accounts.replace_devices(o.get(accounts.find(many.jid))->id, {"salt", 1}, whole_device("fresh"))));
    CHECK(o.get(accounts.partial()).empty());
}

TEMPLATE_TEST_CASE("an account goes with a log that is longer than a transaction should be", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId romeo = o.create("romeo@montague.example"), juliet = o.create("juliet@capulet.example");
    constexpr LogId entries = 2500;
    for (LogId id = 1; id < entries; ++id) o.storage->messages().append(entry(romeo, id), [](const storage::Result<void>&) {});
    must(o.append(entry(romeo, entries)));
    must(o.append(entry(juliet, 1)));
    must(o.run(o.storage->accounts().remove(romeo)));
    CHECK(o.ids(romeo).empty());
    CHECK(o.ids(juliet) == std::vector<LogId>{1});
    CHECK_FALSE(o.get(o.storage->accounts().find(jid("romeo@montague.example"))));
}
