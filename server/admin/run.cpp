// SPDX-License-Identifier: MIT
// What `tern …` does when it does not serve: looks at the configuration, or asks the running server.
#include <fstream>
#include <functional>
#include <iostream>
#include <optional>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "auth/crypto.h"
#include "server/admin/client.h"
#include "server/admin/command_line.h"
#include "server/admin/socket.h"
#include "server/admin/unix_socket.h"
#include "server/config.h"
#include "server/config_keys.h"

namespace server::admin {
namespace {

constexpr int done = 0, refused = 1, wrong_use = 2, no_server = 3;

void print(const CommandLine& line, const Json& result) {
    if (line.json) std::cout << result.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    else print_readable(std::cout, result);
}

int fail(const CommandLine& line, int code, std::string_view kind, const std::string& text) {
    if (line.json) std::cout << Json{{"error", {{"kind", kind}, {"text", text}}}}.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    else std::cerr << "tern: " << text << '\n';
    return code;
}

int print_problems(const CommandLine& line, const std::vector<ConfigProblem>& problems) {
    if (line.json) {
        Json list = Json::array();
        for (const ConfigProblem& problem : problems) list.push_back(problem.text);
        Json result{{"ok", false}};
        result["problems"] = std::move(list);
        print(line, result);
    } else {
        for (const ConfigProblem& problem : problems) std::cerr << problem.text << '\n';
    }
    return wrong_use;
}

// ---- configuration -------------------------------------------------------------------------------------------------

int check_config(const CommandLine& line) {
    const auto config = read_config(line.config_file, process_environment());
    if (!config) return print_problems(line, config.error());
    print(line, line.json ? Json{{"ok", true}} : Json{{"message", "the configuration is fine"}});
    return done;
}

int list_keys(const CommandLine& line) {
    Json rows = Json::array();
    for (const ConfigKey& key : config_keys())
        rows.push_back({{"key", key.name}, {"variable", key.variable}, {"default", key.default_value}, {"reload", key.reload}, {"help", key.help}});
    print(line, {{"keys", std::move(rows)}});
    return done;
}

// Values that may hold a secret are not shown.
std::string value_of(const keys::Key& key, const Config& config) {
    if (key.shown == keys::Shown::never && keys::show(key, config) != keys::show(key, Config{})) return "(not shown)";
    if (key.shown == keys::Shown::as_url) return values::masked_url(config.storage.url);
    return keys::show(key, config);
}

int show_config(const CommandLine& line) {
    const auto config = read_config(line.config_file, process_environment());
    if (!config) return print_problems(line, config.error());
    Json rows = Json::array();
    for (const keys::Key& key : keys::all())
        rows.push_back({{"key", key.name}, {"value", value_of(key, *config)}, {"default", keys::same(key, *config, Config{})}});
    print(line, {{"values", std::move(rows)}});
    return done;
}

// ---- commands ------------------------------------------------------------------------------------------------------

// What is typed is not shown.
class SilentTerminal {
public:
    SilentTerminal() {
        if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
        termios silent = before_;
        silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        changed_ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
    }
    ~SilentTerminal() {
        if (changed_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }
    SilentTerminal(const SilentTerminal&) = delete;
    SilentTerminal& operator=(const SilentTerminal&) = delete;

private:
    termios before_{};
    bool changed_ = false;
};

std::string prompt(const char* question) {
    std::cerr << question << std::flush;
    std::string answer;
    {
        const SilentTerminal silent;
        std::getline(std::cin, answer);
    }
    std::cerr << '\n';
    return answer;
}

std::optional<std::string> read_password() {
    std::string password;
    if (isatty(STDIN_FILENO)) {
        password = prompt("Password: ");
        std::string again = prompt("Again: ");
        const bool same = auth::equal_in_constant_time(password, again);
        auth::wipe(again);
        if (!same) {
            std::cerr << "tern: the two are not the same\n";
            return std::nullopt;
        }
    } else if (!std::getline(std::cin, password)) {
        std::cerr << "tern: no password: give --password, or a line on standard input\n";
        return std::nullopt;
    }
    if (!password.empty() && password.back() == '\r') password.pop_back();
    return password;
}

std::optional<Json> read_lines(const std::string& file) {
    std::ifstream opened;
    if (file != "-") opened.open(file);
    std::istream& in = file == "-" ? std::cin : opened;
    if (!in) {
        std::cerr << "tern: cannot read " << file << '\n';
        return std::nullopt;
    }
    Json lines = Json::array();
    for (std::string line; std::getline(in, line);) lines.push_back(std::move(line));
    return lines;
}

// Passwords and files, which the shell did not hand over.
bool complete(const Command& command, Json& parameters) {
    for (const Parameter& parameter : command.parameters) {
        const std::string name{parameter.name};
        if (parameter.type == Type::password && (!parameters.contains(name) || parameters[name] == "-")) {
            auto password = read_password();
            if (!password) return false;
            parameters[name] = std::move(*password);
        }
        if (parameter.type == Type::lines) {
            auto lines = read_lines(parameters[name].get<std::string>());
            if (!lines) return false;
            parameters[name] = std::move(*lines);
        }
    }
    return true;
}

// The pages of an answer, one behind the other.
std::optional<Problem> write_pages(Client& client, const Command& command, Json parameters, int file, const std::function<Problem()>& cannot) {
    for (;;) {
        Answer answer = client.ask(command.name, parameters);
        if (!answer) return answer.error();
        if (!net::write_all(file, answer->value("content", ""))) return cannot();
        if (!answer->contains("next")) break;
        parameters[std::string{command.pages}] = (*answer)["next"];
    }
    if (::fsync(file) != 0) return cannot();
    return std::nullopt;
}

// Others see the file when it is complete, and nobody but its owner (XEP-0227 §6). Until then it has a name that nobody can
// have put something under, in a folder where others write as well.
Answer write_file(Client& client, const Command& command, Json parameters, const std::string& file) {
    std::string fresh = file + ".XXXXXX";
    const auto cannot = [&] { return Problem{Problem::Kind::bad_request, "cannot write " + file + ": " + std::strerror(errno)}; };
    const Descriptor out{::mkostemp(fresh.data(), O_CLOEXEC)};   // O_EXCL, mode 0600
    if (!out) return xmpp::Failure{cannot()};
    auto problem = write_pages(client, command, std::move(parameters), out.get(), cannot);
    if (!problem && ::rename(fresh.c_str(), file.c_str()) != 0) problem = cannot();
    if (!problem) return Json{{"message", "wrote " + file}, {"file", file}};
    ::unlink(fresh.c_str());
    return xmpp::Failure{std::move(*problem)};
}

// The file that the answer is written to, taken out of the parameters.
std::optional<std::string> take_output(const Command& command, Json& parameters) {
    for (const Parameter& parameter : command.parameters) {
        if (parameter.type != Type::output) continue;
        const auto found = parameters.find(parameter.name);
        std::string file = found->get<std::string>();
        parameters.erase(found);
        return file;
    }
    return std::nullopt;
}

int run_command(const CommandLine& line) {
    std::string data;
    if (line.data) {
        data = *line.data;
    } else {
        const auto config = read_config(line.config_file, process_environment());
        if (!config) return print_problems(line, config.error());
        data = config->data;
    }
    auto client = Client::connect(socket_path(data));
    if (!client) return fail(line, no_server, "no-server", client.error());
    Json parameters = line.parameters;
    if (!complete(*line.command, parameters)) return wrong_use;
    const auto output = take_output(*line.command, parameters);
    const bool shows_progress = !line.json && isatty(STDERR_FILENO);
    const auto show_progress = [&](std::size_t lines) {
        if (shows_progress) std::cerr << lines << " lines\r" << std::flush;
    };
    const Answer answer = output ? write_file(*client, *line.command, std::move(parameters), *output)
                                 : run_whole(*client, *line.command, std::move(parameters), show_progress);
    if (!answer) return fail(line, refused, to_string(answer.error().kind), answer.error().text);
    print(line, *answer);
    return done;
}

}  // namespace

int run_command_line(const CommandLine& line) {
    switch (line.what) {
        case CommandLine::What::config_check: return check_config(line);
        case CommandLine::What::config_keys: return list_keys(line);
        case CommandLine::What::config_show: return show_config(line);
        case CommandLine::What::command: return run_command(line);
        case CommandLine::What::serve: break;
    }
    return wrong_use;
}

}  // namespace server::admin
