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
    AccountId account = 0;
    LogId id = 0;
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

// Entries that are kept for devices alone, from one place to another.
std::string select_delivered_unarchived() {
    return concat({"SELECT u.account_id, u.log_id FROM unarchived_entries u WHERE "
                   "(u.account_id > ? OR (u.account_id = ? AND u.log_id > ?)) AND "
                   "(u.account_id < ? OR (u.account_id = ? AND u.log_id <= ?)) AND ",
                   all_have("u.account_id", "u.log_id")});
}

constexpr std::string_view end_of_unarchived =
    "SELECT account_id, log_id FROM unarchived_entries WHERE account_id > ? OR (account_id = ? AND log_id > ?) "
    "ORDER BY account_id, log_id LIMIT 1 OFFSET ?";

// Logs of rooms have no devices that anybody could wait for.
constexpr std::string_view select_of_rooms =
    "SELECT m.account_id, m.id FROM rooms r JOIN accounts a ON a.domain = r.domain AND a.jid = r.jid "
    "JOIN message_log m ON m.account_id = a.id LIMIT ?";

std::vector<Position> positions(Rows rows) {
    std::vector<Position> entries;
    while (rows.next()) entries.push_back({rows.natural(0), rows.natural(1)});
    return entries;
}

// They were looked for without the right to write, which others need meanwhile. What every device has, it goes on having.
std::size_t remove_entries(Connection& connection, const std::vector<Position>& entries) {
    std::size_t removed = 0;
    for (const Position& entry : entries) {
        removed += connection.change("DELETE FROM message_log WHERE account_id = ? AND id = ?",
                                     {entry.account, entry.id});
        connection.change("DELETE FROM delivered_out_of_turn WHERE account_id = ? AND log_id = ?",
                          {entry.account, entry.id});
    }
    return removed;
}

// At most `limit` entries that every device has, in turn or out of turn, and of rooms.
std::vector<Position> find_delivered(Connection& connection, Time unseen, std::size_t limit) {
    std::vector<Position> found = positions(connection.query(select_delivered, {unseen, limit}));
    const auto add = [&](const std::vector<Position>& more) { found.insert(found.end(), more.begin(), more.end()); };
    if (found.size() < limit)
        add(positions(connection.query(select_delivered_out_of_turn(), {unseen, unseen, limit - found.size()})));
    if (found.size() < limit) add(positions(connection.query(select_of_rooms, {limit - found.size()})));
    return found;
}

// Some of the entries that are kept for devices alone.
struct Looked {
    std::vector<Position> delivered;
    std::optional<Position> at;   // where the looking ended; none: there are no more behind it
};

Looked look_behind(Connection& connection, Position after, Time unseen) {
    constexpr std::size_t looked_at = 5000;
    constexpr std::uint64_t end = std::numeric_limits<std::int64_t>::max();
    Looked looked;
    const auto last = positions(
        connection.query(end_of_unarchived, {after.account, after.account, after.id, looked_at - 1}));
    if (!last.empty()) looked.at = last.front();
    const Position to = looked.at.value_or(Position{end, end});
    static const std::string text = select_delivered_unarchived();
    looked.delivered = positions(connection.query(text, {after.account, after.account, after.id, to.account,
                                                         to.account, to.id, unseen, unseen}));
    return looked;
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
                return read_entries(account, connection.query(text, {account, after, device, limit}), most_bytes_read);
            },
            Database::After::log);
    }

    Task<Result<ArchivePage>> query(AccountId account, ArchiveQuery query) override {
        const bool is_search = query.is_search();
        const auto work = [account, query = std::move(query)](Connection& connection) { return query_archive(connection, account, query); };
        return is_search ? database_.search<ArchivePage>(work, Database::After::log) : database_.read<ArchivePage>(work, Database::After::log);
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
        auto finding = database_.read<std::vector<Position>>(
            [=](Connection& connection) -> Result<std::vector<Position>> {
                return find_delivered(connection, unseen, limit);
            },
            Database::After::log);
        auto found = co_await finding;
        if (!found) co_return Failure{found.error()};
        auto removing = remove(std::move(*found));
        co_return co_await removing;
    }

    Task<Result<std::size_t>> remove_delivered_unarchived(Time unseen, std::size_t limit) override {
        std::size_t removed = 0;
        for (std::optional<Position> after = std::exchange(swept_, {}); after && removed < limit;) {
            auto looking = database_.read<Looked>(
                [from = *after, unseen](Connection& connection) -> Result<Looked> {
                    return look_behind(connection, from, unseen);
                },
                Database::After::log);
            auto looked = co_await looking;
            if (!looked) co_return Failure{looked.error()};
            after = looked->at;
            if (looked->delivered.size() > limit - removed) looked->delivered.resize(limit - removed);
            if (!looked->delivered.empty() && removed + looked->delivered.size() == limit) swept_ = looked->delivered.back();
            auto removing = remove(std::move(looked->delivered));
            const auto gone = co_await removing;
            if (!gone) co_return Failure{gone.error()};
            removed += *gone;
        }
        co_return Result<std::size_t>{removed};
    }

private:
    Task<Result<std::size_t>> remove(std::vector<Position> entries) {
        if (entries.empty()) co_return Result<std::size_t>{std::size_t{0}};
        auto removing = database_.transact<std::size_t>(
            [entries = std::move(entries)](Connection& connection) -> Result<std::size_t> {
                return remove_entries(connection, entries);
            });
        co_return co_await removing;
    }

    Database& database_;
    Position swept_;   // where the next batch of entries for devices alone begins; there is one sweep at a time
};

}  // namespace

Entries read_entries(AccountId account, Rows rows, std::size_t most_bytes) {
    Entries entries;
    std::size_t bytes = 0;
    while (bytes < most_bytes && rows.next()) {
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
        bytes += entry.xml.size();
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
