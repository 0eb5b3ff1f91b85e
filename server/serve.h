// SPDX-License-Identifier: MIT
// The server as a process: from the configuration to a graceful end.
#pragma once

#include <optional>
#include <string>

namespace server {

// Returns the process's exit code: 0 after SIGTERM or SIGINT, 1 when something could not be opened, 2 when the
// configuration is wrong. `data` stands for TERN_DATA.
int serve(const std::optional<std::string>& config_file, const std::optional<std::string>& data);

}  // namespace server
