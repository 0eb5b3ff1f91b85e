// SPDX-License-Identifier: MIT
// The table of commands, the check of what a call brings, and the one place where a command is run. The commands
// themselves stand with their declarations in account_commands.cpp, invitation_commands.cpp, session_commands.cpp and server_commands.cpp.
#include "server/admin/commands.h"

#include <algorithm>
#include <charconv>

#include "auth/crypto.h"
#include "server/admin/groups.h"
#include "server/log.h"

namespace server::admin {
namespace {

using Kind = Problem::Kind;

std::vector<Command> all_commands() {
    std::vector<Command> all;
    for (auto* const group : {account_commands, invitation_commands, session_commands, server_commands})
        for (Command& command : group()) all.push_back(std::move(command));
    return all;
}

std::optional<std::int64_t> whole_number(const Json& value) {
    if (value.is_number_integer()) return value.get<std::int64_t>();
    if (!value.is_string()) return std::nullopt;
    const auto& text = value.get_ref<const std::string&>();
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

// The value as the parameter's type wants it, or nothing; `expected` says what it should have been.
std::optional<Json> read(const Parameter& parameter, const Json& value, std::string& expected) {
    if (parameter.type == Type::number) {
        expected = "a whole number from " + std::to_string(parameter.least) + " to " + std::to_string(parameter.most);
        const auto number = whole_number(value);
        if (!number || *number < parameter.least || *number > parameter.most) return std::nullopt;
        return Json(*number);
    }
    if (parameter.type == Type::lines) {
        expected = "a list of texts";
        if (!value.is_array() || !std::all_of(value.begin(), value.end(), [](const Json& line) { return line.is_string(); })) return std::nullopt;
        return value;
    }
    expected = "a text";
    if (!value.is_string()) return std::nullopt;
    const auto& text = value.get_ref<const std::string&>();
    if (parameter.type == Type::domain) {
        expected = "a domain";
        const auto domain = xmpp::normalise_domainpart(text);
        return domain ? std::optional{Json(*domain)} : std::nullopt;
    }
    if (parameter.type == Type::bare_jid || parameter.type == Type::jid) {
        const bool bare = parameter.type == Type::bare_jid;
        expected = bare ? "an address like romeo@example.org" : "an address like romeo@example.org or romeo@example.org/phone";
        const auto jid = xmpp::Jid::parse(text);
        if (!jid || jid->localpart().empty() || (bare && !jid->is_bare())) return std::nullopt;
        return Json(jid->text());
    }
    return value;
}

// Whom or what a call is about, for the log.
std::string about(const Command& command, const Arguments& arguments) {
    for (const Parameter& parameter : command.parameters)
        if ((parameter.type == Type::bare_jid || parameter.type == Type::jid) && arguments.has(parameter.name)) return arguments.text(parameter.name);
    return {};
}

}  // namespace

std::string_view to_string(Problem::Kind kind) {
    switch (kind) {
        case Kind::bad_request: return "bad-request";
        case Kind::not_found: return "not-found";
        case Kind::conflict: return "conflict";
        case Kind::busy: return "busy";
        case Kind::unavailable: return "unavailable";
        case Kind::internal: return "internal";
    }
    return "internal";
}

std::span<const Command> commands() {
    static const std::vector<Command> all = all_commands();
    return all;
}

const Command* find_command(std::string_view name) {
    const auto all = commands();
    const auto found = std::find_if(all.begin(), all.end(), [&](const Command& command) { return command.name == name; });
    return found == all.end() ? nullptr : &*found;
}

std::optional<std::int64_t> Arguments::number(std::string_view name) const {
    if (!has(name)) return std::nullopt;
    return values_.find(name)->get<std::int64_t>();
}

std::string Arguments::take_password(std::string_view name) {
    const auto found = values_.find(name);
    if (found == values_.end()) return {};
    std::string password = found->get<std::string>();
    auth::wipe(found->get_ref<std::string&>());
    return password;
}

xmpp::Result<Arguments, Problem> check(const Command& command, const Json& values) {
    if (!values.is_object()) return failure(Kind::bad_request, "the parameters must be an object");
    Json checked = Json::object();
    for (const Parameter& parameter : command.parameters) {
        if (parameter.type == Type::output) continue;
        const auto given = values.find(parameter.name);
        if (given == values.end() || given->is_null()) {
            if (parameter.required) return failure(Kind::bad_request, std::string{parameter.name} + " is missing");
            continue;
        }
        std::string expected;
        auto value = read(parameter, *given, expected);
        if (!value) return failure(Kind::bad_request, std::string{parameter.name} + " must be " + expected);
        checked[std::string{parameter.name}] = std::move(*value);
    }
    for (const auto& given : values.items())
        if (std::ranges::find(command.parameters, given.key(), &Parameter::name) == command.parameters.end())
            return failure(Kind::bad_request, "\"" + std::string{command.name} + "\" has no parameter \"" + given.key() + "\"");
    return Arguments{std::move(checked)};
}

storage::Task<Answer> run(Context& context, const Command& command, Json values) {
    auto arguments = check(command, values);
    if (!arguments) co_return xmpp::Failure{arguments.error()};
    for (const Parameter& parameter : command.parameters)
        if (parameter.type == Type::password && values.contains(parameter.name)) auth::wipe(values[std::string{parameter.name}].get_ref<std::string&>());
    const std::string whom = about(command, *arguments);
    auto running = command.run(context, std::move(*arguments));
    Answer answer = co_await running;
    const std::string_view outcome = answer ? "done" : to_string(answer.error().kind);
    if (command.role == Role::change && whom.empty()) log::info("admin command", {{"command", command.name}, {"outcome", outcome}});
    else if (command.role == Role::change) log::info("admin command", {{"command", command.name}, {"jid", whom}, {"outcome", outcome}});
    co_return std::move(answer);
}

}  // namespace server::admin
