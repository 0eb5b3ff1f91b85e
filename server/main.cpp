// SPDX-License-Identifier: MIT
// tern: `tern serve` runs the server; every other subcommand but `tern config` asks the running one through its admin socket.
#include <csignal>
#include <iostream>
#include <string>
#include <variant>
#include <vector>

#include "server/admin/command_line.h"
#include "server/serve.h"

int main(int count, char** values) {
    using server::admin::CommandLine;
    std::signal(SIGPIPE, SIG_IGN);
    const std::vector<std::string> arguments{values + 1, values + count};
    const auto parsed = server::admin::parse_command_line(arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& line = std::get<CommandLine>(parsed);
    if (line.what == CommandLine::What::serve) return server::serve(line.config_file, line.data);
    return server::admin::run_command_line(line);
}
