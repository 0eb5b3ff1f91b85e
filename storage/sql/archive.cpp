// SPDX-License-Identifier: MIT
// The SQL of archive queries (XEP-0313) over the accounts' logs, and of archiving preferences (XEP-0441).
#include <algorithm>

#include "storage/sql/log_rows.h"
#include "storage/sql/statements.h"
#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

constexpr std::string_view is_archived =
    "NOT EXISTS (SELECT 1 FROM unarchived_entries u WHERE u.account_id = m.account_id AND u.log_id = m.id)";

bool is_there(Connection& connection, AccountId account, LogId id) {
    static const std::string text =
        concat({"SELECT 1 FROM message_log m WHERE account_id = ? AND id = ? AND ", is_archived});
    return connection.query(text, {account, id}).next();
}

// What LIKE takes for wildcards is looked for as it is.
std::string containing(std::string_view word) {
    std::string pattern = "%";
    for (const char c : word) {
        if (c == '%' || c == '_' || c == '!') pattern += '!';
        pattern += c;
    }
    return pattern + '%';
}

// The WHERE clause of a query, and its values; texts are few, so that each is prepared once.
struct Condition {
    Condition(AccountId account, const ArchiveQuery& query) {
        text = concat({"m WHERE account_id = ? AND id >= ? AND id <= ? AND ", is_archived});
        values = {account, query.from, query.to};
        if (query.with) {
            bare = query.with->view().bare().text();
            resource = query.with->view().resourcepart();
            text += " AND peer_bare = ?";
            values.emplace_back(bare);
            if (!resource.empty()) {
                text += " AND peer_resource = ?";
                values.emplace_back(resource);
            }
        }
        for (const std::string& word : query.words) patterns.push_back(containing(word));
        for (const std::string& pattern : patterns) {
            text += " AND words LIKE ? ESCAPE '!'";
            values.emplace_back(pattern);
        }
    }
    Condition(const Condition&) = delete;  // the values look into it
    Condition& operator=(const Condition&) = delete;

    std::string text, bare, resource;
    std::vector<std::string> patterns;
    std::vector<Value> values;
};

// Those of the ids that the condition holds for.
ArchivePage read_these(Connection& connection, AccountId account, const Condition& condition, std::vector<LogId> ids) {
    const std::string text = concat({entry_columns, condition.text, " AND id = ?"});
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    std::vector<Value> values = condition.values;
    values.emplace_back(LogId{0});
    ArchivePage page;
    page.is_complete = true;
    for (const LogId id : ids) {
        page.is_complete = bytes_of(page.entries) < most_bytes_read;
        if (!page.is_complete) break;
        values.back() = id;
        for (LogEntry& entry : read_entries(account, connection.query(text, values)))
            page.entries.push_back(std::move(entry));
    }
    page.count = page.entries.size();
    return page;
}

std::string joined(const std::vector<Jid>& jids) {
    std::string text;
    for (const Jid& jid : jids) text.append(jid.text()).append("\n");
    return text;
}

std::vector<Jid> split(std::string_view text) {
    std::vector<Jid> jids;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        jids.push_back(stored_jid(text.substr(0, end)));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return jids;
}

class SqlArchivePreferences final : public ArchivePreferencesOf {
public:
    explicit SqlArchivePreferences(Database& database) : database_{database} {}

    Task<Result<std::optional<ArchivePreferences>>> load(AccountId account) override {
        return database_.read<std::optional<ArchivePreferences>>(
            [account](Connection& connection) -> Result<std::optional<ArchivePreferences>> {
                Rows rows = connection.query(
                    "SELECT by_default, always_jids, never_jids FROM archive_preferences WHERE account_id = ?",
                    {account});
                if (!rows.next()) return std::optional<ArchivePreferences>{};
                ArchivePreferences preferences;
                preferences.by_default = static_cast<Archiving>(rows.integer(0));
                preferences.always = split(rows.text(1));
                preferences.never = split(rows.text(2));
                return std::optional{std::move(preferences)};
            });
    }

    Task<Result<void>> store(AccountId account, ArchivePreferences preferences) override {
        return database_.set<void>([account, by_default = static_cast<int>(preferences.by_default),
                                    always = joined(preferences.always),
                                    never = joined(preferences.never)](Connection& connection) -> Result<void> {
            connection.change("REPLACE INTO archive_preferences (account_id, by_default, always_jids, never_jids) "
                              "VALUES (?,?,?,?)",
                              {account, by_default, always, never});
            return {};
        });
    }

private:
    Database& database_;
};

}  // namespace

Result<ArchivePage> query_archive(Connection& connection, AccountId account, const ArchiveQuery& query) {
    for (const auto* const named : {&query.must_exist, &query.ids}) {
        for (const LogId id : *named) {
            if (!is_there(connection, account, id) && !connection.failed())
                return failure(StorageError::Kind::not_found, "no such entry in the archive");
        }
    }
    ArchivePage page;
    Condition condition{account, query};
    if (!query.ids.empty()) return read_these(connection, account, condition, query.ids);
    if (query.is_counted) {
        Rows rows = connection.query(concat({"SELECT COUNT(*) FROM message_log ", condition.text}), condition.values);
        if (rows.next()) page.count = rows.natural(0);
    }
    condition.values.emplace_back(query.limit + 1);  // one more tells whether that was all
    const std::string_view order = query.backwards ? " ORDER BY id DESC LIMIT ?" : " ORDER BY id LIMIT ?";
    page.entries =
        read_entries(account, connection.query(concat({entry_columns, condition.text, order}), condition.values), most_bytes_read);
    page.is_complete = page.entries.size() <= query.limit && bytes_of(page.entries) < most_bytes_read;
    if (page.entries.size() > query.limit) page.entries.pop_back();
    if (query.backwards) std::reverse(page.entries.begin(), page.entries.end());
    return page;
}

// Each from its end of the log: MIN and MAX together look at all of it.
ArchiveEnds archive_ends(Connection& connection, AccountId account) {
    static const std::string first = concat({"SELECT id FROM message_log m WHERE account_id = ? AND ", is_archived, " ORDER BY id LIMIT 1"});
    static const std::string last = concat({"SELECT id FROM message_log m WHERE account_id = ? AND ", is_archived, " ORDER BY id DESC LIMIT 1"});
    const auto id = [&](const std::string& text) {
        Rows rows = connection.query(text, {account});
        return rows.next() ? rows.natural(0) : LogId{0};
    };
    const LogId begin = id(first);
    return {begin, std::max(begin, id(last))};   // what was there may have gone in between
}

std::unique_ptr<ArchivePreferencesOf> make_archive_preferences(Database& database) {
    return std::make_unique<SqlArchivePreferences>(database);
}

}  // namespace storage::sql
