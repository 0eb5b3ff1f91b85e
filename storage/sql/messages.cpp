// SPDX-License-Identifier: MIT
// Reading and thinning out the accounts' logs. They are written by group_commit.h, which every reader here
// waits for.
#include "storage/sql/log_rows.h"
#include "storage/sql/statements.h"
#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

// Of `m`, for a device of its account.
constexpr std::string_view was_not_delivered_out_of_turn =
    "NOT EXISTS (SELECT 1 FROM delivered_out_of_turn o WHERE o.account_id = m.account_id AND o.device = ? "
    "AND o.log_id = m.id)";

constexpr std::uint64_t most_looked_through = 10'000;   // entries with a peer, for one with an id that its client made

struct Position {
    AccountId account;
    LogId id;
};

// Where the first `limit` entries older than `before` end, in the order of their ids.
std::optional<Position> end_of_oldest(Connection& connection, std::int64_t before, std::size_t limit) {
    Rows rows = connection.query(
        "SELECT account_id, id FROM message_log WHERE id < ? ORDER BY id, account_id LIMIT 1 OFFSET ?",
        {before, limit});
    if (!rows.next()) return std::nullopt;
    return Position{rows.natural(0), rows.natural(1)};
}

// Up to which entry an account's log is at all of its devices. A device that was not seen since `unseen` does
// not hold entries back, unless none was: the last device to come back shall find them.
constexpr std::string_view select_delivered =
    "SELECT m.account_id, m.id FROM (SELECT d.account_id, COALESCE(MIN(CASE WHEN d.last_seen >= ? THEN "
    "c.position END), "
    "MIN(c.position)) AS low FROM devices d JOIN device_cursors c ON c.account_id = d.account_id AND "
    "c.device = d.id "
    "GROUP BY d.account_id) l JOIN message_log m ON m.account_id = l.account_id AND m.id <= l.low "
    "ORDER BY m.account_id, m.id LIMIT ?";

// Whether every device that was seen since `unseen` has an entry, in turn or out of turn, and there is one; both
// placeholders are `unseen`.
std::string all_have(std::string_view account, std::string_view id) {
    return concat({"NOT EXISTS (SELECT 1 FROM devices d JOIN device_cursors c ON c.account_id = d.account_id AND "
                   "c.device = d.id WHERE d.account_id = ",
                   account, " AND d.last_seen >= ? AND c.position < ", id,
                   " AND NOT EXISTS (SELECT 1 FROM delivered_out_of_turn x WHERE x.account_id = d.account_id AND "
                   "x.device = d.id AND x.log_id = ",
                   id, ")) AND EXISTS (SELECT 1 FROM devices d WHERE d.account_id = ", account,
                   " AND d.last_seen >= ?)"});
}

// Entries beyond that which the devices ahead have in turn, and those behind got out of turn.
std::string select_delivered_out_of_turn() {
    return concat({"SELECT DISTINCT m.account_id, m.id FROM delivered_out_of_turn o "
                   "JOIN message_log m ON m.account_id = o.account_id AND m.id = o.log_id WHERE ",
                   all_have("m.account_id", "m.id"), " LIMIT ?"});
}

// Entries that are kept for devices alone.
std::string select_delivered_unarchived() {
    return concat({"SELECT u.account_id, u.log_id FROM unarchived_entries u WHERE ",
                   all_have("u.account_id", "u.log_id"), " LIMIT ?"});
}

// Logs of rooms have no devices that anybody could wait for.
constexpr std::string_view select_of_rooms =
    "SELECT m.account_id, m.id FROM rooms r JOIN accounts a ON a.domain = r.domain AND a.jid = r.jid "
    "JOIN message_log m ON m.account_id = a.id LIMIT ?";

std::size_t remove_in_turn(Connection& connection, Time unseen, std::size_t limit) {
    std::vector<Position> ends;  // one for each account
    {
        Rows rows = connection.query(select_delivered, {unseen, limit});
        while (rows.next()) {
            const Position position{rows.natural(0), rows.natural(1)};
            if (ends.empty() || ends.back().account != position.account) ends.push_back(position);
            ends.back().id = position.id;
        }
    }
    std::size_t removed = 0;
    for (const Position& end : ends) {
        removed += connection.change("DELETE FROM message_log WHERE account_id = ? AND id <= ?",
                                     {end.account, end.id});
        connection.change("DELETE FROM delivered_out_of_turn WHERE account_id = ? AND log_id <= ?",
                          {end.account, end.id});
    }
    return removed;
}

std::size_t remove_selected(Connection& connection, std::string_view select, std::initializer_list<Value> values) {
    std::vector<Position> entries;
    {
        Rows rows = connection.query(select, values);
        while (rows.next()) entries.push_back({rows.natural(0), rows.natural(1)});
    }
    std::size_t removed = 0;
    for (const Position& entry : entries) {
        removed += connection.change("DELETE FROM message_log WHERE account_id = ? AND id = ?",
                                     {entry.account, entry.id});
        connection.change("DELETE FROM delivered_out_of_turn WHERE account_id = ? AND log_id = ?",
                          {entry.account, entry.id});
    }
    return removed;
}

class SqlMessages final : public Messages {
public:
    explicit SqlMessages(Database& database) : database_{database} {}

    void append(LogEntry entry, std::function<void(const Result<void>&)> committed) override {
        database_.log().append(std::move(entry), std::move(committed));
    }
    void advance_cursor(AccountId account, std::string device, LogId to) override {
        database_.log().advance_cursor(account, std::move(device), to);
    }
    void mark_delivered(AccountId account, std::string device, LogId id) override {
        database_.log().mark_delivered(account, std::move(device), id);
    }

    Task<Result<Entries>> read(AccountId account, LogId after, std::size_t limit) override {
        return database_.read<Entries>(
            [=](Connection& connection) -> Result<Entries> {
                static const std::string text =
                    concat({entry_columns, "WHERE account_id = ? AND id > ? ORDER BY id LIMIT ?"});
                return read_entries(account, connection.query(text, {account, after, limit}));
            },
            Database::After::log);
    }

    Task<Result<Entries>> read_undelivered(AccountId account, std::string device, LogId after,
                                           std::size_t limit) override {
        return database_.read<Entries>(
            [=](Connection& connection) -> Result<Entries> {
                static const std::string text =
                    concat({entry_columns, "m WHERE account_id = ? AND id > ? AND direction = 0 AND ",
                            was_not_delivered_out_of_turn, " ORDER BY id LIMIT ?"});
                return read_entries(account, connection.query(text, {account, after, device, limit}));
            },
            Database::After::log);
    }

    Task<Result<ArchivePage>> query(AccountId account, ArchiveQuery query) override {
        return database_.read<ArchivePage>(
            [account, query = std::move(query)](Connection& connection) { return query_archive(connection, account, query); },
            Database::After::log);
    }

    Task<Result<ArchiveEnds>> archive_ends(AccountId account) override {
        return database_.read<ArchiveEnds>(
            [account](Connection& connection) -> Result<ArchiveEnds> { return sql::archive_ends(connection, account); },
            Database::After::log);
    }

    Task<Result<bool>> has_unarchived(AccountId account, LogId from, LogId to) override {
        return database_.read<bool>(
            [=](Connection& connection) -> Result<bool> {
                return connection
                    .query("SELECT 1 FROM unarchived_entries WHERE account_id = ? AND log_id > ? AND log_id <= ? LIMIT 1",
                           {account, from, to})
                    .next();
            },
            Database::After::log);
    }

    Task<Result<std::optional<LogEntry>>> find_by_origin(AccountId account, Direction direction, Jid peer,
                                                         std::string origin_id) override {
        return database_.read<std::optional<LogEntry>>(
            [=, bare = std::string{peer.view().bare().text()}](
                Connection& connection) -> Result<std::optional<LogEntry>> {
                static const std::string text =
                    concat({entry_columns, "WHERE account_id = ? AND peer_bare = ? AND direction = ? AND origin_id = ? AND id >= "
                                           "COALESCE((SELECT MIN(id) FROM (SELECT id FROM message_log WHERE account_id = ? AND "
                                           "peer_bare = ? ORDER BY id DESC LIMIT ?) newest), 0) ORDER BY id DESC LIMIT 1"});
                Entries found = read_entries(
                    account, connection.query(text, {account, bare, static_cast<int>(direction), origin_id, account, bare, most_looked_through}));
                return found.empty() ? std::optional<LogEntry>{} : std::optional{std::move(found.front())};
            },
            Database::After::log);
    }

    Task<Result<void>> replace(AccountId account, LogId id, xmpp::Wire xml) override {
        return database_.set<void>([=](Connection& connection) -> Result<void> {
            connection.change("UPDATE message_log SET xml = ?, words = '' WHERE account_id = ? AND id = ?",
                              {xml.bytes(), account, id});
            return {};
        });
    }

    Task<Result<LogId>> last_id(AccountId account) override {
        return database_.read<LogId>(
            [account](Connection& connection) -> Result<LogId> {
                Rows rows = connection.query(
                    "SELECT COALESCE(MAX(id), 0) FROM message_log WHERE account_id = ?", {account});
                return rows.next() ? rows.natural(0) : 0;
            },
            Database::After::log);
    }

    Task<Result<std::uint64_t>> count_undelivered(AccountId account, std::string device) override {
        return database_.read<std::uint64_t>(
            [=](Connection& connection) -> Result<std::uint64_t> {
                static const std::string text =
                    concat({"SELECT COUNT(*) FROM message_log m WHERE account_id = ? AND direction = 0 AND "
                            "id > (SELECT position "
                            "FROM device_cursors WHERE account_id = ? AND device = ?) AND ",
                            was_not_delivered_out_of_turn});
                Rows rows = connection.query(text, {account, account, device, device});
                return rows.next() ? rows.natural(0) : 0;
            },
            Database::After::log);
    }

    Task<Result<std::size_t>> remove_before(Time before, std::size_t limit) override {
        return database_.transact<std::size_t>([=](Connection& connection) -> Result<std::size_t> {
            const std::int64_t end = before.time_since_epoch().count();
            const auto position = end_of_oldest(connection, end, limit);
            if (!position) {
                connection.change("DELETE FROM delivered_out_of_turn WHERE log_id < ?", {end});
                return connection.change("DELETE FROM message_log WHERE id < ?", {end});
            }
            connection.change("DELETE FROM delivered_out_of_turn WHERE log_id < ?", {position->id});
            return connection.change("DELETE FROM message_log WHERE id < ? OR (id = ? AND account_id < ?)",
                                     {position->id, position->id, position->account});
        });
    }

    Task<Result<std::size_t>> remove_delivered(Time unseen, std::size_t limit) override {
        return database_.transact<std::size_t>(
            [=](Connection& connection) -> Result<std::size_t> {
                std::size_t removed = remove_in_turn(connection, unseen, limit);
                if (removed < limit) removed += remove_selected(connection, select_delivered_out_of_turn(), {unseen, unseen, limit - removed});
                if (removed < limit) removed += remove_selected(connection, select_of_rooms, {limit - removed});
                return removed;
            },
            Database::After::log);
    }

    Task<Result<std::size_t>> remove_delivered_unarchived(Time unseen, std::size_t limit) override {
        return database_.transact<std::size_t>(
            [=](Connection& connection) -> Result<std::size_t> {
                return remove_selected(connection, select_delivered_unarchived(), {unseen, unseen, limit});
            },
            Database::After::log);
    }

private:
    Database& database_;
};

}  // namespace

Entries read_entries(AccountId account, Rows rows) {
    Entries entries;
    while (rows.next()) {
        LogEntry& entry = entries.emplace_back();
        entry.account = account;
        entry.id = rows.natural(0);
        entry.direction = static_cast<Direction>(rows.integer(1));
        std::string peer = rows.text(2);
        const std::string resource = rows.text(3);
        if (!resource.empty()) peer += '/' + resource;
        entry.peer = stored_jid(peer);
        entry.stanza_type = rows.text(4);
        entry.origin_id = rows.text(5);
        entry.xml = xmpp::Wire{rows.text(6)};
    }
    return entries;
}

Task<Result<void>> empty_log(Database& database, AccountId account) {
    constexpr std::uint64_t piece = 1000;
    bool is_more = true;
    while (is_more) {
        auto removing = database.transact<bool>(
            [account](Connection& connection) -> Result<bool> {
                std::optional<LogId> rest;
                {
                    Rows rows = connection.query("SELECT id FROM message_log WHERE account_id = ? ORDER BY id LIMIT 1 OFFSET ?", {account, piece});
                    if (rows.next()) rest = rows.natural(0);
                }
                connection.change("DELETE FROM message_log WHERE account_id = ? AND id < ?", {account, rest.value_or(std::numeric_limits<std::int64_t>::max())});
                return rest.has_value();
            },
            Database::After::log);
        const auto removed = co_await removing;
        if (!removed) co_return Failure{removed.error()};
        is_more = *removed;
    }
    co_return Result<void>{};
}

std::unique_ptr<Messages> make_messages(Database& database) {
    return std::make_unique<SqlMessages>(database);
}

std::map<DeviceKey, LogId> highest_marks(Connection& connection) {
    std::map<DeviceKey, LogId> marks;
    Rows rows = connection.query(
        "SELECT account_id, device, MAX(log_id) FROM delivered_out_of_turn GROUP BY account_id, device");
    while (rows.next()) marks.emplace(DeviceKey{rows.natural(0), rows.text(1)}, rows.natural(2));
    return marks;
}

}  // namespace storage::sql
