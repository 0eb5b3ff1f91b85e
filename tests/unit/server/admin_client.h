// SPDX-License-Identifier: MIT
// Asking a running server's admin socket, and what its storage then has.
#pragma once

#include <algorithm>
#include <string>

#include <catch2/catch.hpp>

#include "auth/sasl.h"
#include "server/admin/client.h"
#include "tests/unit/server/running_server.h"

namespace tests {

using server::admin::Answer;
using server::admin::Json;

inline Answer ask(const RunningServer& running, std::string_view command, Json parameters = Json::object()) {
    auto client = server::admin::Client::connect(running.socket_path());
    REQUIRE(client);
    return client->ask(command, std::move(parameters));
}

inline std::string problem_of(const Answer& answer) { return answer ? "none" : std::string{to_string(answer.error().kind)}; }

// Whether that password opens the account, as storage has it.
inline bool opens(RunningServer& running, const std::string& jid, const std::string& password) {
    TestExecutor executor;
    const auto account = executor.run(running.server->storage().accounts().find(*xmpp::Jid::parse(jid)));
    if (!account || !*account) return false;
    const auto verifiers = auth::derive_verifiers(password, (*account)->salt, (*account)->iterations);
    return std::any_of((*account)->devices.begin(), (*account)->devices.end(),
                       [&](const storage::Device& device) { return device.verifiers[1].stored_key == verifiers[1].stored_key; });
}

}  // namespace tests
