// SPDX-License-Identifier: MIT
// The contract of archive queries (XEP-0313), of what is kept for devices alone, and of archiving preferences, held
// against every backend.
#include "storage/mysql/connection.h"
#include "storage/sql/log_rows.h"
#include "storage/url.h"
#include "tests/unit/storage/backends.h"

using namespace tests;
using storage::ArchiveQuery;
using storage::Direction;
using Ids = std::vector<LogId>;

namespace {

Ids ids_of(const storage::ArchivePage& page) {
    Ids ids;
    for (const LogEntry& entry : page.entries) ids.push_back(entry.id);
    return ids;
}

}  // namespace

TEMPLATE_TEST_CASE("an archive query gives the page that was asked for, oldest first", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId romeo = o.create("romeo@montague.example"), other = o.create("juliet@capulet.example");
    for (LogId n = 1; n <= 7; ++n) {
        LogEntry made = entry(romeo, n * 10);
        made.peer = jid(n % 2 == 0 ? "juliet@capulet.example/balcony" : "nurse@capulet.example");
        made.words = n == 4 ? "100% of _rose!" : "a rose";
        made.is_archived = n != 3;
        must(o.append(made));
    }
    must(o.append(entry(other, 10)));
    auto& messages = o.storage->messages();

    ArchiveQuery query;
    query.limit = 2;
    auto page = o.get(messages.query(romeo, query));
    CHECK(ids_of(page) == Ids{10, 20});
    CHECK_FALSE(page.is_complete);
    query.backwards = true;
    page = o.get(messages.query(romeo, query));
    CHECK(ids_of(page) == Ids{60, 70});
    CHECK_FALSE(page.is_complete);
    query.limit = 6;  // exactly all: the one that is not archived is not counted
    query.is_counted = true;
    page = o.get(messages.query(romeo, query));
    CHECK(ids_of(page) == Ids{10, 20, 40, 50, 60, 70});
    CHECK(page.is_complete);
    CHECK(page.count == 6U);

    ArchiveQuery ranged;
    ranged.from = 20;
    ranged.to = 50;
    ranged.must_exist = {20, 50};
    CHECK(ids_of(o.get(messages.query(romeo, ranged))) == Ids{20, 40, 50});
    ranged.must_exist = {30};  // there, and not in the archive
    CHECK(o.run(messages.query(romeo, ranged)).error().kind == StorageError::Kind::not_found);

    ArchiveQuery with;
    with.with = jid("juliet@capulet.example");
    CHECK(ids_of(o.get(messages.query(romeo, with))) == Ids{20, 40, 60});
    with.with = jid("juliet@capulet.example/chamber");
    CHECK(o.get(messages.query(romeo, with)).entries.empty());

    ArchiveQuery these;
    these.ids = {70, 10, 70};
    CHECK(ids_of(o.get(messages.query(romeo, these))) == Ids{10, 70});
    these.with = jid("juliet@capulet.example");   // of these, those that match
    these.ids = {20, 70, 40};
    CHECK(ids_of(o.get(messages.query(romeo, these))) == Ids{20, 40});
    these.to = 30;
    CHECK(ids_of(o.get(messages.query(romeo, these))) == Ids{20});
    these.words = {"thorn"};
    CHECK(o.get(messages.query(romeo, these)).entries.empty());
    these.ids = {70, 11};
    CHECK(o.run(messages.query(romeo, these)).error().kind == StorageError::Kind::not_found);

    ArchiveQuery words;
    words.words = {"0%", "_ro", "e!"};  // no wildcards
    CHECK(ids_of(o.get(messages.query(romeo, words))) == Ids{40});
    words.words = {"a%e"};
    CHECK(o.get(messages.query(romeo, words)).entries.empty());

    const auto ends = o.get(messages.archive_ends(romeo));
    CHECK(ends.first == 10);
    CHECK(ends.last == 70);
    CHECK(o.get(messages.archive_ends(romeo + 99)).first == 0);
}

TEST_CASE("the ends of an archive are found without reading what is between", "[mariadb]") {
    Opened<Maria> o;
    const AccountId romeo = o.create("romeo@montague.example");
    for (LogId n = 1; n <= 200; ++n) {
        LogEntry made = entry(romeo, n);
        made.is_archived = n > 1 && n < 200;
        must(o.append(made));
    }
    const auto place = *storage::parse_url(o.backend.options().url);
    const auto connector = storage::mysql::make_connector(std::get<storage::mysql::Settings>(place));
    const auto connection = std::move(*connector->connect(storage::sql::Connector::Purpose::read));
    const auto rows_read = [&] {
        std::uint64_t count = 0;
        {
            auto rows = connection->query("SELECT variable_value FROM information_schema.session_status WHERE variable_name IN "
                                          "('HANDLER_READ_KEY', 'HANDLER_READ_NEXT', 'HANDLER_READ_PREV')");
            while (rows.next()) count += std::stoull(rows.text(0));
        }
        const auto error = connection->take_error();
        INFO((error ? error->text : ""));
        REQUIRE_FALSE(error);
        return count;
    };
    const std::uint64_t before = rows_read();
    const auto ends = storage::sql::archive_ends(*connection, romeo);
    CHECK(ends.first == 2);
    CHECK(ends.last == 199);
    CHECK(rows_read() - before < 20);
}

TEMPLATE_TEST_CASE("what is kept for devices alone goes when all have it", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId id = o.create("romeo@montague.example", {device("phone")});
    auto& messages = o.storage->messages();
    const auto account = o.get(o.storage->accounts().find(jid("romeo@montague.example")));
    REQUIRE(account);
    REQUIRE_FALSE(account->devices.empty());
    LogEntry passing = entry(id, 10);
    passing.is_archived = false;
    must(o.append(passing));
    must(o.append(entry(id, 20)));
    CHECK(o.get(messages.has_unarchived(id, 0, 10)));
    CHECK_FALSE(o.get(messages.has_unarchived(id, 10, 99)));
    CHECK(o.get(messages.remove_delivered_unarchived(Time{}, 10)) == 0);
    for (const Device& device : account->devices) messages.advance_cursor(id, device.id, 20);
    CHECK(o.get(messages.remove_delivered_unarchived(Time{}, 10)) == 1);
    CHECK_FALSE(o.get(messages.has_unarchived(id, 0, 99)));
    const auto left = o.get(messages.read(id, 0, 10));
    REQUIRE(left.size() == 1);
    CHECK(left[0].id == 20);
}

TEMPLATE_TEST_CASE("an entry is found by its origin id and replaced", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId id = o.create("romeo@montague.example", {device("phone")});
    auto& messages = o.storage->messages();
    for (LogId n = 1; n <= 2; ++n) {
        LogEntry made = entry(id, n);
        made.peer = jid("juliet@capulet.example/balcony");
        made.origin_id = "same";
        made.words = "secret";
        must(o.append(made));
    }
    const auto found = o.get(messages.find_by_origin(id, Direction::incoming, jid("juliet@capulet.example/chamber"), "same"));
    REQUIRE(found);
    CHECK(found->id == 2);
    CHECK_FALSE(o.get(messages.find_by_origin(id, Direction::outgoing, jid("juliet@capulet.example"), "same")));
    CHECK_FALSE(o.get(messages.find_by_origin(id, Direction::incoming, jid("nurse@capulet.example"), "same")));
    must(o.run(messages.replace(id, 2, xmpp::Wire{"<message><gone/></message>"})));
    const auto read = o.get(messages.read(id, 1, 10));
    REQUIRE(read.size() == 1);
    CHECK(read[0].xml.bytes() == "<message><gone/></message>");
    ArchiveQuery words;
    words.words = {"secret"};
    CHECK(ids_of(o.get(messages.query(id, words))) == Ids{1});
}

TEMPLATE_TEST_CASE("archiving preferences come back as they were stored", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    const AccountId id = o.create("romeo@montague.example", {device("phone")});
    auto& preferences = o.storage->archive_preferences();
    CHECK_FALSE(o.get(preferences.load(id)));
    storage::ArchivePreferences wanted;
    wanted.by_default = storage::Archiving::roster;
    wanted.always = {jid("juliet@capulet.example"), jid("nurse@capulet.example/her room")};
    must(o.run(preferences.store(id, wanted)));
    wanted.never = {jid("tybalt@capulet.example")};
    must(o.run(preferences.store(id, wanted)));
    const auto loaded = o.get(preferences.load(id));
    REQUIRE(loaded);
    CHECK(loaded->by_default == storage::Archiving::roster);
    CHECK(loaded->always == wanted.always);
    CHECK(loaded->never == wanted.never);
    const auto account = o.get(o.storage->accounts().find(jid("romeo@montague.example")));
    REQUIRE(account);
    CHECK_FALSE(account->devices.front().reads_archive);
    must(o.run(o.storage->accounts().set_reads_archive(id, account->devices.front().id, true)));
    CHECK(o.get(o.storage->accounts().find(jid("romeo@montague.example")))->devices.front().reads_archive);
}
