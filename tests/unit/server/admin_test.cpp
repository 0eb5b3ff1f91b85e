// SPDX-License-Identifier: MIT
// The admin commands: their table, the socket that carries them, and what they do to accounts and sessions.
#include <algorithm>
#include <fstream>
#include <set>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/stat.h>

#include "server/admin/unix_socket.h"
#include "tests/unit/server/admin_client.h"
#include "xmpp/base64.h"

namespace {

using namespace tests;
using namespace server::admin;

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

// Romeo's, with the key "key".
void add_tablet(RunningServer& running) {
    TestExecutor executor;
    storage::Accounts& accounts = running.server->storage().accounts();
    const auto account = executor.run(accounts.find(*xmpp::Jid::parse("romeo@localhost")));
    REQUIRE(account);
    storage::Device tablet;
    tablet.id = "tablet";
    tablet.role = storage::DeviceRole::companion;
    tablet.verifiers = auth::derive_verifiers("key", (*account)->salt, (*account)->iterations);
    REQUIRE(executor.run(accounts.add_device((*account)->id, std::move(tablet), 5)));
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

TEST_CASE("an account that is disabled loses its streams at once, and gets in again when it is enabled") {
    RunningServer running{[](server::Config& config) { config.c2s.require_tls = false; }};
    running.open_admin_socket();
    REQUIRE(ask(running, "account add", {{"jid", "romeo@localhost"}, {"password", "secret"}}));
    XmppClient phone{running, "secret", "phone"};
    REQUIRE(ask(running, "account disable", {{"jid", "romeo@localhost"}}));
    CHECK(phone.read_to_the_end().find("<not-authorized") != std::string::npos);
    REQUIRE(ask(running, "account enable", {{"jid", "romeo@localhost"}}));
    const XmppClient again{running, "secret", "phone"};
}

TEST_CASE("a revoked device's key opens nothing any more") {
    RunningServer running;
    running.open_admin_socket();
    REQUIRE(ask(running, "account add", {{"jid", "romeo@localhost"}, {"password", "secret"}}));
    const Answer devices = ask(running, "device list", {{"jid", "romeo@localhost"}});
    REQUIRE(devices);
    const std::string device = (*devices)["devices"][0]["id"];
    CHECK(problem_of(ask(running, "device revoke", {{"jid", "romeo@localhost"}, {"device", "nothing"}})) == "not-found");
    // The last one is what messages wait for.
    CHECK(problem_of(ask(running, "device revoke", {{"jid", "romeo@localhost"}, {"device", device}})) == "bad-request");
    add_tablet(running);
    CHECK(opens(running, "romeo@localhost", "key"));
    CHECK(ask(running, "device revoke", {{"jid", "romeo@localhost"}, {"device", device}}));
    CHECK_FALSE(opens(running, "romeo@localhost", "secret"));
    CHECK(opens(running, "romeo@localhost", "key"));
    CHECK((*ask(running, "device list", {{"jid", "romeo@localhost"}}))["devices"].size() == 1);
}

TEST_CASE("the socket is its owner's alone, a stale one is replaced, a live one is not") {
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
    CHECK((*status)["retention"] == "30d");
    CHECK((*status)["messages_removed"] == 0);
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

TEST_CASE("revoking a device ends its sessions and nobody else's") {
    RunningServer running{[](server::Config& config) { config.c2s.require_tls = false; }};
    running.open_admin_socket();
    const std::string jid = "romeo@localhost";
    REQUIRE(ask(running, "account add", {{"jid", jid}, {"password", "secret"}}));
    add_tablet(running);
    XmppClient phone{running, "secret", "phone"}, tablet{running, "key", "one"}, too{running, "key", "two"};
    REQUIRE((*ask(running, "sessions"))["total"] == 3);
    REQUIRE(ask(running, "device revoke", {{"jid", jid}, {"device", "tablet"}}));
    for (XmppClient* const gone : {&tablet, &too}) CHECK(gone->read_to_the_end().find("<not-authorized") != std::string::npos);
    const Answer left = ask(running, "sessions");
    REQUIRE((*left)["total"] == 1);
    CHECK((*left)["sessions"][0]["jid"] == jid + "/phone");
    CHECK_FALSE(opens(running, jid, "key"));
    CHECK((*ask(running, "device list", {{"jid", jid}}))["devices"].size() == 1);
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
