// SPDX-License-Identifier: MIT
// One line an event, readable or as JSON; never a secret, never a message's text. spdlog is included in log.cpp alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "server/config.h"
#include "xmpp/date_time.h"

namespace server::log {

enum class Level { debug, info, warn, error };
using Field = std::pair<std::string_view, std::string_view>;   // name, value: {"jid", jid.text()}

void open(const Config::Logging& rules);                        // at start and at reload (reopens the file)
bool is_on(Level level);
// text: what happened, as a short lower-case phrase; fields: who and what. Control characters are escaped.
void write(Level level, std::string_view text, std::initializer_list<Field> fields = {});

inline void debug(std::string_view text, std::initializer_list<Field> fields = {}) { if (is_on(Level::debug)) write(Level::debug, text, fields); }
inline void info(std::string_view text, std::initializer_list<Field> fields = {}) { write(Level::info, text, fields); }
inline void warn(std::string_view text, std::initializer_list<Field> fields = {}) { write(Level::warn, text, fields); }
inline void error(std::string_view text, std::initializer_list<Field> fields = {}) { write(Level::error, text, fields); }

// A line that would come again and again: once in a while, with how many it stands for. One thread.
class Repeated {
public:
    // How many times it happened since the last line, when there is to be one now; else 0.
    std::uint64_t count(xmpp::Time now) {
        ++times_;
        if (now - last_ < std::chrono::seconds{10}) return 0;
        last_ = now;
        return std::exchange(times_, 0);
    }

private:
    xmpp::Time last_{};
    std::uint64_t times_ = 0;
};

// Tests watch what is logged: every line from `level` up also goes there, in the text format and without time and level
// (`session bound jid=romeo@montague.lit/orchard`), until it is reset with nullptr. Called on the thread that logs.
void watch(void (*line)(Level, std::string_view));

}  // namespace server::log
