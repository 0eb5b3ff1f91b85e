// SPDX-License-Identifier: MIT
// Phone numbers that wait for their PINs, and the server's own secrets.
#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

class SqlRegistrations final : public Registrations {
public:
    explicit SqlRegistrations(Database& database) : database_{database} {}

    Task<Result<void>> create(PendingRegistration registration) override {
        return database_.transact<void>(
            [r = std::move(registration)](Connection& connection) -> Result<void> {
                connection.change(
                    "INSERT INTO pending_registrations (id, phone, pin_salt, pin_hash, tries_left, created, "
                    "expires, used) "
                    "VALUES (?,?,?,?,?,?,?,?)",
                    {r.id, r.phone, Bytes{r.pin_salt}, Bytes{r.pin_hash}, r.tries_left, r.created, r.expires,
                     r.used});
                return {};
            });
    }

    Task<Result<std::optional<PendingRegistration>>> find(std::string id) override {
        using Found = std::optional<PendingRegistration>;
        return database_.read<Found>([id = std::move(id)](Connection& connection) -> Result<Found> {
            Rows rows = connection.query(
                "SELECT id, phone, pin_salt, pin_hash, tries_left, created, expires, used FROM "
                "pending_registrations WHERE id = ?",
                {id});
            if (!rows.next()) return Found{};
            Found found{std::in_place};
            found->id = rows.text(0);
            found->phone = rows.text(1);
            found->pin_salt = rows.text(2);
            found->pin_hash = rows.text(3);
            found->tries_left = static_cast<std::uint32_t>(rows.natural(4));
            found->created = rows.time(5);
            found->expires = rows.time(6);
            found->used = rows.flag(7);
            return found;
        });
    }

    Task<Result<std::optional<std::uint32_t>>> take_try(std::string id, Time now) override {
        using Left = std::optional<std::uint32_t>;
        return database_.transact<Left>([id = std::move(id), now](Connection& connection) -> Result<Left> {
            // First the change, which locks the row: two that ask at once get two different answers.
            const std::uint64_t taken = connection.change(
                "UPDATE pending_registrations SET tries_left = tries_left - 1 "
                "WHERE id = ? AND tries_left > 0 AND used = 0 AND expires > ?",
                {id, now});
            if (taken == 0) return Left{};
            Rows rows = connection.query("SELECT tries_left FROM pending_registrations WHERE id = ?", {id});
            if (!rows.next()) return Left{};
            return Left{static_cast<std::uint32_t>(rows.natural(0))};
        });
    }

    Task<Result<bool>> use(std::string id) override {
        return database_.transact<bool>([id = std::move(id)](Connection& connection) -> Result<bool> {
            return connection.change("UPDATE pending_registrations SET used = 1 WHERE id = ? AND used = 0",
                                     {id}) > 0;
        });
    }

    Task<Result<Recent>> recent(std::string phone, Time since) override {
        return database_.read<Recent>(
            [phone = std::move(phone), since](Connection& connection) -> Result<Recent> {
                Rows rows = connection.query(
                    "SELECT COUNT(*), COALESCE(MAX(created), 0) FROM pending_registrations WHERE phone = ? "
                    "AND created >= ?",
                    {phone, since});
                Recent recent;
                if (rows.next()) {
                    recent.count = static_cast<std::uint32_t>(rows.natural(0));
                    recent.last = rows.time(1);
                }
                return recent;
            });
    }

    Task<Result<void>> remove_before(Time before) override {
        return database_.set<void>([before](Connection& connection) -> Result<void> {
            connection.change("DELETE FROM pending_registrations WHERE created < ?", {before});
            return {};
        });
    }

private:
    Database& database_;
};

class SqlServerSecrets final : public ServerSecrets {
public:
    explicit SqlServerSecrets(Database& database) : database_{database} {}

    Task<Result<std::string>> load_or_store(std::string name, std::string candidate) override {
        return database_.transact<std::string>([name = std::move(name), candidate = std::move(candidate)](
                                                   Connection& connection) -> Result<std::string> {
            auto stored = load(connection, name);
            if (stored) return *stored;
            connection.change("INSERT INTO server_secrets (name, secret) VALUES (?,?)",
                              {name, Bytes{candidate}});
            auto error = connection.take_error();
            if (!error) return candidate;
            if (error->kind != Error::Kind::duplicate) connection.fail(std::move(*error));
            return load(connection, name).value_or(candidate);  // another server was faster
        });
    }

private:
    static std::optional<std::string> load(Connection& connection, std::string_view name) {
        Rows rows = connection.query("SELECT secret FROM server_secrets WHERE name = ?", {name});
        if (!rows.next()) return std::nullopt;
        return rows.text(0);
    }

    Database& database_;
};

}  // namespace

std::unique_ptr<Registrations> make_registrations(Database& database) {
    return std::make_unique<SqlRegistrations>(database);
}
std::unique_ptr<ServerSecrets> make_server_secrets(Database& database) {
    return std::make_unique<SqlServerSecrets>(database);
}

}  // namespace storage::sql
