// SPDX-License-Identifier: MIT
// Commands on the server itself: how it is, its queues, its configuration, its modules.
#include <map>

#include <unistd.h>

#include "server/admin/everywhere.h"
#include "server/admin/groups.h"
#include "server/admin/process.h"
#include "server/server.h"

namespace server::admin {
namespace {

using storage::Task;

struct Load {
    std::size_t sessions = 0, connections = 0, accounts = 0;
};

Load load_of(Worker& worker) {
    Load load;
    load.sessions = worker.session_count();
    load.connections = worker.connection_count();
    worker.for_each_account([&](const Account&) { ++load.accounts; });
    return load;
}

std::string readable(std::chrono::seconds time) {
    const auto days = time / std::chrono::hours{24};
    const auto hours = time / std::chrono::hours{1} % 24;
    const auto minutes = time / std::chrono::minutes{1} % 60;
    const auto seconds = time.count() % 60;
    if (days > 0) return std::to_string(days) + "d " + std::to_string(hours) + "h";
    if (hours > 0) return std::to_string(hours) + "h " + std::to_string(minutes) + "m";
    return minutes > 0 ? std::to_string(minutes) + "m " + std::to_string(seconds) + "s" : std::to_string(seconds) + "s";
}

constexpr std::chrono::seconds count_patience{1};

Task<Answer> status(Context& context, Arguments) {
    Server& server = context.server;
    auto looking = on_every_worker(server, load_of);
    const auto loads = co_await looking;
    auto counting = within(server.workers().front()->loop, count_patience, server.storage().accounts().count({}));
    const auto stored = co_await counting;

    Load all;
    Json workers = Json::array();
    for (std::size_t index = 0; index < loads.size(); ++index) {
        all.sessions += loads[index].sessions;
        all.connections += loads[index].connections;
        all.accounts += loads[index].accounts;
        workers.push_back({{"worker", index}, {"sessions", loads[index].sessions}, {"connections", loads[index].connections}, {"accounts_loaded", loads[index].accounts}});
    }
    const auto up = std::chrono::duration_cast<std::chrono::seconds>(server.clock().wall() - server.started_at());
    const ProcessUsage usage = process_usage();
    const auto tls = server.tls();
    Json answer{{"version", TERN_VERSION}, {"pid", getpid()}, {"domains", server.config()->domains}};
    answer["started"] = time_of(server.started_at());
    answer["up"] = readable(up);
    answer["up_seconds"] = up.count();
    answer["storage"] = server.storage().describe();
    answer["storage_healthy"] = server.storage().is_healthy();
    answer["accounts"] = stored && *stored ? Json(**stored) : Json();   // null: the database does not say it now
    answer["accounts_loaded"] = all.accounts;
    answer["retention"] = server.config()->messages.retention;
    answer["messages_removed"] = server.retention().removed();           // by it, since the start
    answer["sessions"] = all.sessions;
    answer["connections"] = all.connections;
    answer["certificate_days_left"] = tls ? Json(tls->days_left()) : Json();
    answer["memory_bytes"] = usage.resident_bytes;
    answer["cpu_seconds"] = usage.cpu_seconds;
    answer["open_files"] = usage.open_files;
    answer["most_files"] = usage.most_files;
    answer["c2s"] = server.addresses().c2s;
    answer["direct_tls"] = server.addresses().direct_tls;
    answer["workers"] = std::move(workers);
    co_return std::move(answer);
}

Task<Answer> queues(Context& context, Arguments) {
    Json rows = Json::array();
    for (const storage::QueueDepth& queue : context.server.queues())
        rows.push_back({{"queue", queue.name}, {"depth", queue.depth}, {"high_water", queue.high_water}, {"oldest_ms", queue.oldest.count() / 1000}});
    co_return Json{{"queues", std::move(rows)}};
}

Task<Answer> reload(Context& context, Arguments) {
    if (!context.reload) co_return failure(Problem::Kind::unavailable, "this server cannot read its configuration again");
    const ReloadReport report = context.reload();
    if (!report.problems.empty()) {
        std::string text = "nothing was changed:";
        for (const std::string& problem : report.problems) text += "\n  " + problem;
        co_return failure(Problem::Kind::bad_request, text);
    }
    Json answer{{"message", report.kept_certificates ? "read the configuration again, but the certificates could not be loaded: the old ones stay; the log says why"
                                                     : "read the configuration and the certificates again"}};
    answer["applied"] = report.applied;
    answer["waiting_for_restart"] = report.waiting;
    co_return std::move(answer);
}

// Main's answer, on this worker's thread.
struct TryingOut {
    const Context& context;
    storage::Executor& home;
    std::optional<Upgrade::Outcome> outcome;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> coroutine) {
        context.upgrade([this, coroutine](const Upgrade::Outcome& found) {
            home.post([this, coroutine, found] {
                outcome = found;
                coroutine.resume();
            });
        });
    }
    Upgrade::Outcome await_resume() { return std::move(*outcome); }
};

Task<Answer> upgrade(Context& context, Arguments) {
    if (!context.upgrade) co_return failure(Problem::Kind::unavailable, "this server cannot be replaced while it runs");
    TryingOut trying{context, *storage::Executor::current(), {}};
    const Upgrade::Outcome outcome = co_await trying;
    if (!outcome) co_return failure(Problem::Kind::unavailable, "the server goes on as it is: " + outcome.error());
    co_return Json{{"message", *outcome + " takes over now; `tern status` tells when it is up"}, {"from", "tern " TERN_VERSION}, {"to", *outcome}};
}

template <class C>
void add_rows(Json& rows, std::string_view chain, std::string_view station, const C& hooks) {
    for (const auto& entry : hooks.entries()) rows.push_back({{"chain", chain}, {"station", station}, {"module", entry.name}});
}

void add_stations(Json& rows, std::string_view chain, const Stations& stations) {
    for (std::size_t at = 0; at < station_count; ++at) add_rows(rows, chain, to_string(static_cast<Station>(at)), stations[at]);
}

void add_iqs(Json& rows, const IqTable& table) {
    for (const auto& [asked, name] : {std::pair{Asked::server, "server"}, std::pair{Asked::account, "account"}, std::pair{Asked::service, "service"}})
        for (const bool is_set : {false, true})
            for (const auto& [key, entry] : table.entries(asked, is_set))
                rows.push_back({{"asked", name}, {"type", is_set ? "set" : "get"}, {"element", key.second}, {"namespace", key.first}});
}

// Chains are frozen once the workers run, and alike on all of them.
Task<Answer> hooks(Context& context, Arguments) {
    const Host& host = context.server.workers().front()->host;
    Json rows = Json::array();
    add_stations(rows, "outbound", host.outbound);
    add_stations(rows, "inbound", host.inbound);
    add_rows(rows, "unclaimed", "", host.unclaimed);
    add_rows(rows, "leaving", "", host.leaving);
    add_rows(rows, "missed", "", host.missed);
    add_rows(rows, "features", "", host.features);
    add_rows(rows, "bound", "", host.bound);
    add_rows(rows, "received", "", host.received);
    add_rows(rows, "available", "", host.available);
    add_rows(rows, "unavailable", "", host.unavailable);
    add_rows(rows, "lost", "", host.lost);
    add_rows(rows, "resumed", "", host.resumed);
    add_rows(rows, "ended", "", host.ended);
    add_rows(rows, "loading", "", host.loading);
    add_rows(rows, "unloading", "", host.unloading);
    add_rows(rows, "account_removed", "", host.account_removed);
    add_rows(rows, "going_down", "", host.going_down);
    Json iqs = Json::array();
    add_iqs(iqs, host.iq);
    Json answer{{"modules", module_names()}};
    answer["hooks"] = std::move(rows);
    answer["iq"] = std::move(iqs);
    co_return std::move(answer);
}

Task<Answer> version(Context& context, Arguments) {
    co_return Json{{"version", TERN_VERSION}, {"storage", context.server.storage().describe()}};
}

}  // namespace

std::vector<Command> server_commands() {
    return {
        {"status", "how the server is: sessions, storage, memory, certificate", Role::look, {}, status},
        {"queues", "every queue: depth, high-water mark, age of its oldest entry", Role::look, {}, queues},
        {"reload", "read the configuration and the certificates again", Role::change, {}, reload},
        {"upgrade", "give way to the program that has been installed meanwhile, without losing a message or a session", Role::change, {}, upgrade},
        {"hooks", "the modules, in the order in which they see a stanza", Role::look, {}, hooks},
        {"version", "the running server's version", Role::look, {}, version},
    };
}

}  // namespace server::admin
