// SPDX-License-Identifier: MIT
// Accounts and their devices. What asks for devices waits for the log first, so that their cursors are up to
// date.
#include <algorithm>
#include <set>

#include "storage/sql/statements.h"
#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

constexpr std::string_view columns =
    "a.id, a.jid, a.phone, a.salt, a.iterations, a.created, a.disabled, a.last_logout, a.last_status, "
    "d.id, d.name, d.role, d.stored_sha1, d.server_sha1, d.stored_sha256, d.server_sha256, d.stored_sha512, "
    "d.server_sha512, d.created, d.last_seen, c.position, d.reads_archive, d.software, d.linked_by, "
    "d.identity_key, d.identity_signature, d.omemo_id, d.networks ";
constexpr std::string_view with_devices =
    "LEFT JOIN devices d ON d.account_id = a.id "
    "LEFT JOIN device_cursors c ON c.account_id = d.account_id AND c.device = d.id ";
constexpr std::string_view insert_account =
    "INSERT INTO accounts (domain, jid, phone, salt, iterations, created, disabled, last_logout, "
    "last_status) VALUES ";
constexpr std::string_view insert_device =
    "INSERT INTO devices (account_id, id, name, role, stored_sha1, server_sha1, stored_sha256, "
    "server_sha256, stored_sha512, server_sha512, created, last_seen, software, linked_by, identity_key, "
    "identity_signature, omemo_id, networks) VALUES ";
constexpr std::size_t device_columns = 18;
constexpr std::string_view insert_cursor =
    "INSERT INTO device_cursors (account_id, device, position) VALUES ";

// Rooms have one for their log.
constexpr std::string_view is_no_room = "NOT EXISTS (SELECT 1 FROM rooms r WHERE r.jid = accounts.jid)";
constexpr std::string_view count_all = "SELECT (SELECT COUNT(*) FROM accounts) - (SELECT COUNT(*) FROM rooms)";

constexpr std::string_view insert_partial = "INSERT INTO partial_devices (account_id, device) VALUES ";

using AccountRow = std::array<Value, 9>;
using PartialRow = std::array<Value, 2>;
using DeviceRow = std::array<Value, device_columns>;
using CursorRow = std::array<Value, 3>;

AccountRow row_of(const Account& account) {
    const JidView jid = account.jid.view().bare();
    return {jid.domainpart(), jid.text(),       account.phone,       Bytes{account.salt}, account.iterations,
            account.created,  account.disabled, account.last_logout, account.last_status};
}

DeviceRow row_of(AccountId account, const Device& device) {
    const auto &sha1 = device.verifiers[0], &sha256 = device.verifiers[1], &sha512 = device.verifiers[2];
    return {account,
            device.id,
            device.name,
            static_cast<int>(device.role),
            Bytes{sha1.stored_key},
            Bytes{sha1.server_key},
            Bytes{sha256.stored_key},
            Bytes{sha256.server_key},
            Bytes{sha512.stored_key},
            Bytes{sha512.server_key},
            device.created,
            device.last_seen,
            device.software,
            device.linked_by,
            device.identity_key,
            device.identity_signature,
            device.omemo_id,
            device.networks};
}

Device read_device(Rows& rows) {
    constexpr int first = 9;
    Device device;
    device.id = rows.text(first);
    device.name = rows.text(first + 1);
    device.role = static_cast<DeviceRole>(rows.integer(first + 2));
    for (std::size_t hash = 0; hash < hash_count; ++hash) {
        const int column = first + 3 + static_cast<int>(hash) * 2;
        device.verifiers[hash].stored_key = rows.text(column);
        device.verifiers[hash].server_key = rows.text(column + 1);
    }
    device.created = rows.time(first + 9);
    device.last_seen = rows.time(first + 10);
    device.cursor = rows.natural(first + 11);
    device.reads_archive = rows.flag(first + 12);
    device.software = rows.text(first + 13);
    device.linked_by = rows.text(first + 14);
    device.identity_key = rows.text(first + 15);
    device.identity_signature = rows.text(first + 16);
    device.omemo_id = rows.text(first + 17);
    device.networks = rows.text(first + 18);
    return device;
}

Account read_account(Rows& rows) {
    Account account;
    account.id = rows.natural(0);
    account.jid = stored_jid(rows.text(1));
    account.phone = rows.text(2);
    account.salt = rows.text(3);
    account.iterations = static_cast<std::uint32_t>(rows.natural(4));
    account.created = rows.time(5);
    account.disabled = rows.flag(6);
    account.last_logout = rows.time(7);
    account.last_status = rows.text(8);
    return account;
}

// One row for each device, accounts together.
std::vector<Account> read_accounts(Rows rows) {
    std::vector<Account> accounts;
    while (rows.next()) {
        if (accounts.empty() || accounts.back().id != rows.natural(0)) accounts.push_back(read_account(rows));
        if (!rows.is_null(9)) accounts.back().devices.push_back(read_device(rows));
    }
    return accounts;
}

bool is_partial(const Device& device) {
    return std::ranges::any_of(device.verifiers, [](const Verifier& verifier) { return verifier.stored_key.empty(); });
}

void insert(Connection& connection, AccountId account, const Device& device, LogId cursor) {
    connection.change(with_rows(insert_device, device_columns, 1), row_of(account, device));
    if (is_partial(device)) connection.change(with_rows(insert_partial, 2, 1), PartialRow{account, device.id});
    const CursorRow row{account, device.id, cursor};
    connection.change(with_rows(insert_cursor, 3, 1), row);
}

// ---- many at once -------------------------------------------------------------------------------

// The ids of those accounts, all of one domain, that exist.
std::map<std::string, AccountId, std::less<>> ids_of(Connection& connection,
                                                     std::span<const Account* const> accounts) {
    std::map<std::string, AccountId, std::less<>> ids;
    for (std::size_t first = 0; first < accounts.size();) {
        const std::size_t count = rows_at_once(accounts.size() - first);
        std::string text = "SELECT jid, id FROM accounts WHERE domain = ? AND jid IN (?";
        for (std::size_t i = 1; i < count; ++i) text += ",?";
        text += ')';
        std::vector<Value> values{accounts[first]->jid.domainpart()};
        for (std::size_t i = first; i < first + count; ++i)
            values.emplace_back(accounts[i]->jid.view().bare().text());
        Rows rows = connection.query(text, values);
        while (rows.next()) ids.emplace(rows.text(0), rows.natural(1));
        first += count;
    }
    return ids;
}

// Accounts of one domain, none twice.
Result<std::size_t> create_group(Connection& connection, std::span<const Account* const> accounts) {
    std::optional<StorageError> refused;
    const auto refuse = [&refused](const StorageError& error) { refused = error; };
    const auto existing = ids_of(connection, accounts);
    std::vector<const Account*> fresh;
    std::vector<AccountRow> account_rows;
    for (const Account* account : accounts) {
        if (existing.contains(account->jid.view().bare().text())) continue;
        fresh.push_back(account);
        account_rows.push_back(row_of(*account));
    }
    insert_rows(connection, insert_account, {}, account_rows, refuse);
    const auto ids = ids_of(connection, fresh);
    std::vector<DeviceRow> device_rows;
    std::vector<CursorRow> cursor_rows;
    std::vector<PartialRow> partial_rows;
    for (const Account* account : fresh) {
        const auto id = ids.find(account->jid.view().bare().text());
        if (id == ids.end()) continue;  // refused, and the whole group with it
        for (const Device& device : account->devices) {
            device_rows.push_back(row_of(id->second, device));
            cursor_rows.push_back({id->second, device.id, device.cursor});
            if (is_partial(device)) partial_rows.push_back({id->second, device.id});
        }
    }
    insert_rows(connection, insert_device, {}, device_rows, refuse);
    insert_rows(connection, insert_cursor, {}, cursor_rows, refuse);
    insert_rows(connection, insert_partial, {}, partial_rows, refuse);
    if (refused) return Failure<StorageError>{*refused};
    return fresh.size();
}

// How many of the accounts from `first` on go into one transaction; those that came before in it are left
// out.
std::size_t choose_group(const std::vector<Account>& accounts, std::size_t first,
                         std::vector<const Account*>& group) {
    constexpr std::size_t most = 1000;
    std::set<std::string_view> seen;
    std::size_t end = first;
    for (; end < accounts.size() && end < first + most; ++end) {
        const Account& account = accounts[end];
        if (account.jid.domainpart() != accounts[first].jid.domainpart()) break;
        if (seen.insert(account.jid.view().bare().text()).second) group.push_back(&account);
    }
    return end - first;
}

// ---- the interface ------------------------------------------------------------------------------

class SqlAccounts final : public Accounts {
public:
    explicit SqlAccounts(Database& database) : database_{database} {}

    Task<Result<std::optional<Account>>> find(Jid bare) override {
        using Found = std::optional<Account>;
        return database_.read<Found>(
            [bare = bare.bare()](Connection& connection) -> Result<Found> {
                static const std::string text =
                    concat({"SELECT ", columns, "FROM accounts a ", with_devices,
                            "WHERE a.domain = ? AND a.jid = ? ORDER BY d.created, d.id"});
                auto accounts = read_accounts(connection.query(text, {bare.domainpart(), bare.text()}));
                if (accounts.empty()) return Found{};
                return Found{std::move(accounts.front())};
            },
            Database::After::log);
    }

    Task<Result<AccountId>> create(Account account) override {
        return database_.transact<AccountId>(
            [account = std::move(account)](Connection& connection) -> Result<AccountId> {
                connection.change(with_rows(insert_account, 9, 1), row_of(account));
                const AccountId id = connection.last_id();
                for (const Device& device : account.devices) insert(connection, id, device, device.cursor);
                return id;
            });
    }

    Task<Result<std::size_t>> create_all(std::vector<Account> accounts) override {
        std::size_t made = 0;
        for (std::size_t first = 0; first < accounts.size();) {
            std::vector<const Account*> group;
            first += choose_group(accounts, first, group);
            auto task = database_.transact<std::size_t>(
                [&group](Connection& connection) { return create_group(connection, group); });
            Result<std::size_t> result = co_await task;
            if (!result) co_return std::move(result);
            made += *result;
        }
        co_return Result<std::size_t>{made};
    }

    Task<Result<void>> remove(AccountId account) override {
        auto emptying = empty_log(database_, account);
        const auto emptied = co_await emptying;
        if (!emptied) co_return Failure{emptied.error()};
        auto removing = database_.transact<void>(
            [account](Connection& connection) -> Result<void> {
                // Who gets this address later does not belong to its rooms.
                connection.change("DELETE FROM room_affiliations WHERE jid = (SELECT jid FROM accounts WHERE id = ?)", {account});
                // Everything else goes with it, by its foreign keys.
                return must_match(connection.change("DELETE FROM accounts WHERE id = ?", {account}));
            },
            Database::After::log);
        co_return co_await removing;
    }

    Task<Result<std::vector<Account>>> list(std::string domain, std::string after,
                                            std::size_t limit) override {
        using List = std::vector<Account>;
        return database_.read<List>([=](Connection& connection) -> Result<List> {
            const auto text = [](std::string_view where) {
                return concat({"SELECT ", columns, "FROM (SELECT * FROM accounts WHERE ", where, " AND ", is_no_room,
                               " ORDER BY jid LIMIT ?) a ", with_devices, "ORDER BY a.jid, d.created, d.id"});
            };
            if (domain.empty()) return read_accounts(connection.query(text("jid > ?"), {after, limit}));
            return read_accounts(connection.query(text("domain = ? AND jid > ?"), {domain, after, limit}));
        });
    }

    Task<Result<std::uint64_t>> count(std::string domain) override {
        return database_.read<std::uint64_t>([domain = std::move(domain)](
                                                 Connection& connection) -> Result<std::uint64_t> {
            Rows rows = domain.empty()
                            ? connection.query(count_all)
                            : connection.query("SELECT COUNT(*) FROM accounts WHERE domain = ?", {domain});
            return rows.next() ? rows.natural(0) : 0;
        });
    }

    Task<Result<void>> set_disabled(AccountId account, bool disabled) override {
        return database_.set<void>([=](Connection& connection) -> Result<void> {
            return must_match(
                connection.change("UPDATE accounts SET disabled = ? WHERE id = ?", {disabled, account}));
        });
    }

    Task<Result<void>> set_last_logout(AccountId account, Time when, std::string status) override {
        return database_.set<void>([=](Connection& connection) -> Result<void> {
            return must_match(
                connection.change("UPDATE accounts SET last_logout = ?, last_status = ? WHERE id = ?",
                                  {when, status, account}));
        });
    }

    Task<Result<void>> replace_devices(AccountId account, Salt salt, Device device) override {
        return database_.transact<void>(
            [account, salt = std::move(salt),
             device = std::move(device)](Connection& connection) -> Result<void> {
                Result<void> found =
                    must_match(connection.change("UPDATE accounts SET salt = ?, iterations = ? WHERE id = ?",
                                                 {Bytes{salt.bytes}, salt.iterations, account}));
                if (!found) return found;
                const LogId cursor = lowest_cursor(connection, account).value_or(device.cursor);
                connection.change("DELETE FROM devices WHERE account_id = ?", {account});
                insert(connection, account, device, cursor);
                return {};
            },
            Database::After::log);
    }

    Task<Result<bool>> add_device(AccountId account, Device device, std::size_t most) override {
        return database_.transact<bool>(
            [account, device = std::move(device), most](Connection& connection) -> Result<bool> {
                // First a change, which locks the row: two that come at once do not count the same devices.
                const Result<void> found = must_match(
                    connection.change("UPDATE accounts SET iterations = iterations WHERE id = ?", {account}));
                if (!found) return Failure{found.error()};
                // Another salt came when all devices went: a key that was made for the old one opens nothing.
                if (!device.linked_by.empty() && !has_device(connection, account, device.linked_by))
                    return failure(StorageError::Kind::not_found, "who approved the device is gone");
                Rows rows = connection.query("SELECT COUNT(*) FROM devices WHERE account_id = ?", {account});
                if (rows.next() && rows.natural(0) >= most) return false;
                insert(connection, account, device, device.cursor);
                return true;
            });
    }

    Task<Result<void>> remove_device(AccountId account, std::string device) override {
        return database_.transact<void>(
            [=](Connection& connection) -> Result<void> {
                return must_match(connection.change("DELETE FROM devices WHERE account_id = ? AND id = ?",
                                                    {account, device}));
            },
            Database::After::log);
    }

    Task<Result<void>> set_reads_archive(AccountId account, std::string device, bool reads) override {
        return database_.set<void>([=](Connection& connection) -> Result<void> {
            return must_match(connection.change(
                "UPDATE devices SET reads_archive = ? WHERE account_id = ? AND id = ?", {reads, account, device}));
        });
    }
    Task<Result<void>> set_device_seen(AccountId account, std::string device, Time when) override {
        return database_.set<void>([=](Connection& connection) -> Result<void> {
            return must_match(connection.change(
                "UPDATE devices SET last_seen = ? WHERE account_id = ? AND id = ?", {when, account, device}));
        });
    }
    Task<Result<void>> set_device_software(AccountId account, std::string device, std::string software) override {
        return database_.set<void>([=](Connection& connection) -> Result<void> {
            return must_match(connection.change(
                "UPDATE devices SET software = ? WHERE account_id = ? AND id = ?", {software, account, device}));
        });
    }
    Task<Result<void>> set_device_networks(AccountId account, std::string device, std::string networks) override {
        return database_.set<void>([=](Connection& connection) -> Result<void> {
            return must_match(connection.change(
                "UPDATE devices SET networks = ? WHERE account_id = ? AND id = ?", {networks, account, device}));
        });
    }

    Task<Result<void>> add_verifier(AccountId account, std::string device, Hash hash, Verifier verifier, std::string wrong) override {
        return database_.transact<void>([=](Connection& connection) -> Result<void> {
            const std::string_view name = names[static_cast<std::size_t>(hash)];
            const Result<void> set = must_match(
                connection.change(concat({"UPDATE devices SET stored_", name, " = ?, server_", name, " = ? WHERE account_id = ? AND id = ? AND (LENGTH(stored_", name, ") = 0 OR stored_", name, " = ?)"}),
                                  {Bytes{verifier.stored_key}, Bytes{verifier.server_key}, account, device, Bytes{wrong}}));
            if (!set) return set;
            connection.change(
                "DELETE FROM partial_devices WHERE account_id = ? AND device = ? AND EXISTS (SELECT 1 FROM devices d "
                "WHERE d.account_id = partial_devices.account_id AND d.id = partial_devices.device AND "
                "LENGTH(d.stored_sha1) > 0 AND LENGTH(d.stored_sha256) > 0 AND LENGTH(d.stored_sha512) > 0)",
                {account, device});
            return {};
        });
    }

    Task<Result<std::vector<PartialAccount>>> partial() override {
        using All = std::vector<PartialAccount>;
        return database_.read<All>([](Connection& connection) -> Result<All> {
            Rows rows = connection.query(
                "SELECT a.jid, MIN(LENGTH(d.stored_sha1)), MIN(LENGTH(d.stored_sha256)), MIN(LENGTH(d.stored_sha512)) "
                "FROM partial_devices p JOIN devices d ON d.account_id = p.account_id AND d.id = p.device "
                "JOIN accounts a ON a.id = p.account_id GROUP BY a.jid");
            All all;
            while (rows.next()) {
                PartialAccount& account = all.emplace_back();
                account.jid = stored_jid(rows.text(0));
                for (std::size_t hash = 0; hash < hash_count; ++hash) account.lacks[hash] = rows.natural(static_cast<int>(hash) + 1) == 0;
            }
            return all;
        });
    }

private:
    static constexpr std::array<std::string_view, hash_count> names{"sha1", "sha256", "sha512"};   // in columns; by Hash

    static Result<void> must_match(std::uint64_t rows) {
        if (rows > 0) return {};
        return failure(StorageError::Kind::not_found, "no such account or device");
    }
    static bool has_device(Connection& connection, AccountId account, std::string_view device) {
        return connection.query("SELECT 1 FROM devices WHERE account_id = ? AND id = ?", {account, device}).next();
    }
    static std::optional<LogId> lowest_cursor(Connection& connection, AccountId account) {
        Rows rows =
            connection.query("SELECT MIN(position) FROM device_cursors WHERE account_id = ?", {account});
        if (!rows.next() || rows.is_null(0)) return std::nullopt;
        return rows.natural(0);
    }

    Database& database_;
};

}  // namespace

std::unique_ptr<Accounts> make_accounts(Database& database) {
    return std::make_unique<SqlAccounts>(database);
}

}  // namespace storage::sql
