// SPDX-License-Identifier: MIT
// Reading the configuration again.
#include "server/admin/reload.h"

#include <algorithm>
#include <mutex>

#include "server/log.h"
#include "server/server.h"

namespace server::admin {
namespace {

std::string join(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

}  // namespace

ReloadReport reload_configuration(Server& server, const std::optional<std::string>& file, const Environment& environment) {
    static std::mutex one_at_a_time;
    const std::lock_guard lock{one_at_a_time};
    ReloadReport report;
    auto fresh = read_config(file, environment);
    if (!fresh) {
        for (const ConfigProblem& problem : fresh.error()) {
            log::error("configuration not applied", {{"problem", problem.text}});
            report.problems.push_back(problem.text);
        }
        return report;
    }
    const auto changes = differences(*server.config(), *fresh);
    const auto certificates = server.tls();
    report.waiting = server.reload(std::move(*fresh));
    report.kept_certificates = certificates && server.tls() == certificates;   // why is in the log
    for (const ConfigChange& change : changes)
        if (change.live && std::find(report.waiting.begin(), report.waiting.end(), change.name) == report.waiting.end()) report.applied.push_back(change.name);
    log::open(server.config()->log);
    log::info("configuration read again", {{"applied", join(report.applied)}, {"waiting_for_restart", join(report.waiting)}});
    return report;
}

}  // namespace server::admin
