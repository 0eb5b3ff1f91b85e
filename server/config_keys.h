// SPDX-License-Identifier: MIT
// The one table of configuration keys: it drives the file, the environment, the defaults that are shown, what
// a reload applies and the range checks. Where values come from is config.cpp's business.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/config.h"
#include "server/config_values.h"

namespace server::keys {

// The kinds of fields. `at` leads to the field in a Config.
struct Switch {
    bool& (*at)(Config&);
};
struct Number {
    std::uint32_t& (*at)(Config&);
    std::uint32_t least, most;
};
struct Size {
    std::uint32_t& (*at)(Config&);
    std::uint32_t least, most;
};
struct Seconds {
    std::chrono::seconds& (*at)(Config&);
    std::chrono::seconds least, most;
};
struct Milliseconds {
    std::chrono::milliseconds& (*at)(Config&);
    std::chrono::milliseconds least, most;
};
struct Text {
    std::string& (*at)(Config&);
    values::Check check;
};
struct List {
    std::vector<std::string>& (*at)(Config&);
    values::Check check;
};
using Field = std::variant<Switch, Number, Size, Seconds, Milliseconds, Text, List>;

enum class Reload { live, restart };
enum class Shown { plainly, as_url, never };  // in problems; a value that may hold a secret is not

struct Key {
    std::string_view name;
    Reload reload;
    Field field;
    std::string_view help;
    Shown shown = Shown::plainly;
};

// A value as the file or the environment has it. The environment knows text alone, which then stands for
// every type.
struct Raw {
    std::variant<std::monostate, bool, std::int64_t, std::string, std::vector<std::string>> value;
    std::string shown;  // how a problem names it
    bool from_environment = false;

    const std::string* text() const { return std::get_if<std::string>(&value); }
    std::optional<std::uint64_t> number() const {
        if (const auto* number = std::get_if<std::int64_t>(&value))
            return *number < 0 ? std::nullopt : std::optional{static_cast<std::uint64_t>(*number)};
        return from_environment && text() ? values::parse_number(*text()) : std::nullopt;
    }
};

struct Refusal {
    std::string was, expected;
};
using Refusals = std::vector<Refusal>;

std::span<const Key> all();
const Key* find(std::string_view name);
bool is_section(std::string_view name);
std::string variable_of(std::string_view name);  // "c2s.listen" → "TERN_C2S_LISTEN"

// Checks the value and puts it into the configuration, or says what is wrong with it (with each item of a
// list).
Refusals put(const Key& key, Config& config, const Raw& raw);
std::string show(const Key& key, const Config& config);  // the field's value as TOML has it
bool same(const Key& key, const Config& a, const Config& b);
void copy(const Key& key, const Config& from, Config& to);
// A given text as a problem may name it: quoted, or hidden where it may hold a secret.
std::string shown(const Key& key, std::string_view text);

// What an unknown key or section was meant to be.
std::string key_suggestion(std::string_view name);
std::string section_suggestion(std::string_view name);

}  // namespace server::keys
