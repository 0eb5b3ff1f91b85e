// SPDX-License-Identifier: MIT
#include "tests/support/player.h"

#include <algorithm>

#include "tests/support/sasl_variables.h"
#include "xmpp/base64.h"

namespace tests {

namespace {

std::string unescaped(std::string_view text) {  // \0 \n \\ of ${base64 of …}
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            out += text[i];
            continue;
        }
        const char c = text[++i];
        out += c == '0' ? '\0' : c == 'n' ? '\n' : c;
    }
    return out;
}

class Player {
public:
    Player(const Scene& scene, Stage& stage) : scene_{scene}, stage_{stage} {}

    void play() {
        stage_.open(scene_);
        for (const Role& role : scene_.cast) actors_[role.name] = stage_.actor(role);
        for (const Step& step : scene_.steps) {
            step_ = &step;
            run(step);
        }
    }
    const Step* step() const { return step_; }

private:
    void run(const Step& step) {
        if (step.verb == Verb::wait) return stage_.pass(step.duration);
        if (step.verb == Verb::restart) return stage_.restart();
        for (const std::string& name : step.who) run(step, name, *actors_.at(name));
        const bool only_looks = step.verb == Verb::receive || step.verb == Verb::receive_nothing || step.verb == Verb::stream_is_closed;
        if (!only_looks) stage_.settle();
    }

    void run(const Step& step, const std::string& name, Actor& actor) {
        switch (step.verb) {
            case Verb::connect: return actor.connect();
            case Verb::disconnect: return actor.disconnect();
            case Verb::lose_connection: return actor.lose_connection();
            case Verb::fail_to_log_in:
                if (!actor.is_refused()) throw Wrong{name + " was let in"};
                return;
            case Verb::send: return actor.send(expanded(step.text));
            case Verb::send_byte_by_byte: {
                const std::string text = expanded(step.text);
                for (std::size_t i = 0; i < text.size(); ++i) actor.send(std::string_view{text}.substr(i, 1));
                return;
            }
            case Verb::receive: return receive(step, name, actor);
            case Verb::receive_nothing:
                if (const auto event = actor.unexpected()) throw Wrong{name + " received:\n" + indented(*event)};
                return;
            case Verb::forget: return actor.forget();
            case Verb::stream_is_closed: return expect_closed(name, actor);
            case Verb::start_tls: return actor.start_tls();
            case Verb::stop_reading: return actor.read_output(false);
            case Verb::read_again: return actor.read_output(true);
            case Verb::wait:
            case Verb::restart: break;
        }
    }

    static void expect_closed(const std::string& name, Actor& actor) {
        if (!actor.is_closed()) throw Wrong{"the stream of " + name + " is still open"};
        while (const auto event = actor.next())
            if (event->kind != Event::Kind::footer) throw Wrong{name + " received, before the end:\n" + indented(*event)};
    }

    // The block's elements come next, in any order.
    void receive(const Step& step, const std::string& name, Actor& actor) {
        std::string problem;
        auto expected = parse_events(expanded(step.text), problem);
        if (!expected) throw Wrong{"the scene is not XML: " + problem};
        while (!expected->empty()) {
            const auto received = actor.next();
            if (!received) throw Wrong{name + " received nothing; expected:\n" + indented(expected->front())};
            std::string first_difference;
            const auto found = std::find_if(expected->begin(), expected->end(), [&](const Event& wanted) {
                auto wrong = difference(wanted, *received, variables_);
                if (wrong && first_difference.empty()) first_difference = std::move(*wrong);
                return !wrong;
            });
            if (found == expected->end()) {
                std::string wanted;
                for (const Event& event : *expected) wanted += indented(event);
                throw Wrong{name + " received something else: " + first_difference + "\n" + side_by_side(wanted, indented(*received))};
            }
            expected->erase(found);
        }
    }

    // Fills in ${…}. What the same block captures is not known yet: the matcher sees to it.
    std::string expanded(std::string_view text, bool escape = true) {
        std::string out;
        while (true) {
            const std::size_t begin = text.find("${");
            const std::size_t end = begin == std::string_view::npos ? begin : end_of_variable(text, begin);
            if (end == std::string_view::npos) return out.append(text);
            out.append(text.substr(0, begin));
            const std::string value = variable(expanded(text.substr(begin + 2, end - begin - 2), false));
            out.append(escape ? escaped(value) : value);
            text.remove_prefix(end + 1);
        }
    }

    // One may stand inside another: ${base64 of \0romeo\0${key}}
    static std::size_t end_of_variable(std::string_view text, std::size_t begin) {
        std::size_t depth = 0;
        for (std::size_t i = begin; i < text.size(); ++i) {
            if (text.substr(i).starts_with("${")) ++depth;
            else if (text[i] == '}' && --depth == 0) return i;
        }
        return std::string_view::npos;
    }

    std::string variable(std::string_view name) {
        if (const auto captured = variables_.find(name); captured != variables_.end()) return captured->second;
        if (const auto value = jid_variable(name)) return *value;
        if (name.starts_with("PIN sent to ")) return stage_.pin_sent_to(std::string{name.substr(12)});
        if (name.starts_with("base64 of ")) return xmpp::base64(unescaped(name.substr(10)));
        if (const std::size_t times = name.find(" times "); times != std::string_view::npos) {
            std::string out;
            for (long left = std::stol(std::string{name.substr(0, times)}); left > 0; --left) out.append(name.substr(times + 7));
            return out;
        }
        if (name.starts_with("now")) return time_variable(name);
        if (const auto words = sasl_variable(name)) return *words;
        throw Wrong{"the scene has no ${" + std::string{name} + "}"};
    }

    std::optional<std::string> jid_variable(std::string_view name) const {
        for (const Role& role : scene_.cast) {
            if (!name.starts_with(role.name + "'s ")) continue;
            const std::string_view what = name.substr(role.name.size() + 3);
            const std::string full = actors_.at(role.name)->full_jid();
            if (what == "JID") return role.bare_jid();
            if (what != "full JID" && what != "resource") continue;
            if (full.empty()) throw Wrong{role.name + " has no full JID yet"};
            return what == "full JID" ? full : full.substr(full.find('/') + 1);
        }
        return std::nullopt;
    }

    // ${now}, ${now - 10 minutes}
    std::string time_variable(std::string_view name) const {
        xmpp::Time time = stage_.now();
        if (name.size() > 6) {
            const auto part = parse_scene("", "-----\nafter " + std::string{name.substr(6)} + "\n");
            if (!part) throw Wrong{"the scene has no ${" + std::string{name} + "}"};
            const auto by = part->steps.front().duration;
            time = name[4] == '-' ? time - by : time + by;
        }
        return xmpp::format_date_time(time);
    }

    const Scene& scene_;
    Stage& stage_;
    std::map<std::string, std::unique_ptr<Actor>> actors_;
    Captures variables_;
    const Step* step_ = nullptr;
};

// Errors that the server logged and the scene did not announce, and the other way round.
std::optional<std::string> wrong_log(const Scene& scene, const std::vector<std::string>& logged) {
    for (const std::string& line : logged) {
        const auto is_in_line = [&](const std::string& text) { return line.find(text) != std::string::npos; };
        if (std::none_of(scene.expected_log.begin(), scene.expected_log.end(), is_in_line)) return "the server logged: " + line;
    }
    for (const std::string& text : scene.expected_log) {
        const auto has_text = [&](const std::string& line) { return line.find(text) != std::string::npos; };
        if (std::none_of(logged.begin(), logged.end(), has_text)) return "the server did not log: " + text;
    }
    return std::nullopt;
}

}  // namespace

Outcome play(const Scene& scene, Stage& stage) {
    if (auto reason = stage.reason_to_skip(scene)) return {Outcome::Kind::skipped, std::move(*reason)};
    Outcome outcome;
    {
        Player player{scene, stage};
        try {
            player.play();
        } catch (const Wrong& wrong) {
            const std::string where = player.step() == nullptr ? scene.file : scene.file + ":" + std::to_string(player.step()->line) + ": " + player.step()->source;
            outcome = {Outcome::Kind::failed, where + "\n  " + wrong.what()};
        }
    }
    stage.close();
    if (auto wrong = wrong_log(scene, stage.logged_errors())) {
        outcome.kind = Outcome::Kind::failed;
        outcome.text.append(outcome.text.empty() ? scene.file + ": " : "\n").append(*wrong);
    }
    return outcome;
}

}  // namespace tests
