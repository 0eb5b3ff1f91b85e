// SPDX-License-Identifier: MIT
// RFC 6121 §2: roster items. An account's roster is read as a whole; groups are kept in one column.
#include <charconv>

#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

// "7:Friends4:Work": names may hold any character.
std::string join_groups(const std::vector<std::string>& groups) {
    std::string text;
    for (const std::string& group : groups) {
        text += std::to_string(group.size());
        text += ':';
        text += group;
    }
    return text;
}

std::vector<std::string> split_groups(std::string_view text) {
    std::vector<std::string> groups;
    while (!text.empty()) {
        std::size_t size = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
        const auto digits = static_cast<std::size_t>(end - text.data());
        if (error != std::errc{} || digits >= text.size() || text.size() - digits - 1 < size) break;
        groups.emplace_back(text.substr(digits + 1, size));
        text.remove_prefix(digits + 1 + size);
    }
    return groups;
}

class SqlRosters final : public Rosters {
public:
    explicit SqlRosters(Database& database) : database_{database} {}

    Task<Result<std::vector<RosterItem>>> load(AccountId account) override {
        using Items = std::vector<RosterItem>;
        return database_.read<Items>([account](Connection& connection) -> Result<Items> {
            Items items;
            Rows rows = connection.query(
                "SELECT jid, name, subscription, ask, approved, pending_in, request, in_roster, removed, "
                "group_names, version "
                "FROM roster_items WHERE account_id = ? ORDER BY jid",
                {account});
            while (rows.next()) {
                RosterItem& item = items.emplace_back();
                item.jid = stored_jid(rows.text(0));
                item.name = rows.text(1);
                item.subscription = static_cast<Subscription>(rows.integer(2));
                item.ask = rows.flag(3);
                item.approved = rows.flag(4);
                item.pending_in = rows.flag(5);
                item.request = rows.text(6);
                item.in_roster = rows.flag(7);
                item.removed = rows.flag(8);
                item.groups = split_groups(rows.text(9));
                item.version = rows.natural(10);
            }
            return items;
        });
    }

    Task<Result<void>> put(AccountId account, RosterItem item) override {
        return database_.set<void>([account, item = std::move(item)](Connection& connection) -> Result<void> {
            connection.change(
                "REPLACE INTO roster_items (account_id, jid, name, subscription, ask, approved, pending_in, "
                "request, "
                "in_roster, removed, group_names, version) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                {account, item.jid.text(), item.name, static_cast<int>(item.subscription), item.ask,
                 item.approved, item.pending_in, item.request, item.in_roster, item.removed,
                 join_groups(item.groups), item.version});
            return {};
        });
    }

    Task<Result<void>> forget(AccountId account, Jid jid) override {
        return database_.set<void>([account, jid = std::move(jid)](Connection& connection) -> Result<void> {
            connection.change("DELETE FROM roster_items WHERE account_id = ? AND jid = ?",
                              {account, jid.text()});
            return {};
        });
    }

private:
    Database& database_;
};

}  // namespace

std::unique_ptr<Rosters> make_rosters(Database& database) { return std::make_unique<SqlRosters>(database); }

}  // namespace storage::sql
