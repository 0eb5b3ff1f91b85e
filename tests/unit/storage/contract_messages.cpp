// SPDX-License-Identifier: MIT
// The contract of storage::Messages, the accounts' logs, held against every backend.
#include "tests/unit/storage/backends.h"

using namespace tests;
using storage::Direction;
using Ids = std::vector<LogId>;

TEMPLATE_TEST_CASE("a log entry is read as it was appended, after a position and up to a limit", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId romeo = o.create("romeo@montague.example"), other = o.create("juliet@capulet.example");
    LogEntry full =
        entry(romeo, 1700000000000001, "<message><body>\xF0\x9F\x8C\xB9 ' \" \\ % ?</body></message>");
    full.direction = Direction::outgoing;
    full.stanza_type = "normal";
    full.origin_id = "a'b\"c";
    LogEntry plain = entry(romeo, 1700000000000002);
    plain.peer = jid("capulet.example");
    plain.origin_id = "";
    LogEntry spaced = entry(romeo, 1700000000000003);
    spaced.peer = jid("nurse@capulet.example/her room/2@night");
    must(o.append(full));
    must(o.append(plain));
    must(o.append(spaced));
    must(o.append(entry(other, 1700000000000001)));

    const auto read = o.get(o.storage->messages().read(romeo, 0, 10));
    REQUIRE(read.size() == 3);
    CHECK(read[0].account == romeo);
    CHECK(read[0].id == full.id);
    CHECK(read[0].direction == Direction::outgoing);
    CHECK(read[0].peer == full.peer);
    CHECK(read[0].peer.resourcepart() == "balcony");
    CHECK(read[0].stanza_type == "normal");
    CHECK(read[0].origin_id == full.origin_id);
    CHECK(read[0].xml.bytes() == full.xml.bytes());
    CHECK(read[1].direction == Direction::incoming);
    CHECK(read[1].peer == plain.peer);
    CHECK(read[1].peer.is_domain());
    CHECK(read[2].peer == spaced.peer);
    CHECK(read[2].peer.bare() == jid("nurse@capulet.example"));
    auto& messages = o.storage->messages();
    CHECK(ids_of(o.get(messages.read(romeo, full.id, 10))) == Ids{plain.id, spaced.id});
    CHECK(ids_of(o.get(messages.read(romeo, 0, 2))) == Ids{full.id, plain.id});
    CHECK(o.get(messages.read(romeo, spaced.id, 10)).empty());
    CHECK(o.get(messages.read(romeo, ~LogId{0}, 10)).empty());
    CHECK(o.get(messages.last_id(romeo)) == spaced.id);
    CHECK(o.get(messages.last_id(other + 5)) == 0);
}

TEMPLATE_TEST_CASE("stanzas of any size and any bytes come back whole", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId id = o.create("romeo@montague.example");
    const std::vector<std::size_t> sizes{0, 1, 255, 256, 65535, 65536, 262144, 262145, 1048577, 3000000};
    LogId next = 0;
    std::size_t committed = 0;
    for (const std::size_t size : sizes) {
        std::string xml(size, 'x');
        for (std::size_t i = 0; i < size; i += 97) xml[i] = static_cast<char>('a' + i % 26);
        o.storage->messages().append(entry(id, ++next, xml),
                                     [&](const auto& r) { committed += r.ok() ? 1 : 0; });
    }
    const auto read = o.get(o.storage->messages().read(id, 0, 100));
    REQUIRE(read.size() == sizes.size());
    for (std::size_t n = 0; n < sizes.size(); ++n) {
        REQUIRE(read[n].xml.size() == sizes[n]);
        const std::string_view xml = read[n].xml.bytes();
        bool is_same = true;
        for (std::size_t i = 0; i < sizes[n]; ++i) {
            is_same = is_same && xml[i] == (i % 97 == 0 ? static_cast<char>('a' + i % 26) : 'x');
        }
        CHECK(is_same);
    }
    REQUIRE(o.executor.run_until([&] { return committed == sizes.size(); }));
}

TEMPLATE_TEST_CASE("a read sees everything that was appended before it", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId id = o.create("romeo@montague.example", {device("phone")});
    auto& messages = o.storage->messages();
    LogId last = 0;
    for (int round = 0; round < 50; ++round) {
        for (int i = 0; i < 7; ++i) messages.append(entry(id, ++last), {});
        messages.mark_delivered(id, "phone", last - 1);
        messages.advance_cursor(id, "phone", last - 3);
        if (round % 3 == 0) CHECK(o.get(messages.last_id(id)) == last);
        if (round % 3 == 1)
            CHECK(ids_of(o.get(messages.read_undelivered(id, "phone", last - 3, 10))) == Ids{last - 2, last});
        if (round % 3 == 2) CHECK(o.get(messages.count_undelivered(id, "phone")) == 2);
        CHECK(o.get(o.storage->accounts().find(jid("romeo@montague.example")))->devices[0].cursor ==
              last - 3);
    }
    CHECK(o.ids(id).size() == last);
}

TEMPLATE_TEST_CASE("undelivered is what came in behind the cursor and was not delivered out of turn",
                   "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId id = o.create("romeo@montague.example", {device("phone"), device("laptop")});
    auto& messages = o.storage->messages();
    for (LogId n = 1; n <= 10; ++n) {
        messages.append(entry(id, n, "<message/>", n % 5 == 0 ? Direction::outgoing : Direction::incoming),
                        {});
    }
    messages.advance_cursor(id, "phone", 3);
    messages.mark_delivered(id, "phone", 7);
    messages.mark_delivered(id, "phone", 7);  // twice is once
    CHECK(ids_of(o.get(messages.read_undelivered(id, "phone", 3, 100))) == Ids{4, 6, 8, 9});
    CHECK(ids_of(o.get(messages.read_undelivered(id, "phone", 3, 2))) == Ids{4, 6});
    CHECK(o.get(messages.count_undelivered(id, "phone")) == 4);
    CHECK(ids_of(o.get(messages.read_undelivered(id, "laptop", 0, 100))) == Ids{1, 2, 3, 4, 6, 7, 8, 9});
    CHECK(o.get(messages.count_undelivered(id, "laptop")) == 8);
    CHECK(o.get(messages.count_undelivered(id, "no such device")) == 0);
    messages.advance_cursor(id, "phone", 8);
    CHECK(o.get(messages.count_undelivered(id, "phone")) == 1);
}

TEMPLATE_TEST_CASE("a cursor never goes back, and one of an unknown device goes nowhere", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId id = o.create("romeo@montague.example", {device("phone", 5), device("laptop", 5)});
    auto& messages = o.storage->messages();
    const auto cursors = [&] {
        const auto found = o.get(o.storage->accounts().find(jid("romeo@montague.example")));
        return Ids{found->devices.at(1).cursor, found->devices.at(0).cursor};  // phone, laptop
    };
    messages.advance_cursor(id, "phone", 9);
    messages.advance_cursor(id, "phone", 7);
    messages.advance_cursor(id, "stolen", 100);
    messages.advance_cursor(id + 77, "phone", 100);
    messages.mark_delivered(id, "stolen", 100);
    messages.advance_cursor(id, "laptop", 4);
    CHECK(cursors() == Ids{9, 5});
    messages.advance_cursor(id, "phone", 3);
    messages.advance_cursor(id, "laptop", 6);
    CHECK(cursors() == Ids{9, 6});
    must(o.append(entry(id, 1)));  // what is wrong with the one does not hold up the other
}

TEMPLATE_TEST_CASE("an entry that the database refuses fails alone", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId id = o.create("romeo@montague.example");
    auto& messages = o.storage->messages();
    std::vector<std::optional<Kind>> results(300);
    std::size_t ended = 0;
    for (LogId n = 0; n < 300; ++n) {
        LogEntry made =
            entry(n == 120 ? id + 500 : id, n == 200 ? 7 : n + 1);  // no account; a position taken
        messages.append(std::move(made), [&results, &ended, n](const auto& result) {
            ++ended;
            if (!result.ok()) results[n] = result.error().kind;
        });
    }
    REQUIRE(o.executor.run_until([&] { return ended == 300; }));
    for (LogId n = 0; n < 300; ++n) {
        if (n == 120)
            CHECK(results[n] == Kind::not_found);
        else if (n == 200)
            CHECK(results[n] == Kind::conflict);
        else
            CHECK_FALSE(results[n].has_value());
    }
    CHECK(o.ids(id).size() == 298);
}

TEMPLATE_TEST_CASE("old entries of all accounts are removed, the oldest first", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& messages = o.storage->messages();
    const AccountId a = o.create("a@x.example", {device("d")}), b = o.create("b@x.example");
    for (LogId n = 1; n <= 10; ++n) {
        messages.append(entry(a, n * 10), {});
        messages.append(entry(b, n * 10), {});
    }
    messages.mark_delivered(a, "d", 20);
    CHECK(o.ids(a).size() == 10);
    CHECK(o.get(messages.remove_before(at(10), 100)) == 0);
    CHECK(o.get(messages.remove_before(at(51), 3)) == 3);
    CHECK(o.ids(a) == Ids{30, 40, 50, 60, 70, 80, 90, 100});
    CHECK(o.ids(b) == Ids{20, 30, 40, 50, 60, 70, 80, 90, 100});
    CHECK(o.get(messages.remove_before(at(51), 100)) == 7);
    CHECK(o.get(messages.remove_before(at(51), 100)) == 0);
    CHECK(o.ids(a) == Ids{60, 70, 80, 90, 100});
    CHECK(o.ids(b) == Ids{60, 70, 80, 90, 100});
}

TEMPLATE_TEST_CASE("entries that all devices have are removed, those that one lacks stay", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& messages = o.storage->messages();
    const AccountId a = o.create(
        "a@x.example", {device("phone", 0, at(100)), device("laptop", 0, at(100)), device("lost", 0, at(1))});
    const AccountId b =
        o.create("b@x.example", {device("only", 0, at(1))});  // its only device is long unseen
    const AccountId c = o.create("c@x.example");
    for (const AccountId id : {a, b, c}) {
        for (LogId n = 1; n <= 10; ++n) messages.append(entry(id, n), {});
    }
    messages.advance_cursor(a, "phone", 6);
    messages.advance_cursor(a, "laptop", 4);
    messages.advance_cursor(b, "only", 2);
    const Time unseen = at(50);
    CHECK(o.get(messages.remove_delivered(unseen, 3)) == 3);
    CHECK(o.get(messages.remove_delivered(unseen, 100)) == 3);
    CHECK(o.get(messages.remove_delivered(unseen, 100)) == 0);
    CHECK(o.ids(a) == Ids{5, 6, 7, 8, 9, 10});
    CHECK(o.ids(b) == Ids{3, 4, 5, 6, 7, 8, 9, 10});
    CHECK(o.ids(c).size() == 10);

    // Out of turn counts as well: 6 is behind the phone's cursor and marked for the laptop, 8 is marked for
    // both.
    messages.mark_delivered(a, "laptop", 6);
    messages.mark_delivered(a, "laptop", 8);
    messages.mark_delivered(a, "phone", 8);
    messages.mark_delivered(a, "phone", 9);
    CHECK(o.get(messages.remove_delivered(unseen, 100)) == 2);
    CHECK(o.ids(a) == Ids{5, 7, 9, 10});
    CHECK(o.get(messages.remove_delivered(at(0), 100)) == 0);  // now the lost device counts
}

TEMPLATE_TEST_CASE("what is said in rooms goes as if it were delivered, in batches", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    storage::Room room;
    room.jid = jid("coven@groups.montague.example");
    room.secret = "secret";
    const AccountId log = o.get(o.storage->rooms().put(room));
    const AccountId nobody = o.create("romeo@montague.example");   // whose devices may come yet
    for (const AccountId id : {log, nobody}) {
        for (LogId n = 1; n <= 5; ++n) must(o.append(entry(id, n)));
    }
    auto& messages = o.storage->messages();
    CHECK(o.get(messages.remove_delivered(at(50), 3)) == 3);
    CHECK(o.ids(log).size() == 2);
    CHECK(o.get(messages.remove_delivered(at(50), 3)) == 2);
    CHECK(o.ids(log).empty());
    CHECK(o.ids(nobody).size() == 5);
    CHECK(o.get(o.storage->rooms().find(room.jid))->log == log);
}

TEMPLATE_TEST_CASE("completions come in order, on the thread that appended", "[contract]",
                   TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId id = o.create("romeo@montague.example");
    Ids order;
    bool same_thread = true;
    const auto here = std::this_thread::get_id();
    for (LogId n = 1; n <= 2500; ++n) {
        o.storage->messages().append(entry(id, n), [&, n](const auto& result) {
            if (result.ok()) order.push_back(n);
            same_thread = same_thread && std::this_thread::get_id() == here;
        });
        if (n == 1) CHECK(order.empty());  // never from within the call
    }
    REQUIRE(o.executor.run_until([&] { return order.size() == 2500; }));
    CHECK(std::is_sorted(order.begin(), order.end()));
    CHECK(same_thread);
    CHECK(o.ids(id) == order);
}
