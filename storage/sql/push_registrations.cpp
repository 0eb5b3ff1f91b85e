// SPDX-License-Identifier: MIT
// XEP-0357 §5: one row for each service and node of an account. They go with their device.
#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

// No JID has a line break.
std::string target(const Jid& service, const std::string& node) { return service.text() + "\n" + node; }

class SqlPushRegistrations final : public PushRegistrations {
public:
    explicit SqlPushRegistrations(Database& database) : database_{database} {}

    Task<Result<std::vector<PushRegistration>>> find(AccountId account) override {
        using Registrations = std::vector<PushRegistration>;
        return database_.read<Registrations>([account](Connection& connection) -> Result<Registrations> {
            Rows rows = connection.query(
                "SELECT service, node, device, resource, options FROM push_registrations "
                "WHERE account_id = ? ORDER BY target",
                {account});
            Registrations registrations;
            while (rows.next()) {
                auto service = Jid::parse(rows.text(0));
                if (!service) continue;
                PushRegistration registration;
                registration.service = std::move(*service);
                registration.node = rows.text(1);
                registration.device = rows.text(2);
                registration.resource = rows.text(3);
                registration.options = rows.text(4);
                registrations.push_back(std::move(registration));
            }
            return registrations;
        });
    }

    Task<Result<void>> put(AccountId account, PushRegistration registration) override {
        return database_.transact<void>([account, r = std::move(registration)](Connection& connection) -> Result<void> {
            const std::string row = target(r.service, r.node);
            connection.change("DELETE FROM push_registrations WHERE account_id = ? AND target = ?", {account, row});
            connection.change(
                "INSERT INTO push_registrations (account_id, target, service, node, device, resource, options) "
                "VALUES (?,?,?,?,?,?,?)",
                {account, row, r.service.text(), r.node, r.device, r.resource, r.options});
            return {};
        });
    }

    Task<Result<void>> remove(AccountId account, Jid service, std::string node) override {
        return database_.set<void>([account, row = target(service, node)](Connection& connection) -> Result<void> {
            connection.change("DELETE FROM push_registrations WHERE account_id = ? AND target = ?", {account, row});
            return {};
        });
    }

private:
    Database& database_;
};

}  // namespace

std::unique_ptr<PushRegistrations> make_push_registrations(Database& database) { return std::make_unique<SqlPushRegistrations>(database); }

}  // namespace storage::sql
