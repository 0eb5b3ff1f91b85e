// SPDX-License-Identifier: MIT
// `tern …` as the shell hands it over. The subcommands that talk to a running server come from the table of admin
// commands; CLI11 is included in command_line.cpp alone.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "server/admin/commands.h"

namespace server::admin {

struct CommandLine {
    enum class What { serve, config_check, config_keys, config_show, command };
    What what = What::serve;
    std::optional<std::string> config_file;      // --config
    std::optional<std::string> data;             // --data: where the running server's socket is
    bool json = false;
    const Command* command = nullptr;            // what == command
    Json parameters = Json::object();            // as given; passwords and files are not read yet
};

// An exit code when there is nothing more to do: help was printed, or a mistake.
std::variant<CommandLine, int> parse_command_line(const std::vector<std::string>& arguments);

// Runs what == command, config_check, config_keys or config_show; the process's exit code: 0 done, 1 the server or the
// check said no, 2 wrong use or configuration, 3 no server answers.
int run_command_line(const CommandLine& line);

}  // namespace server::admin
