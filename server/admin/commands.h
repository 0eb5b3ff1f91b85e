// SPDX-License-Identifier: MIT
// The admin commands, each declared once: name, parameters with their types, help, and who may use it. The command line
// (command_line.cpp) and the socket (socket.cpp) both read this one table; a command added here needs nothing else.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "server/upgrade.h"
#include "storage/task.h"
#include "xmpp/jid.h"
#include "xmpp/result.h"

namespace server {
class Server;
}

namespace server::admin {

using Json = nlohmann::ordered_json;   // what is shown keeps the order in which it was written

struct Problem {
    enum class Kind { bad_request, not_found, conflict, busy, unavailable, internal };
    Problem(Kind k, std::string t) : kind{k}, text{std::move(t)} {}
    Kind kind;
    std::string text;  // one sentence for the admin
};
std::string_view to_string(Problem::Kind kind);

using Answer = xmpp::Result<Json, Problem>;
inline xmpp::Failure<Problem> failure(Problem::Kind kind, std::string text) { return xmpp::Failure{Problem{kind, std::move(text)}}; }

// jid: bare or full. lines: a file that the client reads and sends in parts, whose answers are added up.
// output: a file that the client writes the answer's "content" to, page by page; the server is not told of it.
// password: asked for, or read from standard input, when it is not given.
enum class Type : std::uint8_t { text, domain, bare_jid, jid, number, password, lines, output };

struct Parameter {
    std::string_view name;
    Type type = Type::text;
    bool required = true;
    bool positional = true;           // else --name
    std::string_view help = {};
    std::int64_t least = 0, most = 0; // of a number
};

enum class Role : std::uint8_t { look, change };   // change: is written to the log

struct ReloadReport {
    std::vector<std::string> applied, waiting, problems;   // names of keys; waiting: for a restart
    bool kept_certificates = false;                        // the new ones could not be loaded
};

// What a command works on.
struct Context {
    Server& server;
    std::function<ReloadReport()> reload;                  // reads the configuration again; main knows from where
    std::function<void(Upgrade::Answer)> upgrade = {};        // main tries the program that is there now, and gives way to it
};

// The parameters of one call, checked against the declaration: what is required is there and has its type.
class Arguments {
public:
    explicit Arguments(Json values) : values_(std::move(values)) {}   // braces would make a list of it
    bool has(std::string_view name) const { return values_.contains(name); }
    std::string text(std::string_view name) const { return has(name) ? values_.find(name)->get<std::string>() : std::string{}; }
    xmpp::Jid jid(std::string_view name) const { return *xmpp::Jid::parse(text(name)); }
    std::optional<std::int64_t> number(std::string_view name) const;
    const Json& lines(std::string_view name) const { return *values_.find(name); }
    std::string take_password(std::string_view name);      // leaves none behind

private:
    Json values_;
};

struct Command {
    std::string_view name;                                 // "account add"
    std::string_view help;
    Role role;
    std::vector<Parameter> parameters;
    storage::Task<Answer> (*run)(Context& context, Arguments arguments);
    std::string_view pages = {};                           // the answer has "next": come again with it as this parameter
};

std::span<const Command> commands();
const Command* find_command(std::string_view name);

// Normalises JIDs and domains. What a password or a line held is not repeated in a problem.
xmpp::Result<Arguments, Problem> check(const Command& command, const Json& values);

// Runs on a thread with an Executor and answers there. Changes are logged with the address they are about.
storage::Task<Answer> run(Context& context, const Command& command, Json values);

}  // namespace server::admin
