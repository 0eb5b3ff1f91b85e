// SPDX-License-Identifier: MIT
// Reading the configuration again, for SIGHUP and `tern reload` alike.
#pragma once

#include <optional>
#include <string>

#include "server/admin/commands.h"
#include "server/config.h"

namespace server::admin {

// Reads file and environment, gives what is live to the server, loads the certificates again and reopens the log. With
// problems nothing is changed. The outcome is logged. Any thread; one at a time.
ReloadReport reload_configuration(Server& server, const std::optional<std::string>& file, const Environment& environment);

}  // namespace server::admin
