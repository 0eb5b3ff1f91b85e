// SPDX-License-Identifier: MIT
// One row for each number that may be found, and none for any other: whoever looks for one cannot tell from the time it
// takes whether it is nobody's or somebody's who does not want to be found.
#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

class SqlFindableNumbers final : public FindableNumbers {
public:
    explicit SqlFindableNumbers(Database& database) : database_{database} {}

    Task<Result<bool>> has(AccountId account) override {
        return database_.read<bool>([account](Connection& connection) -> Result<bool> {
            return connection.query("SELECT 1 FROM findable_numbers WHERE account_id = ?", {account}).next();
        });
    }

    Task<Result<void>> put(AccountId account, std::string number) override {
        return database_.transact<void>([account, number = std::move(number)](Connection& connection) -> Result<void> {
            connection.change("DELETE FROM findable_numbers WHERE account_id = ? OR phone = ?", {account, number});
            connection.change("INSERT INTO findable_numbers (phone, account_id) VALUES (?,?)", {number, account});
            return {};
        });
    }

    Task<Result<void>> remove(AccountId account) override {
        return database_.set<void>([account](Connection& connection) -> Result<void> {
            connection.change("DELETE FROM findable_numbers WHERE account_id = ?", {account});
            return {};
        });
    }

    Task<Result<std::vector<Found>>> find(std::vector<std::string> numbers) override {
        using All = std::vector<Found>;
        return database_.read<All>([numbers = std::move(numbers)](Connection& connection) -> Result<All> {
            All all;
            for (const std::string& number : numbers) {
                Rows rows = connection.query(
                    "SELECT f.phone, a.jid FROM findable_numbers f JOIN accounts a ON a.id = f.account_id "
                    "WHERE f.phone = ? AND a.disabled = 0",
                    {number});
                if (rows.next()) all.push_back({rows.text(0), stored_jid(rows.text(1))});
            }
            return all;
        });
    }

private:
    Database& database_;
};

}  // namespace

std::unique_ptr<FindableNumbers> make_findable_numbers(Database& database) { return std::make_unique<SqlFindableNumbers>(database); }

}  // namespace storage::sql
