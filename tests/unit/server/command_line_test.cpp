// SPDX-License-Identifier: MIT
// `tern …`: the command line in front of the admin commands, and what it shows.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <mutex>
#include <sstream>
#include <thread>

#include <catch2/catch.hpp>

#include "server/admin/command_line.h"
#include "server/log.h"
#include "tests/unit/server/admin_client.h"
#include "xmpp/base64.h"

namespace {

using namespace tests;
using namespace server::admin;

// What `tern …` prints to standard output, and its exit code.
struct Shown { int code; std::string out, err; };

class Captured {
public:
    explicit Captured(std::ostream& stream) : stream_{stream}, before_{stream.rdbuf(text_.rdbuf())} {}
    ~Captured() { stream_.rdbuf(before_); }
    Captured(const Captured&) = delete;
    Captured& operator=(const Captured&) = delete;
    std::string text() const { return text_.str(); }

private:
    std::ostringstream text_;
    std::ostream& stream_;
    std::streambuf* before_;
};

Shown tern(const std::vector<std::string>& arguments) {
    const Captured out{std::cout}, err{std::cerr};
    const auto parsed = parse_command_line(arguments);
    const int code = std::holds_alternative<int>(parsed) ? std::get<int>(parsed) : run_command_line(std::get<CommandLine>(parsed));
    return {code, out.text(), err.text()};
}

Shown tern(const RunningServer& running, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--data", running.directory.path()});
    return tern(arguments);
}

}  // namespace

TEST_CASE("what another server keeps instead of passwords is imported, lines that only look like it are refused") {
    RunningServer running;
    running.open_admin_socket();
    const std::string salt = "0123456789abcdef";
    const auto verifiers = auth::derive_verifiers("secret", salt, 4096);
    const auto line = [&](const std::string& user, const std::string& mechanism, const std::string& iterations, std::size_t hash) {
        return user + "@localhost " + mechanism + " " + iterations + " " + xmpp::base64(salt) + " " + xmpp::base64(verifiers[hash].stored_key) + " " +
               xmpp::base64(verifiers[hash].server_key) + "\n";
    };
    const std::string file = running.directory.path() + "/accounts.txt";
    std::ofstream{file} << line("romeo", "SCRAM-SHA-1", "4096", 0) << line("juliet", "scram-sha-256", "4096", 1) << line("nurse", "SCRAM-SHA-512", "4096", 2)
                        << line("a", "SCRAM-SHA-1", "0", 0) << line("b", "SCRAM-SHA-1", "4096", 1) << line("c", "SCRAM-SHA-1", "x", 0)
                        << "d@localhost SCRAM-SHA-1 4096 c2FsdA==\n" << "e@localhost SCRAM-SHA-1\n" << "tybalt@localhost SCRAM-SHA is a password\n";
    const Json outcome = Json::parse(tern(running, {"account", "import", file, "--iterations", "10", "--json"}).out);
    CHECK(outcome["added"] == 4);
    CHECK(outcome["refused"] == 5);
    CHECK(opens(running, "tybalt@localhost", "SCRAM-SHA is a password"));
    const auto find = [&](const std::string& user) {
        TestExecutor executor;
        return **executor.run(running.server->storage().accounts().find(*xmpp::Jid::parse(user + "@localhost")));
    };
    const auto romeo = find("romeo");
    CHECK(romeo.salt == salt);
    CHECK(romeo.iterations == 4096);
    CHECK(romeo.devices.at(0).verifiers[0].stored_key == verifiers[0].stored_key);
    CHECK(romeo.devices.at(0).verifiers[0].server_key == verifiers[0].server_key);
    CHECK(romeo.devices.at(0).verifiers[1].stored_key.empty());
    const auto lacks = [&](const char* jid) { return running.server->partial_accounts().lacks(*xmpp::Jid::parse(jid)); };
    using Lacks = server::PartialAccounts::Lacks;
    CHECK(lacks("romeo@localhost") == Lacks{false, true, true});
    CHECK(lacks("juliet@localhost") == Lacks{true, false, true});
    CHECK(lacks("nurse@localhost") == Lacks{true, true, false});
    CHECK(lacks("tybalt@localhost") == Lacks{});
    CHECK(ask(running, "account passwd", {{"jid", "romeo@localhost"}, {"password", "better"}}));
    for (int tries = 0; tries < 1000 && lacks("romeo@localhost") != Lacks{}; ++tries) std::this_thread::sleep_for(std::chrono::milliseconds{10});
    CHECK(lacks("romeo@localhost") == Lacks{});
}

TEST_CASE("thousands of accounts are imported in seconds, bad lines are named, and listed page by page") {
    RunningServer running;
    running.open_admin_socket();
    const std::string file = running.directory.path() + "/accounts.txt";
    {
        std::ofstream out{file};
        out << "# name and password\n\n";
        for (int i = 0; i < 2000; ++i) out << "user" << i << "@localhost pass word " << i << "\r\n";
        out << "nobody\n" << "user5@localhost twice\n" << "user@elsewhere.example secret7\n" << "x@localhost \n";
    }
    const auto began = std::chrono::steady_clock::now();
    const Shown shown = tern(running, {"account", "import", file, "--iterations", "10", "--json"});
    const auto took = std::chrono::steady_clock::now() - began;
    REQUIRE(shown.code == 0);
    const Json result = Json::parse(shown.out);
    CHECK(result["added"] == 2000);
    CHECK(result["refused"] == 3);   // the doubled one is in another part of the file, so that it exists by then
    CHECK(result["existed"] == 1);
    REQUIRE(result["problems"].size() == 3);
    CHECK(result["problems"][0]["line"] == 2003);
    CHECK(result["problems"][1]["line"] == 2005);
    CHECK(shown.out.find("secret7") == std::string::npos);
    CHECK(took < std::chrono::seconds{30});
    CHECK(opens(running, "user1999@localhost", "pass word 1999"));
    CHECK(opens(running, "user5@localhost", "pass word 5"));

    const Json listed = Json::parse(tern(running, {"account", "list", "--json"}).out);
    REQUIRE(listed["accounts"].size() == 2000);
    CHECK_FALSE(listed.contains("next"));
    CHECK(std::is_sorted(listed["accounts"].begin(), listed["accounts"].end(), [](const Json& a, const Json& b) { return a["jid"] < b["jid"]; }));
    CHECK(tern(running, {"account", "list", "elsewhere.example"}).code == 1);
    CHECK(Json::parse(tern(running, {"account", "import", file, "--iterations", "10", "--json"}).out)["existed"] == 2001);
}

TEST_CASE("the command line is made of the same table") {
    struct Case { std::vector<std::string> arguments; const char* command; Json parameters; };
    for (const Case& one : std::vector<Case>{
             {{"account", "add", "romeo@localhost", "--password", "secret"}, "account add", {{"jid", "romeo@localhost"}, {"password", "secret"}}},
             {{"account", "add", "romeo@localhost", "--password", "-"}, "account add", {{"jid", "romeo@localhost"}, {"password", "-"}}},
             {{"--json", "account", "list"}, "account list", Json::object()},
             {{"account", "list", "localhost", "--json"}, "account list", {{"domain", "localhost"}}},
             {{"account", "import", "-", "--iterations", "10"}, "account import", {{"file", "-"}, {"iterations", "10"}}},
             {{"device", "revoke", "romeo@localhost", "abc"}, "device revoke", {{"jid", "romeo@localhost"}, {"device", "abc"}}},
             {{"sessions", "--limit", "5", "--data", "/x"}, "sessions", {{"limit", "5"}}},
             {{"status"}, "status", Json::object()},
         }) {
        INFO(Json(one.arguments).dump());
        const auto parsed = parse_command_line(one.arguments);
        REQUIRE(std::holds_alternative<CommandLine>(parsed));
        const auto& line = std::get<CommandLine>(parsed);
        REQUIRE(line.what == CommandLine::What::command);
        CHECK(line.command->name == one.command);
        CHECK(line.parameters == one.parameters);
    }
    CHECK(std::get<CommandLine>(parse_command_line({"serve", "--config", "tern.toml"})).config_file == "tern.toml");
    for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
             {}, {"fly"}, {"account"}, {"account", "add"}, {"account", "list", "a", "b"}, {"sessions", "--limit", "0"}, {"sessions", "--limit", "x"},
             {"account", "import", "f", "--first_line", "3"}, {"status", "--verbose"}}) {
        INFO(Json(wrong).dump());
        CHECK(tern(wrong).code == 2);
    }
    const Shown help = tern({"account", "--help"});
    CHECK(help.code == 0);
    CHECK(help.out.find("make an account with a password") != std::string::npos);
}

TEST_CASE("without a server the path that was tried and what to do are said") {
    const TemporaryDirectory directory;
    const Shown plain = tern({"status", "--data", directory.path()});
    CHECK(plain.code == 3);
    CHECK(plain.out.empty());
    CHECK(plain.err.find(directory.path() + "/tern.sock") != std::string::npos);
    CHECK(plain.err.find("tern serve") != std::string::npos);
    const Shown as_json = tern({"status", "--data", directory.path(), "--json"});
    CHECK(as_json.code == 3);
    CHECK(Json::parse(as_json.out)["error"]["kind"] == "no-server");
}

TEST_CASE("results are tables and sentences, or JSON") {
    RunningServer running;
    running.open_admin_socket();
    CHECK(tern(running, {"account", "list"}).out == "no accounts\n");
    CHECK(tern(running, {"account", "add", "romeo@localhost", "--password", "secret"}).out == "added romeo@localhost\n");
    const Shown table = tern(running, {"account", "list"});
    CHECK(table.out.starts_with("JID              PHONE  CREATED"));
    CHECK(table.out.find("\nromeo@localhost  -      20") != std::string::npos);
    CHECK(Json::parse(tern(running, {"account", "list", "--json"}).out)["accounts"][0]["jid"] == "romeo@localhost");
    const Shown refused = tern(running, {"account", "show", "juliet@localhost"});
    CHECK(refused.code == 1);
    CHECK(refused.err == "tern: there is no account juliet@localhost\n");

    std::ostringstream out;
    print_readable(out, {{"a_number", 7}, {"evil", "x\x1b[31m\ny"}, {"rows", {{{"name", "ä"}, {"depth", 5}}, {{"name", "long"}, {"depth", 1000}}}}});
    CHECK(out.str() == "a number: 7\nevil:     x [31m y\n\nrows\nNAME  DEPTH\nä         5\nlong   1000\n");
}

TEST_CASE("a password is read from standard input when it is not given, and is logged nowhere") {
    RunningServer running;
    running.open_admin_socket();
    static std::vector<std::string> logged;
    logged.clear();
    static std::mutex mutex;
    server::log::open({.level = "debug", .format = "text", .file = running.directory.path() + "/log"});
    server::log::watch([](server::log::Level, std::string_view line) {
        const std::lock_guard lock{mutex};
        logged.emplace_back(line);
    });
    std::istringstream typed{"from-stdin\nfrom-stdin\n"};   // a terminal asks twice
    std::streambuf* const before = std::cin.rdbuf(typed.rdbuf());
    const Shown shown = tern(running, {"account", "add", "romeo@localhost"});
    std::cin.rdbuf(before);
    CHECK(shown.code == 0);
    CHECK(opens(running, "romeo@localhost", "from-stdin"));
    CHECK(tern(running, {"account", "add", "juliet@localhost", "--password", "given-one"}).code == 0);
    CHECK(tern(running, {"account", "passwd", "juliet@localhost", "--password", "given-two"}).code == 0);
    server::log::watch(nullptr);
    server::log::open({});
    const std::lock_guard lock{mutex};
    CHECK(std::any_of(logged.begin(), logged.end(), [](const std::string& line) { return line.find("account passwd") != std::string::npos; }));
    for (const std::string& line : logged)
        for (const char* secret : {"from-stdin", "given-one", "given-two"}) CHECK(line.find(secret) == std::string::npos);
    CHECK((shown.out + shown.err).find("from-stdin") == std::string::npos);
}

TEST_CASE("the configuration is checked, shown and explained without a server, and no secret is shown") {
    const TemporaryDirectory directory;
    const std::string file = directory.path() + "/tern.toml";
    std::ofstream{file} << "[storage]\nurl = \"mysql://tern:hunter2@db/tern\"\n[sms]\nurl = \"https://sms.example/?key=hunter3\"\ngateway = \"http\"\n";
    CHECK(tern({"config", "check", "--config", file}).code == 0);
    const Shown shown = tern({"config", "show", "--config", file});
    CHECK(shown.code == 0);
    CHECK(shown.out.find("hunter") == std::string::npos);
    CHECK(shown.out.find("mysql://") != std::string::npos);
    CHECK(tern({"config", "keys"}).out.find("TERN_C2S_LISTEN") != std::string::npos);
    std::ofstream{file} << "[c2s]\nlisten = \"here\"\nlissen = 7\n";
    const Shown wrong = tern({"config", "check", "--config", file});
    CHECK(wrong.code == 2);
    CHECK(wrong.err.find("c2s.lissen") != std::string::npos);
    CHECK(wrong.err.find("c2s.listen") != std::string::npos);
}
