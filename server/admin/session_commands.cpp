// SPDX-License-Identifier: MIT
// Commands on connected sessions, and what all groups share. A session is looked at on its own worker alone.
#include "server/account.h"
#include "server/admin/everywhere.h"
#include "server/admin/groups.h"
#include "server/server.h"
#include "server/session.h"
#include "server/stream.h"
#include "xmpp/date_time.h"

namespace server::admin {
namespace {

using Kind = Problem::Kind;
using storage::Task;

Json row_of(const Session& session) {
    const Stream* stream = session.stream();
    Json row{{"jid", session.jid().text()}, {"device", session.device()}};
    row["address"] = stream ? stream->transport().peer_address() : std::string{};
    row["tls"] = stream && stream->transport().is_encrypted();
    row["state"] = stream ? (session.is_available() ? "available" : "connected") : "resumable";
    row["priority"] = session.is_available() ? Json(session.priority()) : Json();
    row["since"] = time_of(session.bound_at());
    row["unsent_bytes"] = stream ? stream->transport().unsent() : 0;
    row["worker"] = session.worker().index;
    return row;
}

struct Rows {
    Json rows = Json::array();
    std::size_t total = 0;
};

void collect(const Account& account, std::size_t limit, Rows& into) {
    for (const auto& session : account.sessions()) {
        ++into.total;
        if (into.rows.size() < limit) into.rows.push_back(row_of(*session));
    }
}

Task<Answer> sessions(Context& context, Arguments arguments) {
    const xmpp::Jid of = arguments.has("jid") ? arguments.jid("jid").bare() : xmpp::Jid{};
    const auto limit = static_cast<std::size_t>(arguments.number("limit").value_or(1000));
    std::size_t total = 0;
    auto looking = session_rows(context, of, limit, &total);
    Json rows = co_await looking;
    co_return Json{{"total", total}, {"sessions", std::move(rows)}};
}

// RFC 6120 §4.9.3.14: local policy, here the admin's.
std::size_t end_sessions(Worker& worker, const xmpp::Jid& jid, const std::string& reason) {
    const Account* account = worker.find(jid.bare().text());
    if (!account) return 0;
    std::vector<std::shared_ptr<Session>> ending;   // ending one changes the account's list
    for (const auto& session : account->sessions())
        if (jid.is_bare() || session->jid() == jid) ending.push_back(session);
    for (const auto& session : ending) session->end(xmpp::StreamError{xmpp::StreamCondition::policy_violation, reason});
    return ending.size();
}

Task<Answer> kick(Context& context, Arguments arguments) {
    const xmpp::Jid jid = arguments.jid("jid");
    const std::string reason = arguments.has("reason") ? arguments.text("reason") : "ended by an administrator";
    auto ending = on_worker(context.server.worker_of(jid.bare().text()), [jid, reason](Worker& worker) { return end_sessions(worker, jid, reason); });
    const std::size_t ended = co_await ending;
    if (ended == 0) co_return failure(Kind::not_found, jid.text() + " has no session");
    co_return Json{{"message", "ended " + std::to_string(ended) + (ended == 1 ? " session of " : " sessions of ") + jid.bare().text()}, {"ended", ended}};
}

}  // namespace

Task<Json> session_rows(Context& context, xmpp::Jid of, std::size_t limit, std::size_t* total) {
    Rows all;
    for (const auto& worker : context.server.workers()) {
        if (!of.empty() && worker.get() != &context.server.worker_of(of.text())) continue;
        const std::size_t room = limit - all.rows.size();
        auto looking = on_worker(*worker, [of, room](Worker& there) {
            Rows found;
            if (of.empty()) there.for_each_account([&](const Account& account) { collect(account, room, found); });
            else if (const Account* account = there.find(of.text())) collect(*account, room, found);
            return found;
        });
        Rows found = co_await looking;
        all.total += found.total;
        for (Json& row : found.rows) all.rows.push_back(std::move(row));
    }
    if (total) *total = all.total;
    co_return std::move(all.rows);
}

xmpp::Failure<Problem> failure_of(const storage::StorageError& error) {
    using StorageKind = storage::StorageError::Kind;
    switch (error.kind) {
        case StorageKind::not_found: return failure(Kind::not_found, "there is no such account or device");
        case StorageKind::conflict: return failure(Kind::conflict, "it exists already");
        case StorageKind::unavailable:
        case StorageKind::full: return failure(Kind::unavailable, "storage cannot take it now: " + error.text);
        case StorageKind::broken: break;
    }
    return failure(Kind::internal, "the database answered what it should not: " + error.text);
}

Task<xmpp::Result<storage::Account, Problem>> stored_account(Context& context, xmpp::Jid jid) {
    auto finding = context.server.storage().accounts().find(jid);
    auto found = co_await finding;
    if (!found) co_return failure_of(found.error());
    if (!*found) co_return failure(Kind::not_found, "there is no account " + jid.text());
    co_return std::move(**found);
}

Json time_of(storage::Time time) {
    return time == storage::Time{} ? Json() : Json(xmpp::format_date_time(time));
}

std::vector<Command> session_commands() {
    return {
        {"sessions", "the connected sessions, of one account or all", Role::look,
         {{.name = "jid", .type = Type::jid, .required = false, .help = "this account's alone"},
          {.name = "limit", .type = Type::number, .required = false, .positional = false, .help = "how many at most (1000)", .least = 1, .most = 100'000}}, sessions},
        {"kick", "end a session (full JID) or all sessions of an account (bare JID)", Role::change,
         {{.name = "jid", .type = Type::jid, .help = "romeo@example.org or romeo@example.org/phone"},
          {.name = "reason", .required = false, .positional = false, .help = "what the client is told"}}, kick},
    };
}

}  // namespace server::admin
