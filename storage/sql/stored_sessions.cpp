// SPDX-License-Identifier: MIT
// Sessions that wait for the next process. They go with their device.
#include "storage/sql/tables.h"

namespace storage::sql {

namespace {

class SqlStoredSessions final : public StoredSessions {
public:
    explicit SqlStoredSessions(Database& database) : database_{database} {}

    Task<Result<void>> put(std::vector<StoredSession> sessions) override {
        return database_.transact<void>([sessions = std::move(sessions)](Connection& connection) -> Result<void> {
            for (const StoredSession& s : sessions) {
                connection.change("DELETE FROM stored_sessions WHERE account_id = ? AND resource = ?", {s.account, s.jid.resourcepart()});
                // A device that was revoked a moment ago takes nobody else's session with it.
                connection.change(
                    "INSERT INTO stored_sessions (account_id, device, resource, state) "
                    "SELECT account_id, id, ?, ? FROM devices WHERE account_id = ? AND id = ?",
                    {s.jid.resourcepart(), s.state, s.account, s.device});
            }
            return {};
        });
    }

    Task<Result<std::vector<StoredSession>>> all() override {
        using Sessions = std::vector<StoredSession>;
        return database_.read<Sessions>([](Connection& connection) -> Result<Sessions> {
            Rows rows = connection.query(
                "SELECT s.account_id, a.jid, s.resource, s.device, s.state "
                "FROM stored_sessions s JOIN accounts a ON a.id = s.account_id");
            Sessions sessions;
            while (rows.next()) {
                StoredSession session;
                session.account = rows.natural(0);
                session.jid = stored_jid(rows.text(1)).with_resource(rows.text(2));
                session.device = rows.text(3);
                session.state = rows.text(4);
                sessions.push_back(std::move(session));
            }
            return sessions;
        });
    }

    Task<Result<void>> clear() override {
        return database_.set<void>([](Connection& connection) -> Result<void> {
            connection.change("DELETE FROM stored_sessions", {});
            return {};
        });
    }

private:
    Database& database_;
};

}  // namespace

std::unique_ptr<StoredSessions> make_stored_sessions(Database& database) { return std::make_unique<SqlStoredSessions>(database); }

}  // namespace storage::sql
