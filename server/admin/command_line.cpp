// SPDX-License-Identifier: MIT
// Parses `tern …` (CLI11).
#include "server/admin/command_line.h"

#include <deque>
#include <iostream>
#include <map>

#include <CLI/CLI.hpp>

namespace server::admin {
namespace {

struct Given {   // where CLI11 puts a parameter's value
    const Parameter* parameter;
    std::string value;
    CLI::Option* option;
};

// The client itself counts the lines of the file that it sends, and knows where one that it writes goes on.
bool is_for_people(const Command& command, const Parameter& parameter) {
    if (parameter.name == command.pages && std::ranges::any_of(command.parameters, [](const Parameter& other) { return other.type == Type::output; })) return false;
    if (parameter.name != "first_line") return true;
    return std::none_of(command.parameters.begin(), command.parameters.end(), [](const Parameter& other) { return other.type == Type::lines; });
}

std::string type_name(const Parameter& parameter) {
    switch (parameter.type) {
        case Type::number: return "N";
        case Type::lines:
        case Type::output: return "FILE";
        case Type::jid:
        case Type::bare_jid: return "JID";
        default: return "TEXT";
    }
}

std::string check_number(const Parameter& parameter, const std::string& text) {
    const std::string expected = "a whole number from " + std::to_string(parameter.least) + " to " + std::to_string(parameter.most);
    if (text.empty() || text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos) return expected;
    const std::int64_t number = std::stoll(text);
    return number < parameter.least || number > parameter.most ? expected : std::string{};
}

void add_parameter(CLI::App& app, const Parameter& parameter, std::deque<Given>& given) {
    Given& at = given.emplace_back(Given{&parameter, {}, nullptr});
    const std::string name{parameter.name};
    at.option = app.add_option(parameter.positional ? name : "--" + name, at.value, std::string{parameter.help});
    at.option->type_name(type_name(parameter));
    if (parameter.required && parameter.type != Type::password) at.option->required();
    if (parameter.type == Type::number) at.option->check([&parameter](const std::string& text) { return check_number(parameter, text); });
}

class Grammar {
public:
    Grammar() {
        app_.set_version_flag("--version", "tern " TERN_VERSION, "print this program's version");
        app_.require_subcommand(1);
        app_.fallthrough();
        app_.add_option("--config", config_, "configuration file (TOML)")->type_name("FILE");
        app_.add_option("--data", data_, "data directory of the running server (else from the configuration)")->type_name("DIRECTORY");
        app_.add_flag("--json", line_.json, "print the result as JSON");

        on(app_.add_subcommand("serve", "run the server"), CommandLine::What::serve);
        CLI::App* config = app_.add_subcommand("config", "look at the configuration");
        config->require_subcommand(1);
        config->fallthrough();
        on(config->add_subcommand("check", "say what is wrong with the configuration"), CommandLine::What::config_check);
        on(config->add_subcommand("keys", "list every key: variable, default, live or restart, what it is"), CommandLine::What::config_keys);
        on(config->add_subcommand("show", "show every key's value as the server would use it"), CommandLine::What::config_show);
        for (const Command& command : commands()) add(command);
    }

    std::variant<CommandLine, int> parse(const std::vector<std::string>& arguments) {
        try {
            app_.parse(std::vector<std::string>{arguments.rbegin(), arguments.rend()});   // CLI11 wants them backwards
        } catch (const CLI::ParseError& error) {
            return app_.exit(error) == 0 ? 0 : 2;
        }
        if (!config_.empty()) line_.config_file = config_;
        if (!data_.empty()) line_.data = data_;
        for (const Given& value : given_)
            if (value.option->count() > 0) line_.parameters[std::string{value.parameter->name}] = value.value;
        return line_;
    }

private:
    void on(CLI::App* app, CommandLine::What what) {
        app->fallthrough();
        app->callback([this, what] { line_.what = what; });
    }

    // "account add": a group "account" with a subcommand "add".
    void add(const Command& command) {
        std::string name{command.name};
        CLI::App* parent = &app_;
        if (const std::size_t gap = name.find(' '); gap != std::string::npos) {
            CLI::App*& group = groups_[name.substr(0, gap)];
            if (!group) {
                group = app_.add_subcommand(name.substr(0, gap), "commands on a" + std::string{name.starts_with('a') ? "n " : " "} + name.substr(0, gap));
                group->require_subcommand(1);
                group->fallthrough();
            }
            parent = group;
            name.erase(0, gap + 1);
        }
        CLI::App* app = parent->add_subcommand(name, std::string{command.help});
        app->fallthrough();
        for (const Parameter& parameter : command.parameters)
            if (is_for_people(command, parameter)) add_parameter(*app, parameter, given_);
        if (parent == &app_) groups_[name] = app;   // "invite list" goes beneath "invite"
        app->callback([this, app, &command] {
            if (!app->get_subcommands().empty()) return;
            line_.what = CommandLine::What::command;
            line_.command = &command;
        });
    }

    CLI::App app_{"Tern, an XMPP chat server", "tern"};
    std::string config_, data_;
    CommandLine line_;
    std::deque<Given> given_;   // addresses stay
    std::map<std::string, CLI::App*> groups_;
};

}  // namespace

std::variant<CommandLine, int> parse_command_line(const std::vector<std::string>& arguments) {
    Grammar grammar;
    return grammar.parse(arguments);
}

}  // namespace server::admin
