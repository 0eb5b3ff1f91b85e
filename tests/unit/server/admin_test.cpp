// SPDX-License-Identifier: MIT
// The admin commands: their table, the socket that carries them, the command line in front of it, what is shown.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <mutex>
#include <random>
#include <set>
#include <sstream>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/stat.h>

#include "auth/sasl.h"
#include "server/admin/client.h"
#include "server/admin/command_line.h"
#include "server/admin/unix_socket.h"
#include "server/log.h"
#include "tests/unit/server/running_server.h"
#include "xmpp/base64.h"

namespace {

using namespace tests;
using namespace server::admin;

Client client_of(const RunningServer& running) {
    auto client = Client::connect(running.socket_path());
    REQUIRE(client);
    return std::move(*client);
}

Answer ask(const RunningServer& running, std::string_view command, Json parameters = Json::object()) {
    Client client = client_of(running);
    return client.ask(command, std::move(parameters));
}

std::string problem_of(const Answer& answer) { return answer ? "none" : std::string{to_string(answer.error().kind)}; }

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

// Bytes as they are, on a connection of one's own.
class RawClient {
public:
    explicit RawClient(const std::string& path) : descriptor_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        const auto address = unix_address(path);
        REQUIRE(address);
        timeval patience{20, 0};
        ::setsockopt(descriptor_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        REQUIRE(connect_to(descriptor_.get(), *address) == 0);
    }
    bool send(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(descriptor_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }
    void end_sending() const { ::shutdown(descriptor_.get(), SHUT_WR); }
    Json receive() {   // discarded: the connection ended
        for (;;) {
            if (const auto end = input_.find('\n'); end != std::string::npos) {
                Json line = Json::parse(input_.substr(0, end), nullptr, false);
                input_.erase(0, end + 1);
                return line;
            }
            char buffer[4096];
            const ssize_t count = ::recv(descriptor_.get(), buffer, sizeof buffer, 0);
            if (count <= 0) return Json(Json::value_t::discarded);
            input_.append(buffer, static_cast<std::size_t>(count));
        }
    }

private:
    Descriptor descriptor_;
    std::string input_;
};

// An ordinary client, as far as a bound resource.
class XmppClient {
public:
    XmppClient(const RunningServer& running, const std::string& password, const std::string& resource)
        : descriptor_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        const std::string& address = running.server->addresses().c2s.front();
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        timeval patience{20, 0};
        ::setsockopt(descriptor_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        REQUIRE(::connect(descriptor_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
        const std::string header = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";
        const std::string plain = std::string{'\0'} + "romeo" + '\0' + password;
        exchange(header, "</stream:features>");
        exchange("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + xmpp::base64(plain) + "</auth>", "<success");
        exchange(header, "</stream:features>");
        exchange("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" + resource + "</resource></bind></iq>", "</iq>");
    }
    std::string read_to_the_end() {
        while (read()) {}
        return input_;
    }

private:
    void exchange(const std::string& out, const std::string& until) {
        input_.clear();
        REQUIRE(::send(descriptor_.get(), out.data(), out.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out.size()));
        while (input_.find(until) == std::string::npos && read()) {}
        INFO(input_);
        REQUIRE(input_.find(until) != std::string::npos);
    }
    bool read() {
        char buffer[4096];
        const ssize_t count = ::recv(descriptor_.get(), buffer, sizeof buffer, 0);
        if (count > 0) input_.append(buffer, static_cast<std::size_t>(count));
        return count > 0;
    }

    Descriptor descriptor_;
    std::string input_;
};

// Whether that password opens the account, as storage has it.
bool opens(RunningServer& running, const std::string& jid, const std::string& password) {
    TestExecutor executor;
    const auto account = executor.run(running.server->storage().accounts().find(*xmpp::Jid::parse(jid)));
    if (!account || !*account) return false;
    const auto verifiers = auth::derive_verifiers(password, (*account)->salt, (*account)->iterations);
    return std::any_of((*account)->devices.begin(), (*account)->devices.end(),
                       [&](const storage::Device& device) { return device.verifiers[1].stored_key == verifiers[1].stored_key; });
}

}  // namespace

TEST_CASE("every command has a name of its own, a help text, and parameters in an order that a command line can have") {
    std::set<std::string_view> names;
    for (const Command& command : commands()) {
        INFO(command.name);
        CHECK(names.insert(command.name).second);
        CHECK_FALSE(command.help.empty());
        CHECK(find_command(command.name) == &command);
        bool optional_seen = false;
        for (const Parameter& parameter : command.parameters) {
            INFO(parameter.name);
            CHECK_FALSE(parameter.help.empty());
            if (!parameter.positional) continue;
            CHECK_FALSE((parameter.required && optional_seen));
            optional_seen = optional_seen || !parameter.required;
        }
    }
    CHECK(find_command("account") == nullptr);
}

TEST_CASE("what a call brings is checked against the declaration") {
    struct Case { const char* command; Json values; const char* problem; };
    const std::vector<Case> cases{
        {"account show", {{"jid", "romeo@localhost"}}, ""},
        {"account show", {{"jid", "RoMeO@LOCALHOST"}}, ""},
        {"account show", Json::object(), "jid is missing"},
        {"account show", {{"jid", nullptr}}, "jid is missing"},
        {"account show", {{"jid", 7}}, "jid must be a text"},
        {"account show", {{"jid", "localhost"}}, "jid must be an address like romeo@example.org"},
        {"account show", {{"jid", "romeo@localhost/phone"}}, "jid must be an address like romeo@example.org"},
        {"account show", {{"jid", "romeo@localhost"}, {"age", 14}}, "\"account show\" has no parameter \"age\""},
        {"account show", Json::array(), "the parameters must be an object"},
        {"sessions", {{"limit", "7"}}, ""},
        {"sessions", {{"limit", 0}}, "limit must be a whole number from 1 to 100000"},
        {"sessions", {{"limit", "7x"}}, "limit must be a whole number from 1 to 100000"},
        {"kick", {{"jid", "romeo@localhost/phone"}}, ""},
        {"account import", {{"file", "accounts.txt"}}, "file must be a list of texts"},
        {"account import", {{"file", {"a", 1}}}, "file must be a list of texts"},
    };
    for (const Case& one : cases) {
        INFO(one.command << " " << one.values.dump());
        const auto checked = check(*find_command(one.command), one.values);
        CHECK((checked ? std::string{} : checked.error().text) == one.problem);
    }
    CHECK(check(*find_command("account show"), {{"jid", "RoMeO@LOCALHOST"}})->text("jid") == "romeo@localhost");
}

TEST_CASE("an account is added, shown, given another password, and removed") {
    RunningServer running;
    running.open_admin_socket();
    CHECK(ask(running, "account add", {{"jid", "romeo@localhost"}, {"password", "secret"}}));
    CHECK(opens(running, "romeo@localhost", "secret"));
    CHECK(problem_of(ask(running, "account add", {{"jid", "romeo@localhost"}, {"password", "other"}})) == "conflict");
    CHECK(problem_of(ask(running, "account add", {{"jid", "romeo@elsewhere.example"}, {"password", "x"}})) == "bad-request");
    CHECK(problem_of(ask(running, "account add", {{"jid", "juliet@localhost"}, {"password", ""}})) == "bad-request");

    const Answer shown = ask(running, "account show", {{"jid", "romeo@localhost"}});
    REQUIRE(shown);
    CHECK((*shown)["devices"].size() == 1);
    CHECK((*shown)["devices"][0]["role"] == "password");
    CHECK(shown->dump().find("secret") == std::string::npos);

    CHECK(ask(running, "account passwd", {{"jid", "romeo@localhost"}, {"password", "better"}}));
    CHECK_FALSE(opens(running, "romeo@localhost", "secret"));
    CHECK(opens(running, "romeo@localhost", "better"));
    CHECK(ask(running, "account disable", {{"jid", "romeo@localhost"}}));
    CHECK((*ask(running, "account show", {{"jid", "romeo@localhost"}}))["disabled"] == true);
    CHECK(ask(running, "account enable", {{"jid", "romeo@localhost"}}));

    CHECK(ask(running, "account remove", {{"jid", "romeo@localhost"}}));
    for (const char* command : {"account show", "account remove", "device list", "account disable"}) {
        INFO(command);
        CHECK(problem_of(ask(running, command, {{"jid", "romeo@localhost"}})) == "not-found");
    }
    CHECK(problem_of(ask(running, "account passwd", {{"jid", "romeo@localhost"}, {"password", "x"}})) == "not-found");
}

TEST_CASE("a revoked device's key opens nothing any more") {
    RunningServer running;
    running.open_admin_socket();
    REQUIRE(ask(running, "account add", {{"jid", "romeo@localhost"}, {"password", "secret"}}));
    const Answer devices = ask(running, "device list", {{"jid", "romeo@localhost"}});
    REQUIRE(devices);
    const std::string device = (*devices)["devices"][0]["id"];
    CHECK(problem_of(ask(running, "device revoke", {{"jid", "romeo@localhost"}, {"device", "nothing"}})) == "not-found");
    CHECK(ask(running, "device revoke", {{"jid", "romeo@localhost"}, {"device", device}}));
    CHECK_FALSE(opens(running, "romeo@localhost", "secret"));
    CHECK((*ask(running, "device list", {{"jid", "romeo@localhost"}}))["devices"].empty());
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

TEST_CASE("the socket is its owner's alone; a stale one is replaced, a live one is not") {
    RunningServer running;
    const std::string path = running.socket_path();
    {
        const Descriptor left{::socket(AF_UNIX, SOCK_STREAM, 0)};   // as a killed server leaves it
        const auto address = unix_address(path);
        REQUIRE(bind(left.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0);
    }
    CHECK_FALSE(somebody_answers(path));
    running.open_admin_socket();
    CHECK(somebody_answers(path));
    struct stat found {};
    REQUIRE(stat(path.c_str(), &found) == 0);
    CHECK((found.st_mode & 0777) == 0600);
    const auto second = AdminSocket::open(Context{*running.server, {}}, path);
    REQUIRE_FALSE(second);
    CHECK(second.error().find(path) != std::string::npos);
    running.admin.reset();
    CHECK(stat(path.c_str(), &found) != 0);
    CHECK_FALSE(AdminSocket::open(Context{*running.server, {}}, running.directory.path() + "/" + std::string(200, 'x')));
}

TEST_CASE("what is no request is answered, and the connection goes on where it can") {
    RunningServer running;
    running.open_admin_socket();
    RawClient client{running.socket_path()};
    for (const char* line : {"hello", "", "[]", "{}", R"({"command": 7})", R"({"command": "version", "parameters": 7})", R"({"command": "no such"})",
                             R"({"command": "version", "parameters": {"x": 1}})", "\xff\xfe", "[[[[[[[[[["}) {
        INFO(line);
        REQUIRE(client.send(std::string{line} + "\n"));
        const Json answer = client.receive();
        REQUIRE(answer.is_object());
        CHECK(answer["ok"] == false);
        CHECK_FALSE(answer["error"]["text"].get<std::string>().empty());
    }
    // Many at once are answered in order; half a line waits for its other half.
    std::string many;
    for (int i = 0; i < 500; ++i) many += i % 2 ? "{\"command\": \"version\"}\n" : "nonsense\n";
    REQUIRE(client.send(many + R"({"command": "ver)"));
    for (int i = 0; i < 500; ++i) CHECK(client.receive()["ok"] == (i % 2 == 1));
    REQUIRE(client.send("sion\"}\n"));
    CHECK(client.receive()["result"]["version"] == TERN_VERSION);
    // One that says all it has to say is still answered.
    RawClient brief{running.socket_path()};
    REQUIRE(brief.send("{\"command\": \"version\"}\n"));
    brief.end_sending();
    CHECK(brief.receive()["ok"] == true);
    CHECK(brief.receive().is_discarded());
}

TEST_CASE("a line without an end is refused, and clients that do not read hold up nobody") {
    RunningServer running;
    running.open_admin_socket();
    RawClient endless{running.socket_path()};
    const std::string block(1 << 16, 'x');
    for (int i = 0; i < 64 && endless.send(block); ++i) {}
    const Json answer = endless.receive();   // the answer, or already the end of the connection
    CHECK((answer.is_discarded() || answer["ok"] == false));

    std::vector<std::unique_ptr<RawClient>> silent;
    std::string many;
    for (int i = 0; i < 200; ++i) many += "{\"command\": \"hooks\"}\n";
    for (int i = 0; i < 8; ++i) {
        silent.push_back(std::make_unique<RawClient>(running.socket_path()));
        REQUIRE(silent.back()->send(many));
    }
    CHECK(ask(running, "status"));
    silent.clear();   // gone in the middle of their answers
    CHECK(ask(running, "status"));
}

TEST_CASE("commands of several connections are served at the same time") {
    RunningServer running;
    running.open_admin_socket();
    Json lines = Json::array();
    for (int i = 0; i < 400; ++i) lines.push_back("slow" + std::to_string(i) + "@localhost secret");
    RawClient slow{running.socket_path()};
    REQUIRE(slow.send(Json{{"command", "account import"}, {"parameters", {{"file", lines}, {"iterations", 300}}}}.dump() + "\n"));
    for (int i = 0; i < 5; ++i) CHECK(ask(running, "queues"));
    CHECK(slow.receive()["result"]["added"] == 400);
}

TEST_CASE("status, queues, hooks and version tell of the running server") {
    RunningServer running;
    running.open_admin_socket();
    const Answer status = ask(running, "status");
    REQUIRE(status);
    CHECK((*status)["domains"] == Json::array({"localhost"}));
    CHECK((*status)["workers"].size() == 2);
    CHECK((*status)["accounts"] == 0);
    CHECK((*status)["storage_healthy"] == true);
    CHECK((*status)["memory_bytes"] > 1'000'000);
    CHECK((*status)["c2s"] == running.server->addresses().c2s);
    const Answer queues = ask(running, "queues");
    REQUIRE(queues);
    CHECK((*queues)["queues"].size() >= 4);
    const Answer hooks = ask(running, "hooks");
    REQUIRE(hooks);
    CHECK((*hooks)["modules"].size() > 3);
    CHECK((*ask(running, "sessions"))["total"] == 0);
    CHECK(problem_of(ask(running, "kick", {{"jid", "romeo@localhost"}})) == "not-found");
}

TEST_CASE("sessions are listed and kicked, and end when the account's keys change") {
    RunningServer running{[](server::Config& config) { config.c2s.require_tls = false; }};
    running.open_admin_socket();
    REQUIRE(ask(running, "account add", {{"jid", "romeo@localhost"}, {"password", "secret"}}));
    const std::string jid = "romeo@localhost";

    XmppClient phone{running, "secret", "phone"}, laptop{running, "secret", "laptop"};
    const Answer listed = ask(running, "sessions");
    REQUIRE(listed);
    REQUIRE((*listed)["total"] == 2);
    CHECK((*listed)["sessions"][0]["jid"] == "romeo@localhost/phone");
    CHECK((*listed)["sessions"][0]["address"] == "127.0.0.1");
    CHECK((*listed)["sessions"][0]["tls"] == false);
    CHECK((*ask(running, "sessions", {{"limit", 1}}))["sessions"].size() == 1);
    CHECK((*ask(running, "sessions", {{"jid", "juliet@localhost"}}))["total"] == 0);
    CHECK((*ask(running, "device list", {{"jid", jid}}))["devices"][0]["sessions"] == 2);

    CHECK(problem_of(ask(running, "kick", {{"jid", jid + "/toaster"}})) == "not-found");
    REQUIRE(ask(running, "kick", {{"jid", jid + "/phone"}, {"reason", "tea <time>"}}));
    const std::string kicked = phone.read_to_the_end();
    CHECK(kicked.find("<policy-violation") != std::string::npos);
    CHECK(kicked.find("tea &lt;time&gt;") != std::string::npos);
    CHECK((*ask(running, "sessions"))["total"] == 1);

    REQUIRE(ask(running, "account passwd", {{"jid", jid}, {"password", "better"}}));
    CHECK(laptop.read_to_the_end().find("<not-authorized") != std::string::npos);
    XmppClient again{running, "better", "phone"};
    REQUIRE(ask(running, "kick", {{"jid", jid}}));
    CHECK(again.read_to_the_end().find("<policy-violation") != std::string::npos);
    XmppClient last{running, "better", "phone"};
    REQUIRE(ask(running, "account remove", {{"jid", jid}}));
    CHECK(last.read_to_the_end().find("<not-authorized") != std::string::npos);
    CHECK((*ask(running, "sessions"))["total"] == 0);
}

TEST_CASE("reload says what was applied, what waits, and changes nothing when something is wrong") {
    RunningServer running;
    const std::string file = running.directory.path() + "/tern.toml";
    const auto write = [&](const std::string& text) { std::ofstream{file} << text; };
    const server::Environment environment{{"TERN_DATA", running.directory.path()}};
    running.open_admin_socket([&] { return reload_configuration(*running.server, file, environment); });

    write("[limits]\nsessions_per_account = 7\n[http]\nlisten = [\"127.0.0.1:1\"]\n[c2s]\nlisten = [\"127.0.0.1:0\"]\n");
    const Answer applied = ask(running, "reload");
    REQUIRE(applied);
    const auto contains = [](const Json& list, const char* name) { return std::find(list.begin(), list.end(), name) != list.end(); };
    CHECK(contains((*applied)["applied"], "limits.sessions_per_account"));
    CHECK(contains((*applied)["waiting_for_restart"], "http.listen"));
    CHECK(running.server->config()->limits.sessions_per_account == 7);

    write("[limits]\nsessions_per_account = \"many\"\n");
    const Answer refused = ask(running, "reload");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().text.find("limits.sessions_per_account") != std::string::npos);
    CHECK(running.server->config()->limits.sessions_per_account == 7);
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
