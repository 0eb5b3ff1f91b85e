// SPDX-License-Identifier: MIT
// Companions that wait to be approved by a device of an account.
#include "storage/sql/statements.h"
#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

class SqlLinkRequests final : public LinkRequests {
public:
    explicit SqlLinkRequests(Database& database) : database_{database} {}

    Task<Result<void>> create(LinkRequest request) override {
        return database_.transact<void>([r = std::move(request)](Connection& connection) -> Result<void> {
            connection.change(
                "INSERT INTO link_requests (id, code, device_name, software, identity_key, omemo_id, created, "
                "expires, account, approved_by, signature, used) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
                {r.id, r.code, r.device_name, r.software, r.identity_key, r.omemo_id, r.created, r.expires,
                 r.account.text(), r.approved_by, r.signature, r.used});
            return {};
        });
    }

    Task<Result<std::optional<LinkRequest>>> find(std::string id) override {
        return find_where("id", std::move(id));
    }
    Task<Result<std::optional<LinkRequest>>> find_by_code(std::string code) override {
        return find_where("code", std::move(code));
    }

    Task<Result<bool>> approve(std::string code, Jid account, std::string device, std::string signature,
                               Time now) override {
        return database_.transact<bool>([=](Connection& connection) -> Result<bool> {
            return connection.change(
                       "UPDATE link_requests SET account = ?, approved_by = ?, signature = ? "
                       "WHERE code = ? AND account = '' AND expires > ?",
                       {account.text(), device, signature, code, now}) > 0;
        });
    }

    Task<Result<bool>> use(std::string id, Time now) override {
        return database_.transact<bool>([id = std::move(id), now](Connection& connection) -> Result<bool> {
            return connection.change(
                       "UPDATE link_requests SET used = 1 "
                       "WHERE id = ? AND account <> '' AND used = 0 AND expires > ?",
                       {id, now}) > 0;
        });
    }

    Task<Result<void>> remove_before(Time before) override {
        return database_.set<void>([before](Connection& connection) -> Result<void> {
            connection.change("DELETE FROM link_requests WHERE created < ?", {before});
            return {};
        });
    }

private:
    using Found = std::optional<LinkRequest>;

    Task<Result<Found>> find_where(std::string_view column, std::string value) {
        return database_.read<Found>([column, value = std::move(value)](Connection& connection) -> Result<Found> {
            Rows rows = connection.query(
                concat({"SELECT id, code, device_name, software, identity_key, omemo_id, created, expires, "
                        "account, approved_by, signature, used FROM link_requests WHERE ",
                        column, " = ?"}),
                {value});
            if (!rows.next()) return Found{};
            Found found{std::in_place};
            found->id = rows.text(0);
            found->code = rows.text(1);
            found->device_name = rows.text(2);
            found->software = rows.text(3);
            found->identity_key = rows.text(4);
            found->omemo_id = rows.text(5);
            found->created = rows.time(6);
            found->expires = rows.time(7);
            if (const std::string account = rows.text(8); !account.empty()) found->account = stored_jid(account);
            found->approved_by = rows.text(9);
            found->signature = rows.text(10);
            found->used = rows.flag(11);
            return found;
        });
    }

    Database& database_;
};

}  // namespace

std::unique_ptr<LinkRequests> make_link_requests(Database& database) {
    return std::make_unique<SqlLinkRequests>(database);
}

}  // namespace storage::sql
