// SPDX-License-Identifier: MIT
// XEP-0049 private XML, XEP-0054 vCards and XEP-0191 block lists.
#include "storage/sql/statements.h"
#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

// What one account may keep of private XML: far beyond what clients do, for XEP-0049 knows no end of it.
constexpr std::size_t most_elements = 1000;
constexpr std::uint64_t most_bytes = 1U << 20U;

bool keeps_too_much(Connection& connection, AccountId account) {
    // SQLite counts the characters of a text.
    Rows rows = connection.query(connection.dialect() == Dialect::sqlite
                                     ? "SELECT LENGTH(CAST(xml AS BLOB)) FROM private_xml WHERE account_id = ?"
                                     : "SELECT LENGTH(xml) FROM private_xml WHERE account_id = ?",
                                 {account});
    std::size_t elements = 0;
    std::uint64_t bytes = 0;
    for (; rows.next(); ++elements) bytes += rows.natural(0);
    return elements > most_elements || bytes > most_bytes;
}

std::string only_text(Rows rows) { return rows.next() ? rows.text(0) : std::string{}; }

class SqlPrivateXml final : public PrivateXml {
public:
    explicit SqlPrivateXml(Database& database) : database_{database} {}

    Task<Result<std::string>> load(AccountId account, std::string key) override {
        return database_.read<std::string>(
            [account, key = std::move(key)](Connection& connection) -> Result<std::string> {
                return only_text(connection.query(
                    "SELECT xml FROM private_xml WHERE account_id = ? AND element = ?", {account, key}));
            });
    }
    Task<Result<void>> store(AccountId account, std::string key, std::string xml) override {
        return database_.transact<void>(
            [account, key = std::move(key), xml = std::move(xml)](Connection& connection) -> Result<void> {
                if (xml.empty()) {
                    connection.change("DELETE FROM private_xml WHERE account_id = ? AND element = ?",
                                      {account, key});
                    return {};
                }
                connection.change("REPLACE INTO private_xml (account_id, element, xml) VALUES (?,?,?)",
                                  {account, key, xml});
                if (keeps_too_much(connection, account))
                    return Failure{StorageError{StorageError::Kind::full, "as much private XML as there may be"}};
                return {};
            });
    }
    Task<Result<std::vector<std::string>>> all(AccountId account) override {
        using Elements = std::vector<std::string>;
        return database_.read<Elements>([account](Connection& connection) -> Result<Elements> {
            Rows rows = connection.query("SELECT xml FROM private_xml WHERE account_id = ? ORDER BY element", {account});
            Elements elements;
            while (rows.next()) elements.push_back(rows.text(0));
            return elements;
        });
    }

private:
    Database& database_;
};

class SqlVcards final : public Vcards {
public:
    explicit SqlVcards(Database& database) : database_{database} {}

    Task<Result<std::string>> load(AccountId account) override {
        return database_.read<std::string>([account](Connection& connection) -> Result<std::string> {
            return only_text(connection.query("SELECT xml FROM vcards WHERE account_id = ?", {account}));
        });
    }
    Task<Result<void>> store(AccountId account, std::string xml) override {
        return database_.set<void>([account, xml = std::move(xml)](Connection& connection) -> Result<void> {
            if (xml.empty()) {
                connection.change("DELETE FROM vcards WHERE account_id = ?", {account});
            } else {
                connection.change("REPLACE INTO vcards (account_id, xml) VALUES (?,?)", {account, xml});
            }
            return {};
        });
    }

private:
    Database& database_;
};

class SqlBlockLists final : public BlockLists {
public:
    explicit SqlBlockLists(Database& database) : database_{database} {}

    Task<Result<std::vector<Jid>>> load(AccountId account) override {
        using Jids = std::vector<Jid>;
        return database_.read<Jids>([account](Connection& connection) -> Result<Jids> {
            Jids jids;
            Rows rows =
                connection.query("SELECT jid FROM block_list WHERE account_id = ? ORDER BY jid", {account});
            while (rows.next()) jids.push_back(stored_jid(rows.text(0)));
            return jids;
        });
    }
    Task<Result<void>> change(AccountId account, std::vector<Jid> block, std::vector<Jid> unblock) override {
        return database_.transact<void>([account, block = std::move(block), unblock = std::move(unblock)](
                                            Connection& connection) -> Result<void> {
            for (const Jid& jid : unblock) {
                connection.change("DELETE FROM block_list WHERE account_id = ? AND jid = ?",
                                  {account, jid.text()});
            }
            std::optional<StorageError> refused;
            std::vector<std::array<Value, 2>> rows;
            for (const Jid& jid : block) rows.push_back({account, jid.text()});
            insert_rows(connection, "REPLACE INTO block_list (account_id, jid) VALUES ", {}, rows,
                        [&refused](const StorageError& error) { refused = error; });
            if (refused) return Failure<StorageError>{*refused};
            return {};
        });
    }
    Task<Result<void>> clear(AccountId account) override {
        return database_.set<void>([account](Connection& connection) -> Result<void> {
            connection.change("DELETE FROM block_list WHERE account_id = ?", {account});
            return {};
        });
    }

private:
    Database& database_;
};

}  // namespace

std::unique_ptr<PrivateXml> make_private_xml(Database& database) {
    return std::make_unique<SqlPrivateXml>(database);
}
std::unique_ptr<Vcards> make_vcards(Database& database) { return std::make_unique<SqlVcards>(database); }
std::unique_ptr<BlockLists> make_block_lists(Database& database) {
    return std::make_unique<SqlBlockLists>(database);
}

}  // namespace storage::sql
