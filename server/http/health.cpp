// SPDX-License-Identifier: MIT
// Health, readiness and metrics (Prometheus text format 0.0.4).
#include <map>
#include <sstream>

#include "server/admin/everywhere.h"
#include "server/admin/process.h"
#include "server/http/proxies.h"
#include "server/http/routes.h"
#include "server/http/service.h"

namespace server::http {
namespace {

using storage::Task;

constexpr std::chrono::seconds between_counts{1};

Task<Response> healthz(Service&, Request) { co_return json_response(200, {{"status", "alive"}}); }

// Storage is known to be down by the last thing that was asked of it. When nobody asks it any more nobody learns that it
// is back: so this asks, one question at a time, and does not wait for the answer.
Task<void> probe(Service& service) {
    auto asking = service.server.storage().registrations().find("readyz");
    co_await asking;   // what it answers changes is_healthy()
}

Task<Response> readyz(Service& service, Request) {
    if (service.server.storage().is_healthy()) co_return json_response(200, {{"status", "ready"}});
    if (!std::exchange(service.probing, true)) storage::detach(probe(service), [&service](const std::exception_ptr&) { service.probing = false; });
    co_return json_response(503, {{"status", "not ready"}, {"storage", "unavailable"}});
}

struct Load {
    Service::Census census;
    std::size_t connections = 0;
    Counters counters;
};

// Whoever asks often does not keep the workers busy.
Task<std::vector<Load>> loads_of(Service& service) {
    const net::Duration now = service.loop.now();
    const bool is_counted = service.census.empty() || now - service.counted_at >= between_counts;
    if (is_counted) service.counted_at = now;
    auto looking = admin::on_every_worker(service.server, [is_counted](Worker& worker) {
        Load load;
        load.connections = worker.connection_count();
        load.counters = worker.counters;
        if (!is_counted) return load;
        load.census.sessions = worker.session_count();
        worker.for_each_account([&](const Account&) { ++load.census.accounts; });
        return load;
    });
    std::vector<Load> loads = co_await looking;
    if (is_counted) service.census.clear();
    for (std::size_t worker = 0; worker < loads.size(); ++worker) {
        if (is_counted) service.census.push_back(loads[worker].census);
        else loads[worker].census = service.census[worker];
    }
    co_return std::move(loads);
}

class Exposition {
public:
    void metric(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        out_ << "# HELP " << name << ' ' << help << "\n# TYPE " << name << ' ' << type << '\n';
    }
    template <class T>
    void value(T value) { out_ << name_ << ' ' << value << '\n'; }
    template <class T>
    void value(std::string_view label, std::string_view of, T value) {
        out_ << name_ << '{' << label << "=\"";
        for (const char c : of) {
            if (c == '"' || c == '\\') out_ << '\\';
            if (c == '\n') out_ << "\\n";
            else out_ << c;
        }
        out_ << "\"} " << value << '\n';
    }
    template <class T>
    void single(std::string_view name, std::string_view type, std::string_view help, T single) {
        metric(name, type, help);
        value(single);
    }
    std::string text() const { return out_.str(); }

private:
    std::string_view name_;
    std::ostringstream out_;
};

void write_queues(Exposition& out, const std::vector<storage::QueueDepth>& queues) {
    out.metric("tern_queue_depth", "gauge", "Entries that wait.");
    for (const auto& queue : queues) out.value("queue", queue.name, queue.depth);
    out.metric("tern_queue_high_water", "gauge", "Most entries that ever waited.");
    for (const auto& queue : queues) out.value("queue", queue.name, queue.high_water);
    out.metric("tern_queue_oldest_seconds", "gauge", "How long the oldest entry has waited.");
    for (const auto& queue : queues) out.value("queue", queue.name, std::chrono::duration<double>(queue.oldest).count());
}

void write_counters(Exposition& out, const std::vector<Load>& loads) {
    const auto sum = [&](auto of) {
        std::uint64_t all = 0;
        for (const Load& load : loads) all += of(load.counters);
        return all;
    };
    const auto total = [&](std::string_view name, std::string_view help, std::uint64_t Counters::*field) {
        out.single(name, "counter", help, sum([field](const Counters& counters) { return counters.*field; }));
    };
    const auto by_kind = [&](std::string_view name, std::string_view help, Counters::ByKind Counters::*field) {
        out.metric(name, "counter", help);
        static constexpr std::array<std::string_view, 3> kinds{"message", "presence", "iq"};
        for (std::size_t kind = 0; kind < kinds.size(); ++kind)
            out.value("kind", kinds[kind], sum([field, kind](const Counters& counters) { return (counters.*field)[kind]; }));
    };
    by_kind("tern_stanzas_received_total", "Stanzas from clients.", &Counters::received);
    by_kind("tern_stanzas_sent_total", "Stanzas to clients.", &Counters::sent);
    total("tern_errors_returned_total", "Stanzas that were answered by an error.", &Counters::errors_returned);
    total("tern_messages_logged_total", "Messages given to the log of an account.", &Counters::logged);
    total("tern_messages_not_logged_total", "Messages that the database did not take.", &Counters::not_logged);
    total("tern_logins_total", "Logins.", &Counters::logins);
    total("tern_logins_refused_total", "Logins that were refused.", &Counters::logins_refused);
    total("tern_accounts_made_total", "Accounts made by user name and password.", &Counters::accounts_made);
    total("tern_resumptions_total", "Sessions that went on with a new stream.", &Counters::resumptions);
    total("tern_connections_accepted_total", "Client connections.", &Counters::connections);
    total("tern_received_bytes_total", "Bytes from clients, without TLS.", &Counters::bytes_received);
    total("tern_sent_bytes_total", "Bytes to clients, without TLS.", &Counters::bytes_sent);
}

void write_registrations(Exposition& out, Server& server) {
    const auth::Registration::Totals totals = server.registration().totals();
    out.single("tern_registrations_total", "counter", "Phone numbers that got a device key.", totals.keys);
    out.single("tern_pins_total", "counter", "PINs made.", totals.pins);
    out.single("tern_wrong_pins_total", "counter", "PINs that were wrong.", totals.wrong_pins);
    out.metric("tern_sms_total", "counter", "SMS handed to the gateway for good, and those that it would not have.");
    out.value("result", "sent", server.sms().sent());
    out.value("result", "failed", server.sms().failed());
}

void write_process(Exposition& out, Server& server) {
    const admin::ProcessUsage usage = admin::process_usage();
    out.single("process_resident_memory_bytes", "gauge", "Resident memory.", usage.resident_bytes);
    out.single("process_cpu_seconds_total", "counter", "Time on a CPU, user and system.", usage.cpu_seconds);
    out.single("process_open_fds", "gauge", "Open file descriptors.", usage.open_files);
    out.single("process_max_fds", "gauge", "File descriptors that may be open.", usage.most_files);
    out.single("process_threads", "gauge", "Threads.", usage.threads);
    out.single("process_start_time_seconds", "gauge", "When the server was started, since 1970.",
               std::chrono::duration_cast<std::chrono::seconds>(server.started_at().time_since_epoch()).count());
}

Task<Response> metrics(Service& service, Request request) {
    Server& server = service.server;
    if (!is_among(request.client_address, server.config()->http.metrics_from)) co_return nothing_there();
    auto looking = loads_of(service);
    const std::vector<Load> loads = co_await looking;

    Exposition out;
    const auto by_worker = [&](std::string_view name, std::string_view help, auto of) {
        out.metric(name, "gauge", help);
        for (std::size_t worker = 0; worker < loads.size(); ++worker) out.value("worker", std::to_string(worker), of(loads[worker]));
    };
    out.metric("tern_build", "gauge", "The version that runs.");
    out.value("version", TERN_VERSION, 1);
    by_worker("tern_sessions", "Sessions with a bound resource.", [](const Load& load) { return load.census.sessions; });
    by_worker("tern_connections", "Client connections.", [](const Load& load) { return load.connections; });
    by_worker("tern_accounts_loaded", "Accounts in memory.", [](const Load& load) { return load.census.accounts; });
    write_counters(out, loads);
    write_registrations(out, server);
    write_queues(out, server.queues());
    out.single("tern_storage_healthy", "gauge", "1: the database answered what it was last asked.", server.storage().is_healthy() ? 1 : 0);
    if (const auto tls = server.tls()) out.single("tern_certificate_days_left", "gauge", "Until the first certificate expires.", tls->days_left());
    out.single("tern_link_waiting", "gauge", "Companions that wait for an approval.", server.linking().waiting());
    out.single("tern_http_connections", "gauge", "HTTP connections.", service.connections);
    out.metric("tern_http_responses_total", "counter", "HTTP responses by status.");
    for (const auto& [status, count] : service.answered) out.value("status", std::to_string(status), count);
    write_process(out, server);
    co_return text_response(200, out.text(), "text/plain; version=0.0.4; charset=utf-8");
}

}  // namespace

Routes health_routes() {
    return {
        {"GET", "/healthz", healthz},
        {"GET", "/readyz", readyz},
        {"GET", "/metrics", metrics},
    };
}

}  // namespace server::http
