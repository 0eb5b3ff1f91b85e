// SPDX-License-Identifier: MIT
#include "tests/support/scene.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/support/xml.h"

namespace tests {

const Role* Scene::role(std::string_view name) const {
    for (const Role& role : cast)
        if (role.name == name) return &role;
    return nullptr;
}

bool Scene::uses(Verb verb) const {
    return std::any_of(steps.begin(), steps.end(), [&](const Step& step) { return step.verb == verb; });
}

std::vector<std::string> Scene::domains() const {
    std::vector<std::string> found;
    for (const auto* roles : {&cast, &accounts}) {
        for (const Role& role : *roles) {
            if (role.jid.empty()) continue;
            const std::string bare = role.bare_jid();
            std::string domain = bare.substr(bare.find('@') + 1);
            if (std::find(found.begin(), found.end(), domain) == found.end()) found.push_back(std::move(domain));
        }
    }
    if (found.empty()) found.emplace_back("localhost");
    return found;
}

namespace {

struct Line {
    std::string text;
    int number;
    bool is_indented() const { return text.starts_with('\t') || text.starts_with("    "); }
    bool is_blank() const { return trimmed(text).empty(); }
    bool is_comment() const { return text.starts_with('#'); }
};

struct Phrase {
    std::string_view text;
    Verb verb;
    bool has_block;
};
constexpr Phrase phrases[] = {
    {"connects", Verb::connect, false},
    {"disconnects", Verb::disconnect, false},
    {"loses his connection", Verb::lose_connection, false},
    {"loses her connection", Verb::lose_connection, false},
    {"loses their connection", Verb::lose_connection, false},
    {"loses its connection", Verb::lose_connection, false},
    {"fails to log in", Verb::fail_to_log_in, false},
    {"sends:", Verb::send, true},
    {"send:", Verb::send, true},
    {"sends byte by byte:", Verb::send_byte_by_byte, true},
    {"receives:", Verb::receive, true},
    {"receive:", Verb::receive, true},
    {"receives nothing", Verb::receive_nothing, false},
    {"receive nothing", Verb::receive_nothing, false},
    {"forgets what it received", Verb::forget, false},
    {"forgets what he received", Verb::forget, false},
    {"forgets what she received", Verb::forget, false},
    {"forget what they received", Verb::forget, false},
    {"'s stream is closed", Verb::stream_is_closed, false},
    {"starts TLS", Verb::start_tls, false},
    {"stops reading", Verb::stop_reading, false},
    {"reads again", Verb::read_again, false},
};

std::optional<std::chrono::seconds> parse_wait(std::string_view text) {
    std::istringstream words{std::string{text}};
    long count = 0;
    std::string unit, rest;
    if (!(words >> count >> unit) || words >> rest || count <= 0) return std::nullopt;
    if (unit.ends_with('s')) unit.pop_back();
    if (unit == "second") return std::chrono::seconds{count};
    if (unit == "minute") return std::chrono::minutes{count};
    if (unit == "hour") return std::chrono::hours{count};
    if (unit == "day") return std::chrono::hours{24 * count};
    return std::nullopt;
}

class Reader {
public:
    Reader(std::string file, std::string_view text) {
        scene_.file = std::move(file);
        std::istringstream stream{std::string{text}};
        int number = 0;
        for (std::string line; std::getline(stream, line);) {
            if (line.ends_with('\r')) line.pop_back();
            lines_.push_back({std::move(line), ++number});
        }
    }

    xmpp::Result<Scene, std::string> read() {
        for (const Line& line : lines_) {
            if (!line.is_comment()) continue;
            scene_.title = trimmed(std::string_view{line.text}.substr(1));
            break;
        }
        if (!read_cast() || !read_steps()) return xmpp::Failure{problem_};
        return scene_;
    }

private:
    bool fail(const Line& line, std::string_view text) {
        problem_ = scene_.file + ":" + std::to_string(line.number) + ": " + std::string{text} + ": " + line.text;
        return false;
    }
    void skip_to_content() {
        while (next_ < lines_.size() && (lines_[next_].is_blank() || lines_[next_].is_comment())) ++next_;
    }

    bool read_cast() {
        for (skip_to_content(); next_ < lines_.size(); skip_to_content()) {
            const Line& line = lines_[next_++];
            if (line.text.starts_with("-----")) return true;
            const std::size_t end = line.text.find(']');
            if (!line.text.starts_with('[') || end == std::string::npos) return fail(line, "expected [Client] NAME or -----");
            const std::string kind = line.text.substr(1, end - 1);
            const std::string name = trimmed(std::string_view{line.text}.substr(end + 1));
            if (!read_section(line, kind, name)) return false;
        }
        return fail(lines_.empty() ? Line{"", 1} : lines_.back(), "the scene has no line -----");
    }

    bool read_section(const Line& head, const std::string& kind, const std::string& name) {
        Role role;
        role.name = name;
        role.line = head.number;
        if (kind == "Raw") role.kind = Role::Kind::raw;
        else if (kind == "Account") role.jid = name;
        else if (kind != "Client" && kind != "Server") return fail(head, "not a kind of role");
        if (kind != "Server" && name.empty()) return fail(head, "the role has no name");
        for (; next_ < lines_.size(); ++next_) {
            const Line& line = lines_[next_];
            if (line.is_comment() || line.is_blank()) continue;
            if (!line.is_indented()) break;
            const std::string text = trimmed(line.text);
            const std::size_t colon = text.find(':');
            if (colon == std::string::npos) return fail(line, "expected key: value");
            const std::string key = text.substr(0, colon);
            const std::string value = trimmed(std::string_view{text}.substr(colon + 1));
            if (kind == "Server" ? !set_server(key, value) : !set_role(role, key, value)) return fail(line, "unknown key");
        }
        if (kind == "Client" && (role.jid.empty() || role.password.empty())) return fail(head, "needs jid: and password:");
        if (kind == "Account") scene_.accounts.push_back(role);
        else if (kind != "Server") scene_.cast.push_back(role);
        return true;
    }

    bool set_server(const std::string& key, const std::string& value) {
        if (key == "expect_log") scene_.expected_log.push_back(value);
        else if (key == "only_in_process") scene_.only_in_process = value;
        else scene_.settings.emplace_back(key, value);
        return true;
    }
    static bool set_role(Role& role, const std::string& key, const std::string& value) {
        if (key == "jid") role.jid = value;
        else if (key == "password") role.password = value;
        else if (key == "device") role.device = value;
        else if (key == "account" && value == "none") role.has_account = false;
        else if (key == "account" && value == "disabled") role.is_disabled = true;
        else if (key == "phone") role.phone = value;
        else if (key == "verifiers" && value == "SCRAM-SHA-1") role.is_partial = true;
        else if (key == "tls" && value == "direct") role.is_direct_tls = true;
        else return false;
        return true;
    }

    bool read_steps() {
        for (skip_to_content(); next_ < lines_.size(); skip_to_content()) {
            const Line& line = lines_[next_++];
            if (line.is_indented()) return fail(line, "indented text without a step before it");
            if (!read_step(line)) return false;
        }
        if (scene_.steps.empty()) return fail(lines_.back(), "the scene has no steps");
        return true;
    }

    bool read_step(const Line& line) {
        Step step;
        step.source = trimmed(line.text);
        step.line = line.number;
        if (step.source == "the server restarts") {
            step.verb = Verb::restart;
        } else if (step.source.starts_with("after ")) {
            const auto duration = parse_wait(std::string_view{step.source}.substr(6));
            if (!duration) return fail(line, "expected: after N seconds|minutes|hours|days");
            step.verb = Verb::wait;
            step.duration = *duration;
        } else {
            const Phrase* phrase = find_phrase(step);
            if (phrase == nullptr) return fail(line, "not a step, or a name that is not in the cast");
            step.verb = phrase->verb;
            if (phrase->has_block) {
                step.text = read_block();
                if (trimmed(step.text).empty()) return fail(line, "the step needs an indented block");
            }
        }
        scene_.steps.push_back(std::move(step));
        return true;
    }

    // "A's phone, B and C receive:": the phrase is what the line ends with; before it stand names of the cast alone.
    const Phrase* find_phrase(Step& step) const {
        for (const Phrase& phrase : phrases) {
            const std::string_view source = step.source;
            if (!source.ends_with(phrase.text)) continue;
            std::string_view names = source.substr(0, source.size() - phrase.text.size());
            if (names.empty()) continue;
            if (!phrase.text.starts_with('\'')) {
                if (!names.ends_with(' ')) continue;
                names.remove_suffix(1);
            }
            if (auto who = find_names(names)) {
                step.who = std::move(*who);
                return &phrase;
            }
        }
        return nullptr;
    }

    std::optional<std::vector<std::string>> find_names(std::string_view names) const {
        if (scene_.role(names) != nullptr) return std::vector<std::string>{std::string{names}};
        if (names == "Everyone") {
            std::vector<std::string> all;
            for (const Role& role : scene_.cast) all.push_back(role.name);
            return all;
        }
        for (const std::string_view separator : {std::string_view{" and "}, std::string_view{", "}}) {
            for (std::size_t at = names.rfind(separator); at != std::string_view::npos && at != 0; at = names.rfind(separator, at - 1)) {
                const std::string_view last = names.substr(at + separator.size());
                if (scene_.role(last) == nullptr) continue;
                auto before = find_names(names.substr(0, at));
                if (!before) continue;
                before->emplace_back(last);
                return before;
            }
        }
        return std::nullopt;
    }

    // The indented lines that follow, without their indentation; blank lines and comments may stand between them.
    std::string read_block() {
        std::string block;
        std::string blank;
        for (; next_ < lines_.size(); ++next_) {
            const Line& line = lines_[next_];
            if (line.is_blank()) blank += '\n';
            if (line.is_blank() || line.is_comment()) continue;
            if (!line.is_indented()) break;
            if (!block.empty()) block.append("\n").append(blank);
            blank.clear();
            block += line.text.substr(line.text.starts_with('\t') ? 1 : 4);
        }
        return block;
    }

    Scene scene_;
    std::vector<Line> lines_;
    std::size_t next_ = 0;
    std::string problem_;
};

}  // namespace

xmpp::Result<Scene, std::string> parse_scene(std::string file, std::string_view text) {
    return Reader{std::move(file), text}.read();
}

xmpp::Result<Scene, std::string> read_scene(const std::string& file) {
    std::ifstream stream{file};
    if (!stream) return xmpp::Failure{file + ": cannot be read"};
    std::ostringstream text;
    text << stream.rdbuf();
    return parse_scene(file, text.str());
}

}  // namespace tests
