// SPDX-License-Identifier: MIT
// XEP-0484 §5.1: for each client a token that it uses, and a new one that it has not used yet. They go with their device.
#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

constexpr std::size_t most_clients = 20;   // of a device

class SqlFastTokens final : public FastTokens {
public:
    explicit SqlFastTokens(Database& database) : database_{database} {}

    Task<Result<std::vector<FastToken>>> find(AccountId account, std::string client) override {
        using Tokens = std::vector<FastToken>;
        return database_.read<Tokens>([account, client = std::move(client)](Connection& connection) -> Result<Tokens> {
            Rows rows = connection.query(
                "SELECT client, device, mechanism, seed, expires FROM fast_tokens "
                "WHERE account_id = ? AND client = ? ORDER BY is_new DESC",
                {account, client});
            Tokens tokens;
            while (rows.next()) {
                FastToken token;
                token.client = rows.text(0);
                token.device = rows.text(1);
                token.mechanism = rows.text(2);
                token.seed = rows.text(3);
                token.expires = rows.time(4);
                tokens.push_back(std::move(token));
            }
            return tokens;
        });
    }

    Task<Result<void>> put(AccountId account, FastToken token) override {
        return database_.transact<void>([account, t = std::move(token)](Connection& connection) -> Result<void> {
            connection.change("DELETE FROM fast_tokens WHERE account_id = ? AND client = ? AND is_new = 1", {account, t.client});
            connection.change(
                "INSERT INTO fast_tokens (account_id, client, is_new, device, mechanism, seed, expires, uses) "
                "VALUES (?,?,1,?,?,?,?,0)",
                {account, t.client, t.device, t.mechanism, t.seed, t.expires});
            Rows rows = connection.query(
                "SELECT client, MAX(expires) FROM fast_tokens WHERE account_id = ? AND device = ? GROUP BY client ORDER BY 2 DESC",
                {account, t.device});
            std::vector<std::string> too_many;
            for (std::size_t count = 1; rows.next(); ++count)
                if (count > most_clients) too_many.push_back(rows.text(0));
            for (const std::string& client : too_many) connection.change("DELETE FROM fast_tokens WHERE account_id = ? AND client = ?", {account, client});
            return {};
        });
    }

    Task<Result<void>> remove_expired(Time now) override {
        return database_.set<void>([now](Connection& connection) -> Result<void> {
            connection.change("DELETE FROM fast_tokens WHERE expires <= ?", {now});
            return {};
        });
    }

    Task<Result<std::vector<std::string>>> devices(AccountId account, Time now) override {
        using Devices = std::vector<std::string>;
        return database_.read<Devices>([account, now](Connection& connection) -> Result<Devices> {
            Rows rows = connection.query("SELECT DISTINCT device FROM fast_tokens WHERE account_id = ? AND expires > ?", {account, now});
            Devices devices;
            while (rows.next()) devices.push_back(rows.text(0));
            return devices;
        });
    }

    Task<Result<bool>> use(AccountId account, std::string client, std::string seed, std::optional<std::uint32_t> count) override {
        return database_.transact<bool>([=](Connection& connection) -> Result<bool> {
            // The change locks the row: of two that come with one count, one is a replay. Without a count nothing is counted.
            const std::uint64_t used =
                count ? connection.change("UPDATE fast_tokens SET uses = ? WHERE account_id = ? AND client = ? AND seed = ? AND uses < ?",
                                          {*count, account, client, seed, *count})
                      : connection.change("UPDATE fast_tokens SET uses = uses WHERE account_id = ? AND client = ? AND seed = ?",
                                          {account, client, seed});
            if (used == 0) return false;
            Rows rows = connection.query("SELECT is_new FROM fast_tokens WHERE account_id = ? AND client = ? AND seed = ?", {account, client, seed});
            if (!rows.next() || !rows.flag(0)) return true;
            connection.change("DELETE FROM fast_tokens WHERE account_id = ? AND client = ? AND is_new = 0", {account, client});
            connection.change("UPDATE fast_tokens SET is_new = 0 WHERE account_id = ? AND client = ?", {account, client});
            return true;
        });
    }

    Task<Result<void>> remove(AccountId account, std::string client, std::string seed) override {
        return database_.set<void>([=](Connection& connection) -> Result<void> {
            connection.change("DELETE FROM fast_tokens WHERE account_id = ? AND client = ? AND seed = ?", {account, client, seed});
            return {};
        });
    }

private:
    Database& database_;
};

}  // namespace

std::unique_ptr<FastTokens> make_fast_tokens(Database& database) { return std::make_unique<SqlFastTokens>(database); }

}  // namespace storage::sql
