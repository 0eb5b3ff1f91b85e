// SPDX-License-Identifier: MIT
// The SQL of one group of appends, cursor moves and marks.
#include "storage/sql/log_slice.h"

#include <array>

#include "storage/sql/statements.h"

namespace storage::sql {

namespace {

constexpr std::size_t bytes_per_insert = 1U << 20U;  // well below every server's packet limit

constexpr std::string_view insert_entry =
    "INSERT INTO message_log (account_id, id, direction, peer_bare, peer_resource, stanza_type, origin_id, "
    "words, xml) VALUES ";
constexpr std::size_t entry_columns = 9;

void add_values(std::vector<Value>& values, const LogEntry& entry) {
    const JidView peer = entry.peer.view();
    values.emplace_back(entry.account);
    values.emplace_back(entry.id);
    values.emplace_back(static_cast<int>(entry.direction));
    values.emplace_back(peer.bare().text());
    values.emplace_back(peer.resourcepart());
    values.emplace_back(entry.stanza_type);
    values.emplace_back(entry.origin_id);
    values.emplace_back(entry.words);
    values.emplace_back(entry.xml.bytes());
}

// An entry of which we may have written the row already is left as it is. Not INSERT IGNORE: that would also
// hide values that were cut short.
std::string_view unless_there(Dialect dialect) {
    return dialect == Dialect::sqlite ? " ON CONFLICT (account_id, id) DO NOTHING"
                                      : " ON DUPLICATE KEY UPDATE message_log.id = message_log.id";
}

// An error of a single row is noted; any other stays with the connection and ends the work.
std::optional<StorageError> error_of_the_row(Connection& connection) {
    auto error = connection.take_error();
    if (!error) return std::nullopt;
    if (error->is_of_the_row()) return to_storage_error(*error);
    connection.fail(std::move(*error));
    return std::nullopt;
}

}  // namespace

std::size_t Append::size() const {
    return sizeof(Append) + entry.xml.size() + entry.peer.text().size() + entry.origin_id.size() + entry.words.size();
}

bool LogSlice::run(Connection& connection) {
    for (Append& append : appends) append.error.reset();
    insert_entries(connection);
    insert_unarchived(connection);
    move_cursors(connection);
    insert_marks(connection);
    remove_passed_marks(connection);
    return true;
}

void LogSlice::insert_entries(Connection& connection) {
    std::vector<Value> values;
    for (std::size_t first = 0; first < appends.size() && !connection.failed();) {
        // A row that could not be sent at all would cost the connection again and again.
        if (appends[first].size() > connection.largest_value()) {
            appends[first].error.emplace(StorageError::Kind::broken,
                                         "a log entry larger than the database takes");
            ++first;
            continue;
        }
        std::size_t fitting = 0, bytes = 0;
        while (first + fitting < appends.size() && fitting < most_rows) {
            bytes += appends[first + fitting].size();
            if (fitting > 0 && (bytes > bytes_per_insert || bytes > connection.largest_value())) break;
            ++fitting;
        }
        const std::size_t count = rows_at_once(fitting);
        values.clear();
        for (std::size_t i = first; i < first + count; ++i) add_values(values, appends[i].entry);
        const auto end =
            appends[first].may_be_there ? unless_there(connection.dialect()) : std::string_view{};
        connection.change(with_rows(insert_entry, entry_columns, count, end), values);
        if (auto error = error_of_the_row(connection)) {
            if (count == 1) {
                appends[first].error = std::move(error);
            } else {
                insert_one_by_one(connection, first, count);
            }
        }
        first += count;
    }
}

void LogSlice::insert_one_by_one(Connection& connection, std::size_t first, std::size_t count) {
    std::vector<Value> values;
    for (std::size_t i = first; i < first + count && !connection.failed(); ++i) {
        values.clear();
        add_values(values, appends[i].entry);
        const auto end = appends[i].may_be_there ? unless_there(connection.dialect()) : std::string_view{};
        connection.change(with_rows(insert_entry, entry_columns, 1, end), values);
        appends[i].error = error_of_the_row(connection);
    }
}

void LogSlice::insert_unarchived(Connection& connection) {
    static constexpr std::string_view begin = "REPLACE INTO unarchived_entries (account_id, log_id) VALUES ";
    std::vector<std::array<Value, 2>> rows;
    for (const Append& append : appends) {
        if (!append.entry.is_archived && !append.error)
            rows.push_back({Value{append.entry.account}, Value{append.entry.id}});
    }
    if (!rows.empty()) insert_rows(connection, begin, {}, rows, [](const StorageError&) {});
}

void LogSlice::move_cursors(Connection& connection) {
    static constexpr std::string_view begin =
        "INSERT INTO device_cursors (account_id, device, position) VALUES ";
    const std::string_view forward_only =
        connection.dialect() == Dialect::sqlite
            ? " ON CONFLICT (account_id, device) DO UPDATE SET position = max(position, excluded.position)"
            : " ON DUPLICATE KEY UPDATE position = GREATEST(position, VALUES(position))";
    std::vector<std::array<Value, 3>> rows;
    rows.reserve(cursors.size());
    for (const auto& [key, to] : cursors) rows.push_back({Value{key.account}, Value{key.device}, Value{to}});
    // A device that is gone has no cursor to move.
    insert_rows(connection, begin, forward_only, rows, [](const StorageError&) {});
}

void LogSlice::insert_marks(Connection& connection) {
    static constexpr std::string_view begin =
        "REPLACE INTO delivered_out_of_turn (account_id, device, log_id) VALUES ";
    std::vector<std::array<Value, 3>> rows;
    rows.reserve(marks.size());
    for (const Mark& mark : marks) {
        rows.push_back({Value{mark.device.account}, Value{mark.device.device}, Value{mark.id}});
    }
    insert_rows(connection, begin, {}, rows, [](const StorageError&) {});
}

void LogSlice::remove_passed_marks(Connection& connection) {
    for (const Mark& mark : passed) {
        connection.change(
            "DELETE FROM delivered_out_of_turn WHERE account_id = ? AND device = ? AND log_id <= ?",
            {mark.device.account, mark.device.device, mark.id});
    }
}

}  // namespace storage::sql
