// SPDX-License-Identifier: MIT
// `tern upgrade` and SIGUSR2: another program takes the place of the running one. Nobody is refused, sessions go on.
#include <catch2/catch.hpp>

#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "tests/clients/live_server.h"
#include "tests/clients/wire_client.h"

using namespace tests;
namespace fs = std::filesystem;

namespace {

// The program where a package would put it: replaced by renaming another over it.
class Installed {
public:
    Installed() { put(TERN_BINARY); }
    std::string path() const { return directory_.path() + "/tern"; }
    void put(const std::string& program) const {
        fs::copy_file(program, path() + ".new", fs::copy_options::overwrite_existing);
        fs::rename(path() + ".new", path());
    }
    void put_script(const std::string& text) const {
        std::ofstream{path() + ".new"} << "#!/bin/sh\n" << text << '\n';
        fs::permissions(path() + ".new", fs::perms::owner_all);
        fs::rename(path() + ".new", path());
    }

private:
    TemporaryDirectory directory_;
};

struct Ended {
    int code = -1;
    std::string output;
};
Ended upgrade(const LiveServer& server) {
    const std::string command = std::string{TERN_BINARY} + " upgrade --data " + server.data() + " 2>&1 </dev/null";
    FILE* const pipe = ::popen(command.c_str(), "r");
    REQUIRE(pipe != nullptr);
    Ended ended;
    char buffer[4096];
    while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) ended.output += buffer;
    const int status = ::pclose(pipe);
    ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ended;
}

std::size_t count_in(const std::string& log, const std::string& text) {
    std::size_t count = 0;
    for (std::size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++count;
    return count;
}

std::string enable_resumption(WireClient& client) {
    client.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    const Node enabled = client.element();
    REQUIRE(enabled.name == "enabled");
    return enabled.attr_or_empty("id");
}

}  // namespace

TEST_CASE("an upgrade: the same process, the same sockets, and sessions that go on") {
    const Installed installed;
    LiveServer server{installed.path(), {.settings = {{"TERN_WORKERS", "3"}}}};
    const pid_t pid = server.process().pid();
    auto juliet = std::make_unique<WireClient>(*server, "juliet@localhost/balcony", LiveServer::password);
    const std::string id = enable_resumption(*juliet);
    juliet->be_available();
    int received = 2;   // the answer to a ping, and her own presence

    for (const std::string how : {"command", "signal"}) {
        CAPTURE(how);
        installed.put(TERN_BINARY);   // a new file at the old path
        if (how == "command") {
            const Ended ended = upgrade(server);
            CAPTURE(ended.output);
            CHECK(ended.code == 0);
            CHECK(ended.output.find("takes over now") != std::string::npos);
        } else {
            REQUIRE(::kill(pid, SIGUSR2) == 0);
        }
        REQUIRE(juliet->end().is_over);
        // Whoever connects in between is let in by the next one, at the ports that the first one found.
        std::vector<std::unique_ptr<WireClient>> others;
        for (int n = 0; n < 20; ++n) others.push_back(std::make_unique<WireClient>(*server, n % 2 == 0 ? WireClient::Door::direct_tls : WireClient::Door::plain));
        juliet = std::make_unique<WireClient>(*server);
        juliet->open_stream();
        REQUIRE(juliet->authenticate("juliet", LiveServer::password));
        juliet->open_stream();
        juliet->send("<resume xmlns='urn:xmpp:sm:3' previd='" + id + "' h='" + std::to_string(received) + "'/>");
        CHECK(juliet->element().name == "resumed");
        for (const auto& other : others) CHECK_NOTHROW(other->open_stream());

        WireClient mercutio{*server, "mercutio@localhost/square", LiveServer::password};
        mercutio.send("<message to='juliet@localhost' type='chat' id='" + how + "'><body>Hi</body></message>");
        const auto message = juliet->next_message();
        REQUIRE(message);
        CHECK(message->attr_or_empty("id") == how);
        ++received;
        juliet->send("<a xmlns='urn:xmpp:sm:3' h='" + std::to_string(received) + "'/>");
    }
    CHECK(count_in(server.log(), "going down for an upgrade") == 2);
    CHECK(count_in(server.log(), "is up") == 3);
    CHECK(server.process().pid() == pid);
    CHECK(server.process().logged_errors() == std::vector<std::string>{});
    CHECK(server.process().stop() == 0);
}

TEST_CASE("an upgrade to what would not start changes nothing, and says why") {
    const Installed installed;
    LiveServer server{installed.path()};
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    const auto is_refused = [&](const std::string& why) {
        const Ended ended = upgrade(server);
        CAPTURE(ended.output);
        CHECK(ended.code == 1);
        CHECK(ended.output.find("the server goes on as it is") != std::string::npos);
        CHECK(ended.output.find(why) != std::string::npos);
        CHECK_NOTHROW(romeo.ping());
    };
    installed.put_script("echo 'no such library' >&2; exit 127");
    is_refused("no such library");
    // It runs, but cannot make anything of this server's configuration.
    installed.put_script("[ \"$1\" = --version ] && { echo tern 9.9; exit 0; }; echo 'c2s.listen: not known any more'; exit 2");
    is_refused("c2s.listen: not known any more");
    fs::remove(installed.path());
    is_refused("No such file");
    CHECK(count_in(server.log(), "is up") == 1);
}
