// SPDX-License-Identifier: MIT
// The log's lines, readable and as JSON: one line an event whatever a peer puts into it.
#include "server/log.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

namespace {

using server::Config;
using server::log::Level;
namespace log = server::log;
namespace fs = std::filesystem;

// A log file in a directory of its own; standard error at info afterwards, as before.
class LogFile {
public:
    explicit LogFile(std::string level = "info", std::string format = "text") {
        std::string pattern = (fs::temp_directory_path() / "tern-log-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()) != nullptr);
        directory_ = pattern;
        rules.level = std::move(level);
        rules.format = std::move(format);
        rules.file = (directory_ / "tern.log").string();
        log::open(rules);
    }
    ~LogFile() {
        log::watch(nullptr);
        log::open(Config::Logging{});
        fs::remove_all(directory_);
    }
    std::vector<std::string> lines() const { return lines_of(rules.file); }
    static std::vector<std::string> lines_of(const std::string& path) {
        std::ifstream file{path};
        std::vector<std::string> lines;
        for (std::string line; std::getline(file, line);) lines.push_back(line);
        return lines;
    }
    fs::path directory() const { return directory_; }
    Config::Logging rules;

private:
    fs::path directory_;
};

std::mutex watched_mutex;
std::vector<std::pair<Level, std::string>> watched;

void remember(Level level, std::string_view line) {
    const std::lock_guard lock{watched_mutex};
    watched.emplace_back(level, line);
}

}  // namespace

TEST_CASE("a line of text has time, level, event and fields") {
    const LogFile file;
    log::info("session bound", {{"jid", "romeo@montague.lit/orchard"}, {"stream", "s17"}});
    log::error("the database is gone");
    const auto lines = file.lines();
    REQUIRE(lines.size() == 2);
    CHECK_THAT(
        lines[0],
        Catch::Matches(
            R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info  session bound jid=romeo@montague.lit/orchard stream=s17)"));
    CHECK_THAT(lines[1], Catch::Matches(R"(\S{24} error the database is gone)"));
}

TEST_CASE("a value is quoted when it could be misread, and nothing in it breaks the line") {
    struct Row {
        std::string value, shown;
    };
    const Row rows[] = {
        {"plain", "plain"},
        {"", R"("")"},
        {"two words", R"("two words")"},
        {"a=b", R"("a=b")"},
        {"say \"hi\"", R"("say \"hi\"")"},
        {"back\\slash", R"("back\\slash")"},
        {"line\r\nbreak\tend", R"("line\r\nbreak\tend")"},
        {std::string{"a\0b\x1b[31m\x7f", 9}, R"("a\u0000b\u001b[31m\u007f")"},
        {"Grüße", "Grüße"},
        {"\xff\xfe", R"("\xff\xfe")"},
        {"\xc0\xaf", R"("\xc0\xaf")"},                  // overlong
        {"\xed\xa0\x80", R"("\xed\xa0\x80")"},          // a surrogate
        {"\xf4\x90\x80\x80", R"("\xf4\x90\x80\x80")"},  // above U+10FFFF
        {"cut \xe2\x82", R"("cut \xe2\x82")"},
        {"\u202Eabc", R"("\u202eabc")"},  // turns the writing direction
        {"\u0085", R"("\u0085")"},
        {"\u2028", R"("\u2028")"},
        {"😀", "😀"},
    };
    const LogFile file;
    for (const Row& row : rows) log::info("event", {{"v", row.value}});
    const auto lines = file.lines();
    REQUIRE(lines.size() == std::size(rows));
    for (std::size_t i = 0; i < lines.size(); ++i)
        CHECK(lines[i].substr(25) == "info  event v=" + rows[i].shown);
}

TEST_CASE("the event's text cannot fake a line either") {
    const LogFile file;
    log::info("stream error\n2026-11-22T10:00:00.123Z error fake");
    CHECK(file.lines().size() == 1);
}

TEST_CASE("JSON lines parse, with time, level, text and the fields") {
    const LogFile file{"debug", "json"};
    log::debug("session bound",
               {{"jid", "romeo@montague.lit"}, {"level", "of a field"}, {"raw", "a\"b\n\x80"}});
    const auto lines = file.lines();
    REQUIRE(lines.size() == 1);
    const auto json = nlohmann::json::parse(lines[0]);
    CHECK(json["level"] == "debug");
    CHECK(json["text"] == "session bound");
    CHECK(json["jid"] == "romeo@montague.lit");
    CHECK(json["level_"] == "of a field");
    CHECK(json["raw"] == "a\"b\n\\x80");
    CHECK(json["time"].get<std::string>().size() == 24);
}

TEST_CASE("whatever bytes come, a JSON line is one object and a text line is one line") {
    const auto seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937 random{seed};
    LogFile file{"info", "json"};
    constexpr int events = 500;
    for (int i = 0; i < events; ++i) {
        std::string bytes(random() % 40, ' ');
        for (char& c : bytes) c = static_cast<char>(random());
        log::info(bytes, {{"v", bytes}});
    }
    auto lines = file.lines();
    REQUIRE(lines.size() == events);
    for (const std::string& line : lines) CHECK(nlohmann::json::parse(line, nullptr, false).is_object());
    file.rules.format = "text";
    file.rules.file += ".text";
    log::open(file.rules);
    for (int i = 0; i < events; ++i) {
        std::string bytes(random() % 40, ' ');
        for (char& c : bytes) c = static_cast<char>(random());
        log::info(bytes, {{"v", bytes}});
    }
    lines = file.lines();
    REQUIRE(lines.size() == events);
    for (const std::string& line : lines)
        CHECK(std::none_of(line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }));
}

TEST_CASE("lines below the level are not written") {
    struct Row {
        std::string level;
        std::size_t lines;
    };
    for (const Row& row : {Row{"debug", 4}, Row{"info", 3}, Row{"warn", 2}, Row{"error", 1}}) {
        const LogFile file{row.level};
        log::debug("a");
        log::info("b");
        log::warn("c");
        log::error("d");
        CHECK(file.lines().size() == row.lines);
        CHECK(log::is_on(Level::debug) == (row.level == "debug"));
    }
}

TEST_CASE("open() opens the file anew, so that it can be rotated, and appends") {
    const LogFile file;
    log::info("first");
    const std::string rotated = file.rules.file + ".1";
    fs::rename(file.rules.file, rotated);
    log::open(file.rules);
    log::info("second");
    log::open(file.rules);
    log::info("third");
    CHECK(LogFile::lines_of(rotated).size() == 1);
    CHECK(file.lines().size() == 2);
}

TEST_CASE("a log file that cannot be opened is told of, and logging goes on") {
    LogFile file;
    watched.clear();
    log::watch(remember);
    file.rules.file = (file.directory() / "tern.log" / "not-a-directory.log").string();
    log::open(file.rules);
    log::info("still here");
    REQUIRE(watched.size() == 2);
    CHECK(watched[0].first == Level::error);
    CHECK_THAT(watched[0].second, Catch::StartsWith("the log file cannot be opened"));
    CHECK(watched[1].second == "still here");
}

TEST_CASE("a watcher sees what is logged from the level up, until it is taken away") {
    const LogFile file{"warn"};
    watched.clear();
    log::watch(remember);
    log::info("unseen");
    log::warn("queue is deep", {{"queue", "commit"}, {"depth", "12000"}});
    log::watch(nullptr);
    log::warn("unseen");
    REQUIRE(watched.size() == 1);
    CHECK(watched[0] == std::pair{Level::warn, std::string{"queue is deep queue=commit depth=12000"}});
}

TEST_CASE("a line that would come again and again comes once in a while, with how many it stands for") {
    server::log::Repeated refused;
    xmpp::Time now{std::chrono::hours{500'000}};
    CHECK(refused.count(now) == 1);
    for (int n = 0; n < 6; ++n) CHECK(refused.count(now += std::chrono::seconds{1}) == 0);
    CHECK(refused.count(now += std::chrono::seconds{4}) == 7);
    CHECK(refused.count(now += std::chrono::seconds{10}) == 1);
}

TEST_CASE("many threads may log while the file is opened anew: every line is whole") {
    const LogFile file;
    constexpr int threads = 4, each = 500;
    std::vector<std::thread> writers;
    for (int t = 0; t < threads; ++t)
        writers.emplace_back([t] {
            for (int i = 0; i < each; ++i)
                log::info("event", {{"thread", std::to_string(t)}, {"n", std::to_string(i)}});
        });
    for (int i = 0; i < 20; ++i) log::open(file.rules);
    for (std::thread& writer : writers) writer.join();
    const auto lines = file.lines();
    CHECK(lines.size() == threads * each);
    for (const std::string& line : lines)
        CHECK_THAT(line, Catch::Matches(R"(\S{24} info  event thread=\d n=\d+)"));
}
