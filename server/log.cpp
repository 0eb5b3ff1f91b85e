// SPDX-License-Identifier: MIT
// Lines of the log. The line is made here, whole, so that what peers send can neither break it nor fake
// another one; spdlog writes it.
#include "server/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "xmpp/date_time.h"

namespace server::log {
namespace {

using Watcher = void (*)(Level, std::string_view);

constexpr std::array<std::string_view, 4> level_names{"debug", "info", "warn", "error"};
constexpr std::array<spdlog::level::level_enum, 4> spdlog_levels{spdlog::level::debug, spdlog::level::info,
                                                                 spdlog::level::warn, spdlog::level::err};

std::shared_ptr<spdlog::logger> logger_to(spdlog::sink_ptr sink) {
    auto logger = std::make_shared<spdlog::logger>("tern", std::move(sink));
    logger->set_level(spdlog::level::trace);  // `lowest` decides
    logger->set_pattern("%v");
    logger->flush_on(spdlog::level::trace);
    return logger;
}

// Logging works before open() and until the very end of the process: what it needs is made at first use and
// stays.
struct Output {
    std::atomic<Level> lowest{Level::info};
    std::atomic<bool> as_json{false};
    std::atomic<Watcher> watcher{nullptr};
    std::mutex mutex;  // guards what follows
    std::shared_ptr<spdlog::logger> logger = logger_to(std::make_shared<spdlog::sinks::stderr_sink_mt>());
};

Output& output() {
    static Output& only = *new Output;
    return only;
}

struct Character {
    std::uint32_t code;
    std::size_t bytes;
};

// The UTF-8 character that the text begins with; nullopt when its first byte begins none (RFC 3629 §4).
std::optional<Character> first_character(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return Character{first, 1};
    const std::size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return std::nullopt;
    std::uint32_t code = first & (0x7fu >> bytes);
    for (std::size_t i = 1; i < bytes; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return std::nullopt;
        code = code << 6 | (byte(i) & 0x3fu);
    }
    const bool too_long = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
    if (too_long || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return std::nullopt;
    return Character{code, bytes};
}

// Would move the cursor, begin a line or turn the writing direction of what an admin looks at.
bool is_unsafe(std::uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
           code == 0x061c || code == 0xfeff || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

void append_hex(std::string& line, std::uint32_t number, int digits) {
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
        line += "0123456789abcdef"[number >> shift & 15];
}

// JSON's escapes serve both formats: \n, \", \\ and \u202e. A byte that is no UTF-8 becomes \x80; in JSON,
// where there is no such escape, the four characters \x80.
void append_escaped(std::string& line, std::string_view text, bool json) {
    while (!text.empty()) {
        const auto character = first_character(text);
        if (!character) {
            line += json ? "\\\\x" : "\\x";
            append_hex(line, static_cast<unsigned char>(text.front()), 2);
        } else if (character->code == '\n')
            line += "\\n";
        else if (character->code == '\r')
            line += "\\r";
        else if (character->code == '\t')
            line += "\\t";
        else if (character->code == '"' || character->code == '\\')
            line.append("\\").append(text, 0, 1);
        else if (is_unsafe(character->code))
            append_hex(line += "\\u", character->code, 4);
        else
            line.append(text, 0, character->bytes);
        text.remove_prefix(character ? character->bytes : 1);
    }
}

void append_quoted(std::string& line, std::string_view text, bool json) {
    line += '"';
    append_escaped(line, text, json);
    line += '"';
}

// What needs no quotes stands for itself, so that `grep jid=romeo@` works.
bool needs_quotes(std::string_view value) {
    if (value.empty()) return true;
    for (std::string_view rest = value; !rest.empty();) {
        const auto character = first_character(rest);
        if (!character || is_unsafe(character->code) || character->code == ' ' || character->code == '"' ||
            character->code == '\\' || character->code == '=' || character->code == 0xa0)
            return true;
        rest.remove_prefix(character->bytes);
    }
    return false;
}

void append_event(std::string& line, std::string_view text, std::initializer_list<Field> fields) {
    append_escaped(line, text, false);  // a phrase of ours, but what was put into it may lie
    for (const auto& [name, value] : fields) {
        line += ' ';
        append_escaped(line, name, false);
        line += '=';
        if (needs_quotes(value))
            append_quoted(line, value, false);
        else
            line += value;
    }
}

std::string json_line(std::string_view time, Level level, std::string_view text,
                      std::initializer_list<Field> fields) {
    std::string line = "{\"time\":\"";
    line.append(time)
        .append("\",\"level\":\"")
        .append(level_names[static_cast<std::size_t>(level)])
        .append("\",\"text\":");
    append_quoted(line, text, true);
    for (const auto& [name, value] : fields) {
        std::string key{name};
        if (name == "time" || name == "level" || name == "text") key += '_';  // no name twice in an object
        line += ',';
        append_quoted(line, key, true);
        line += ':';
        append_quoted(line, value, true);
    }
    return line + '}';
}

}  // namespace

void open(const Config::Logging& rules) {
    Output& out = output();
    std::string trouble;
    spdlog::sink_ptr sink;
    if (!rules.file.empty()) {
        try {
            sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(rules.file);
        } catch (const spdlog::spdlog_ex& refused) {
            trouble = refused.what();
        }
    }
    if (!sink) sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    auto logger = logger_to(std::move(sink));
    {
        const std::lock_guard lock{out.mutex};
        out.logger.swap(logger);
    }
    for (std::size_t i = 0; i < level_names.size(); ++i)
        if (rules.level == level_names[i]) out.lowest = static_cast<Level>(i);
    out.as_json = rules.format == "json";
    if (!trouble.empty())
        error("the log file cannot be opened, standard error serves",
              {{"file", rules.file}, {"why", trouble}});
}

bool is_on(Level level) { return level >= output().lowest.load(std::memory_order_relaxed); }

void write(Level level, std::string_view text, std::initializer_list<Field> fields) {
    if (!is_on(level)) return;
    Output& out = output();
    const std::string time = xmpp::format_date_time(
        std::chrono::time_point_cast<xmpp::Time::duration>(std::chrono::system_clock::now()), true);
    const auto name = level_names[static_cast<std::size_t>(level)];
    std::string line;
    if (out.as_json) {
        line = json_line(time, level, text, fields);
    } else {
        line.append(time).append(" ").append(name).append(6 - name.size(), ' ');
        append_event(line, text, fields);
    }
    std::shared_ptr<spdlog::logger> logger;
    {
        const std::lock_guard lock{out.mutex};
        logger = out.logger;
    }
    logger->log(spdlog_levels[static_cast<std::size_t>(level)],
                spdlog::string_view_t{line.data(), line.size()});
    if (const Watcher watcher = out.watcher.load()) {
        std::string event;
        append_event(event, text, fields);
        watcher(level, event);
    }
}

void watch(Watcher line) { output().watcher = line; }

}  // namespace server::log
