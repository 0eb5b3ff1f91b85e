// SPDX-License-Identifier: MIT
// Links that let their holders in. The address that one keeps is free again when it is removed or has expired.
#include "storage/sql/statements.h"
#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

constexpr std::string_view select =
    "SELECT i.id, i.token, i.account_id, a.jid, i.address, i.purpose, i.registers, i.subscribes, i.uses_left, "
    "i.created, i.expires FROM invitations i LEFT JOIN accounts a ON a.id = i.account_id "
    "WHERE (i.account_id IS NULL OR a.disabled = 0) AND ";

Invitation read(Rows& rows) {
    Invitation invitation;
    invitation.id = rows.text(0);
    invitation.token = rows.text(1);
    if (!rows.is_null(2)) {
        invitation.inviter_id = rows.natural(2);
        invitation.inviter = stored_jid(rows.text(3));
    }
    invitation.address = stored_jid(rows.text(4));
    invitation.purpose = static_cast<Invitation::Purpose>(rows.integer(5));
    invitation.registers = rows.flag(6);
    invitation.subscribes = rows.flag(7);
    invitation.uses_left = static_cast<std::uint32_t>(rows.natural(8));
    invitation.created = rows.time(9);
    invitation.expires = rows.time(10);
    return invitation;
}

class SqlInvitations final : public Invitations {
public:
    explicit SqlInvitations(Database& database) : database_{database} {}

    Task<Result<void>> create(Invitation invitation) override {
        return database_.transact<void>([i = std::move(invitation)](Connection& connection) -> Result<void> {
            if (!i.address.localpart().empty() && !make_room(connection, i))
                return failure(StorageError::Kind::conflict, "another invitation keeps the address");
            if (i.inviter_id == 0)
                connection.change(
                    "INSERT INTO invitations (id, token, address, purpose, registers, subscribes, uses_left, created, "
                    "expires) VALUES (?,?,?,?,?,?,?,?,?)",
                    {i.id, i.token, i.address.text(), static_cast<int>(i.purpose), i.registers, i.subscribes, i.uses_left,
                     i.created, i.expires});
            else
                connection.change(
                    "INSERT INTO invitations (id, token, account_id, address, purpose, registers, subscribes, uses_left, "
                    "created, expires) VALUES (?,?,?,?,?,?,?,?,?,?)",
                    {i.id, i.token, i.inviter_id, i.address.text(), static_cast<int>(i.purpose), i.registers, i.subscribes,
                     i.uses_left, i.created, i.expires});
            return {};
        });
    }

    Task<Result<std::optional<Invitation>>> find(std::string token) override {
        return database_.read<Found>([token = std::move(token)](Connection& connection) -> Result<Found> {
            Rows rows = connection.query(concat({select, "i.token = ?"}), {token});
            return rows.next() ? Found{read(rows)} : Found{};
        });
    }

    Task<Result<std::optional<Invitation>>> find_keeping(Jid address, Time now) override {
        return database_.read<Found>([address = std::move(address), now](Connection& connection) -> Result<Found> {
            Rows rows = connection.query(concat({select, "i.address = ? AND i.expires > ?"}),
                                         {address.text(), now});
            return rows.next() ? Found{read(rows)} : Found{};
        });
    }

    Task<Result<std::vector<Invitation>>> list(AccountId inviter, Time now, std::size_t limit) override {
        using All = std::vector<Invitation>;
        return database_.read<All>([inviter, now, limit](Connection& connection) -> Result<All> {
            All all;
            Rows rows = connection.query(
                concat({select, "(i.account_id = ? OR ? = 0) AND i.uses_left > 0 AND i.expires > ? ORDER BY i.created, i.id LIMIT ?"}),
                {inviter, inviter, now, limit});
            while (rows.next()) all.push_back(read(rows));
            return all;
        });
    }

    Task<Result<bool>> use(std::string id) override {
        return database_.transact<bool>([id = std::move(id)](Connection& connection) -> Result<bool> {
            return connection.change(
                       "UPDATE invitations SET uses_left = uses_left - 1 WHERE id = ? AND uses_left > 0 AND (account_id IS NULL OR "
                       "EXISTS (SELECT 1 FROM accounts a WHERE a.id = invitations.account_id AND a.disabled = 0))",
                       {id}) > 0;
        });
    }

    Task<Result<void>> give_back(std::string id) override {
        return database_.transact<void>([id = std::move(id)](Connection& connection) -> Result<void> {
            connection.change("UPDATE invitations SET uses_left = uses_left + 1 WHERE id = ?", {id});
            return {};
        });
    }

    Task<Result<bool>> remove(std::string id) override {
        return database_.transact<bool>([id = std::move(id)](Connection& connection) -> Result<bool> {
            return connection.change("DELETE FROM invitations WHERE id = ?", {id}) > 0;
        });
    }

    Task<Result<void>> remove_expired(Time before) override {
        return database_.set<void>([before](Connection& connection) -> Result<void> {
            connection.change("DELETE FROM invitations WHERE expires < ?", {before});
            return {};
        });
    }

private:
    using Found = std::optional<Invitation>;

    // First the change, which locks the address: of two that want it at once, one waits and finds the other.
    static bool make_room(Connection& connection, const Invitation& wanted) {
        connection.change("DELETE FROM invitations WHERE address = ? AND expires <= ?",
                          {wanted.address.text(), wanted.created});
        Rows rows = connection.query("SELECT COUNT(*) FROM invitations WHERE address = ?", {wanted.address.text()});
        return !rows.next() || rows.natural(0) == 0;
    }

    Database& database_;
};

}  // namespace

std::unique_ptr<Invitations> make_invitations(Database& database) { return std::make_unique<SqlInvitations>(database); }

}  // namespace storage::sql
