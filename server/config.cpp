// SPDX-License-Identifier: MIT
// Reading the configuration: the TOML file first, the environment over it, then what only the whole can tell.
// The keys are in config_keys.cpp, what single values may look like is in config_values.cpp.
#include "server/config.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#define TOML_EXCEPTIONS 0
// toml++ 3.3 asserts on some wrong input ("[." is one) right before it would report it.
#define TOML_ASSERT(expression) static_assert(true)
#include <toml++/toml.h>

#include "server/config_keys.h"
#include "server/config_values.h"

namespace server {
namespace {

// "Why not" by the operating system, for a file that cannot be read.
xmpp::Result<std::string, std::string> read_whole(const std::string& path) {
    errno = 0;
    std::ifstream file{path, std::ios::binary};
    std::ostringstream content;
    if (file && file.peek() != std::ifstream::traits_type::eof()) content << file.rdbuf();
    if (!file.is_open() || file.bad() || content.bad())  // a directory opens, but cannot be read
        return xmpp::Failure{std::string{errno != 0 ? std::strerror(errno) : "read error"}};
    return content.str();
}

class Reader {
public:
    void read_file(const std::string& path);
    void read_environment(const Environment& environment);
    xmpp::Result<Config, std::vector<ConfigProblem>> finish();

private:
    void walk(const toml::table& table, const std::string& section);
    void take(const keys::Key& key, const keys::Raw& raw, const std::string& where);
    void take_variable(const keys::Key& key, const Environment& environment);
    void report_unknown_variable(const std::string& variable, std::string_view value);
    void follow_data();
    void check_whole();
    void check_listeners();

    void problem(const std::string& where, std::string_view name, std::string_view was,
                 std::string_view expected);
    // Where a key was set, or what stands for "nowhere".
    std::string where(std::string_view name) const;
    bool is_set(std::string_view name) const { return set_at_.contains(std::string{name}); }
    std::string at_line(const toml::source_region& source) const {
        return file_ + ":" + std::to_string(source.begin.line);
    }

    Config config_;
    std::string file_;
    std::map<std::string, std::string> set_at_;  // key → "tern.toml:12" or "TERN_DATA"
    std::set<std::string> refused_;              // keys that had a problem: not to be judged again as a whole
    std::vector<ConfigProblem> problems_;
};

void Reader::problem(const std::string& where, std::string_view name, std::string_view was,
                     std::string_view expected) {
    std::string text = where;
    text.append(": ").append(name).append(name.empty() ? "" : ": ").append(was);
    if (!expected.empty())
        text.append(expected.starts_with("did you mean") ? " — " : " — expected ").append(expected);
    problems_.push_back({std::move(text)});
    refused_.emplace(name);
}

std::string Reader::where(std::string_view name) const {
    const auto found = set_at_.find(std::string{name});
    if (found != set_at_.end()) return found->second;
    return file_.empty() ? "configuration" : file_;
}

// ---- the file
// ------------------------------------------------------------------------------------------------------

// Short enough for one line.
std::string shown_node(const keys::Key& key, const toml::node& node) {
    if (key.shown != keys::Shown::plainly && !node.is_string()) return keys::shown(key, {});
    if (const auto text = node.value<std::string>(); text && node.is_string()) return keys::shown(key, *text);
    if (node.is_table()) return "a section";
    if (node.is_array_of_tables()) return "a list of sections";
    std::ostringstream shown;
    node.visit([&](const auto& exact) { shown << exact; });
    std::string text = shown.str();
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text.size() > 80 ? "what is there" : text;
}

keys::Raw raw_of(const keys::Key& key, const toml::node& node) {
    keys::Raw raw{.value = {}, .shown = shown_node(key, node)};
    if (const auto* flag = node.as_boolean())
        raw.value = flag->get();
    else if (const auto* number = node.as_integer())
        raw.value = number->get();
    else if (const auto* text = node.as_string())
        raw.value = text->get();
    else if (const auto* array = node.as_array()) {
        std::vector<std::string> items;
        for (const toml::node& item : *array)
            if (const auto* item_text = item.as_string()) items.push_back(item_text->get());
        if (items.size() == array->size()) raw.value = std::move(items);
    }
    return raw;
}

void Reader::read_file(const std::string& path) {
    file_ = path.substr(path.rfind('/') + 1);
    const auto content = read_whole(path);
    if (!content) return problem(path, "", "cannot be read: " + content.error(), "a TOML file");
    const toml::parse_result parsed = toml::parse(content.value(), path);
    if (parsed) return walk(parsed.table(), "");
    const toml::parse_error& error = parsed.error();
    problem(at_line(error.source()), "", error.description(), "TOML, e.g. domains = [\"chat.example\"]");
}

void Reader::walk(const toml::table& table, const std::string& section) {
    for (const auto& [key_name, node] : table) {
        const std::string name = section + std::string{key_name.str()};
        const std::string line = at_line(key_name.source());
        if (const keys::Key* key = keys::find(name)) {
            take(*key, raw_of(*key, node), line);
        } else if (keys::is_section(name)) {
            if (node.is_table())
                walk(*node.as_table(), name + ".");
            else
                problem(line, name, "not a section", "a line [" + name + "] with its keys below");
        } else if (node.is_table() && section.empty()) {
            problem(line, name, "no such section", keys::section_suggestion(name));
        } else {
            problem(line, name, "no such key", keys::key_suggestion(name));
        }
    }
}

void Reader::take(const keys::Key& key, const keys::Raw& raw, const std::string& where) {
    set_at_[std::string{key.name}] = where;
    for (const keys::Refusal& refusal : keys::put(key, config_, raw))
        problem(where, key.name, refusal.was, refusal.expected);
}

// ---- the environment
// -----------------------------------------------------------------------------------------------

// Lists may also be given as TOML has them, for items with commas: ["a, b", "c"].
std::optional<std::vector<std::string>> toml_list(std::string_view text) {
    const std::size_t bracket = text.find_first_not_of(" \t\r\n");
    if (bracket == text.npos || text[bracket] != '[') return std::nullopt;
    const std::size_t next = text.find_first_not_of(" \t\r\n", bracket + 1);
    if (next == text.npos || (text[next] != '"' && text[next] != '\'' && text[next] != ']'))
        return std::nullopt;  // [::1]:5222
    const toml::parse_result parsed = toml::parse("list = " + std::string{text});
    const toml::array* array = parsed ? parsed.table()["list"].as_array() : nullptr;
    if (!array || parsed.table().size() != 1) return std::nullopt;
    std::vector<std::string> items;
    for (const toml::node& item : *array) {
        if (!item.is_string()) return std::nullopt;
        items.push_back(item.as_string()->get());
    }
    return items;
}

void Reader::take_variable(const keys::Key& key, const Environment& environment) {
    std::string variable = keys::variable_of(key.name);
    const auto direct = environment.find(variable);
    const auto by_file = environment.find(variable + "_FILE");
    std::string value;
    if (direct != environment.end() && by_file != environment.end())
        return problem(variable, key.name, "set here and by " + variable + "_FILE too", "one of the two");
    if (direct != environment.end()) {
        value = direct->second;
    } else if (by_file != environment.end()) {
        variable += "_FILE";
        const auto content = read_whole(by_file->second);
        if (!content)
            return problem(variable, key.name,
                           values::quoted(by_file->second) + " cannot be read: " + content.error(),
                           "a file that holds the value");
        value = content.value();
        while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
    } else {
        return;
    }
    keys::Raw raw{.value = value, .shown = keys::shown(key, value), .from_environment = true};
    if (std::holds_alternative<keys::List>(key.field))
        if (auto items = toml_list(value)) raw.value = std::move(*items);
    take(key, raw, variable);
}

// Kubernetes adds TERN_SERVICE_HOST, TERN_PORT_5222_TCP_ADDR and the like for a service called "tern".
bool is_service_link(std::string_view variable, std::string_view value) {
    const std::size_t port = variable.find("_PORT_");
    return variable.ends_with("_SERVICE_HOST") || variable.find("_SERVICE_PORT") != variable.npos ||
           (variable.ends_with("_PORT") && value.find("://") != value.npos) ||
           (port != variable.npos && port + 6 < variable.size() && variable[port + 6] >= '0' &&
            variable[port + 6] <= '9');
}

// A variable that is ours by its section or nearly ours by its name is a slip; any other belongs to somebody
// else.
void Reader::report_unknown_variable(const std::string& variable, std::string_view value) {
    if (is_service_link(variable, value)) return;
    std::vector<std::string> variables;
    bool in_section = false;
    for (const keys::Key& key : keys::all()) {
        variables.push_back(keys::variable_of(key.name));
        const std::size_t dot = key.name.find('.');
        in_section = in_section || (dot != key.name.npos &&
                                    variable.starts_with(keys::variable_of(key.name.substr(0, dot)) + "_"));
    }
    const auto meant = values::nearest(variable, {variables.begin(), variables.end()});
    if (!meant.empty())
        problem(variable, "", "no such variable", "did you mean " + std::string{meant} + "?");
    else if (in_section)
        problem(variable, "", "no such variable", "one of those that \"tern config keys\" lists");
}

void Reader::read_environment(const Environment& environment) {
    std::set<std::string> known;
    for (const keys::Key& key : keys::all()) {
        take_variable(key, environment);
        known.insert(keys::variable_of(key.name));
        known.insert(keys::variable_of(key.name) + "_FILE");
    }
    for (const auto& [variable, value] : environment)
        if (variable.starts_with("TERN_") && !known.contains(variable))
            report_unknown_variable(variable, value);
}

// ---- the whole
// -----------------------------------------------------------------------------------------------------

void Reader::follow_data() {
    const std::string directory = config_.data.ends_with('/') ? config_.data : config_.data + "/";
    if (!is_set("storage.url")) config_.storage.url = "sqlite:" + directory + "tern.db";
    if (!is_set("sms.file")) config_.sms.file = directory + "sms.jsonl";
}

void Reader::check_listeners() {
    std::map<std::string, std::string_view> taken;
    const std::pair<std::string_view, const std::vector<std::string>*> lists[] = {
        {"c2s.listen", &config_.c2s.listen},
        {"c2s.direct_tls", &config_.c2s.direct_tls},
        {"http.listen", &config_.http.listen},
        {"http.tls", &config_.http.tls}};
    for (const auto& [name, list] : lists) {
        if (refused_.contains(std::string{name})) continue;
        for (const std::string& address : *list) {
            if (address.ends_with(":0")) continue;  // any free port: never twice the same
            const auto [other, is_new] = taken.emplace(address, name);
            if (!is_new)
                problem(where(name), name,
                        values::quoted(address) + " is in " + std::string{other->second} + " too",
                        "each address once");
        }
    }
}

void Reader::check_whole() {
    const auto& c = config_;
    if (c.domains.empty())
        problem(where("domains"), "domains", "[]", "one domain at least, e.g. [\"chat.example\"]");
    if (std::set<std::string>{c.domains.begin(), c.domains.end()}.size() != c.domains.size())
        problem(where("domains"), "domains", "the same domain twice", "each domain once");
    if (!refused_.contains("domains"))
        for (const std::string& admin : c.admins)
            if (!c.is_local(admin.substr(admin.find('@') + 1)))
                problem(where("admins"), "admins", values::quoted(admin), "an account at one of the domains");
    if (c.tls.certificate.empty() != c.tls.key.empty()) {
        const std::string_view missing = c.tls.key.empty() ? "tls.key" : "tls.certificate";
        const std::string_view there = c.tls.key.empty() ? "tls.certificate" : "tls.key";
        problem(where(there), missing, "not set, while " + std::string{there} + " is",
                "both, or neither (then self-signed)");
    }
    if (c.sms.gateway == "http" && c.sms.url.empty() && !refused_.contains("sms.url"))
        problem(where("sms.gateway"), "sms.url", "not set, while sms.gateway is \"http\"",
                "the URL where each SMS is posted");
    if (c.sms.gateway == "file" && c.sms.file.empty())
        problem(where("sms.file"), "sms.file", "\"\", while sms.gateway is \"file\"",
                "the file that SMS are appended to");
    if (c.limits.stanza_bytes_before_login > c.limits.stanza.stanza_bytes &&
        !refused_.contains("limits.stanza_bytes"))
        problem(
            where("limits.stanza_bytes_before_login"), "limits.stanza_bytes_before_login",
            values::show_size(c.limits.stanza_bytes_before_login),
            "no more than limits.stanza_bytes, which is " + values::show_size(c.limits.stanza.stanza_bytes));
    check_listeners();
}

xmpp::Result<Config, std::vector<ConfigProblem>> Reader::finish() {
    follow_data();
    check_whole();
    if (!problems_.empty()) return xmpp::Failure{std::move(problems_)};
    return std::move(config_);
}

}  // namespace

xmpp::Result<Config, std::vector<ConfigProblem>> read_config(const std::optional<std::string>& file,
                                                             const Environment& environment) {
    Reader reader;
    if (file) reader.read_file(*file);
    reader.read_environment(environment);
    return reader.finish();
}

Environment process_environment() {
    Environment ours;
    for (char** entry = environ; entry && *entry; ++entry) {
        const std::string_view text = *entry;
        const std::size_t equals = text.find('=');
        if (text.starts_with("TERN_") && equals != text.npos)
            ours.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return ours;
}

std::vector<ConfigKey> config_keys() {
    const Config defaults;
    std::vector<ConfigKey> listed;
    for (const keys::Key& key : keys::all())
        listed.push_back({std::string{key.name}, keys::variable_of(key.name), keys::show(key, defaults),
                          key.reload == keys::Reload::live ? "live" : "restart", std::string{key.help}});
    return listed;
}

std::vector<ConfigChange> differences(const Config& before, const Config& after) {
    std::vector<ConfigChange> changes;
    for (const keys::Key& key : keys::all())
        if (!keys::same(key, before, after))
            changes.push_back({std::string{key.name}, key.reload == keys::Reload::live});
    return changes;
}

void keep_restart_keys(const Config& running, Config& fresh) {
    for (const keys::Key& key : keys::all())
        if (key.reload == keys::Reload::restart) keys::copy(key, running, fresh);
}

bool Config::is_local(std::string_view domain) const {
    return std::find(domains.begin(), domains.end(), domain) != domains.end();
}

bool Config::is_admin(xmpp::JidView bare) const {
    return std::find(admins.begin(), admins.end(), bare.bare().text()) != admins.end();
}

}  // namespace server
