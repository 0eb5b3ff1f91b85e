// SPDX-License-Identifier: MIT
// The gateways without network, and templates.
#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "auth/sms.h"

using namespace auth;

namespace {

struct Logged {
    std::vector<std::pair<std::string, std::string>> lines;
    Log log() {
        return [this](std::string_view level, std::string_view text) { lines.emplace_back(level, text); };
    }
};

struct Directory {
    std::filesystem::path path;
    Directory() {
        std::string name = (std::filesystem::temp_directory_path() / "tern-sms-XXXXXX").string();
        path = mkdtemp(name.data());
    }
    ~Directory() { std::filesystem::remove_all(path); }
};

}  // namespace

TEST_CASE("the console gateway shows the text to the admin") {
    Logged logged;
    const auto gateway = console_gateway(logged.log());
    CHECK(gateway->send({"+4915112345678", "Your code is 12345."}));
    REQUIRE(logged.lines.size() == 1);
    CHECK(logged.lines[0] ==
          std::pair<std::string, std::string>{"warn", "SMS to +4915112345678: Your code is 12345."});
    CHECK(gateway->depth().name == "sms");
    CHECK(gateway->depth().depth == 0);
}

TEST_CASE("the file gateway appends one line of JSON per SMS, readable by its owner alone") {
    const Directory directory;
    Logged logged;
    const std::string path = directory.path / "sms.jsonl";
    const auto gateway = file_gateway(path, logged.log());
    CHECK(gateway->send({"+4915112345678", "Your \"code\"\nis 12345."}));
    CHECK(gateway->send({"+12024561414", "\xc3\xbc \xff"}));
    std::ifstream file{path};
    std::string line;
    REQUIRE(std::getline(file, line));
    CHECK(line == R"({"to":"+4915112345678","text":"Your \"code\"\nis 12345."})");
    REQUIRE(std::getline(file, line));
    CHECK(nlohmann::json::parse(line)["to"] == "+12024561414");
    CHECK_FALSE(std::getline(file, line));
    struct stat status {};
    REQUIRE(stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK(logged.lines.empty());
}

TEST_CASE("a file that cannot be written is an error in the log, without the text") {
    const Directory directory;
    Logged logged;
    const auto gateway = file_gateway(directory.path / "missing" / "sms.jsonl", logged.log());
    CHECK_FALSE(gateway->send({"+4915112345678", "Your code is 12345."}));
    REQUIRE(logged.lines.size() == 1);
    CHECK(logged.lines[0].first == "error");
    CHECK(logged.lines[0].second.find("12345") == std::string::npos);
    CHECK(logged.lines[0].second.find("+49…78") != std::string::npos);
}

TEST_CASE("templates are filled in once, escaped for their media type") {
    const Sms sms{"+49151", "a \"b\" & <c>\n{to} \xc3\xbc%"};
    CHECK(filled(R"({"to": "{to}", "text": "{text}"})", sms, "application/json") ==
          "{\"to\": \"+49151\", \"text\": \"a \\\"b\\\" & <c>\\n{to} \xc3\xbc%\"}");
    CHECK(filled("to={to}&text={text}", sms, "application/x-www-form-urlencoded") ==
          "to=%2B49151&text=a%20%22b%22%20%26%20%3Cc%3E%0A%7Bto%7D%20%C3%BC%25");
    CHECK(filled("<m to='{to}'>{text}</m>", Sms{"+1", "a<b&c"}, "text/xml") == "<m to='+1'>a&lt;b&amp;c</m>");
    CHECK(filled("{to}: {text}{", Sms{"+1", "x"}, "text/plain") == "+1: x{");
    CHECK(filled("nothing", sms, "application/json") == "nothing");
    CHECK(filled("", sms, "application/json").empty());
}

TEST_CASE("numbers in logs are masked") {
    CHECK(masked("+4915112345678") == "+49…78");
    CHECK(masked("+1") == "…");
}
