// SPDX-License-Identifier: MIT
// What an admin does to the process: wrong configurations, SIGTERM, SIGHUP (attack row 60).
#include <catch2/catch.hpp>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>

#include "server/admin/socket.h"
#include "server/net/tls.h"
#include "tests/clients/live_server.h"
#include "tests/clients/wire_client.h"

using namespace tests;
using namespace std::chrono_literals;

namespace {

struct Ended {
    int code = -1;
    std::string output;
};

// A `tern` that is expected to end by itself, at once.
Ended run(const std::string& arguments, const std::string& variables = "") {
    const std::string command =
        "env " + variables + " timeout 30 " TERN_BINARY " " + arguments + " 2>&1 </dev/null";
    FILE* const pipe = ::popen(command.c_str(), "r");
    Ended ended;
    char buffer[4096];
    while (pipe != nullptr && std::fgets(buffer, sizeof buffer, pipe) != nullptr) ended.output += buffer;
    const int status = pipe != nullptr ? ::pclose(pipe) : -1;
    ended.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ended;
}

void write_file(const std::string& path, const std::string& text) {
    std::ofstream{path + ".new"} << text;
    std::filesystem::rename(path + ".new", path);
}

// The certificate that a new connection is shown, as its SHA-256.
std::string certificate_of(const TernProcess& server) {
    RawSocket socket{server.direct_tls().host, server.direct_tls().port};
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{SSL_CTX_new(TLS_client_method()),
                                                                    SSL_CTX_free};
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl{SSL_new(context.get()), SSL_free};
    SSL_set_fd(ssl.get(), socket.descriptor());
    REQUIRE(SSL_connect(ssl.get()) == 1);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate{SSL_get1_peer_certificate(ssl.get()),
                                                                  X509_free};
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    REQUIRE(X509_digest(certificate.get(), EVP_sha256(), digest, &size) == 1);
    return {reinterpret_cast<const char*>(digest), size};
}

std::size_t times_in_log(const LiveServer& server, const std::string& text) {
    const std::string log = server.log();
    std::size_t count = 0;
    for (std::size_t at = log.find(text); at != std::string::npos; at = log.find(text, at + 1)) ++count;
    return count;
}

void reload(const LiveServer& server) {
    const std::size_t before = times_in_log(server, "configuration read again");
    REQUIRE(::kill(server.process().pid(), SIGHUP) == 0);
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (times_in_log(server, "configuration read again") == before &&
           std::chrono::steady_clock::now() < until)
        std::this_thread::sleep_for(5ms);
    REQUIRE(times_in_log(server, "configuration read again") == before + 1);
}

// What GET /metrics says of a metric, all workers together.
double metric(const TernProcess& server, const std::string& name) {
    RawSocket socket{server.http().host, server.http().port};
    socket.send("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    std::string answer;
    while (!socket.is_over()) answer += socket.receive(20s);
    std::istringstream lines{answer};
    double sum = 0;
    bool is_there = false;
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(name) || line.find_first_of(" {") != std::min(name.size(), line.find_first_of(" {"))) continue;
        is_there = true;
        sum += std::stod(line.substr(line.rfind(' ')));
    }
    REQUIRE(is_there);
    return sum;
}

bool offers_plain(const TernProcess& server) {
    WireClient client{server};
    client.open_stream();
    for (const Node& mechanism :
         client.features().child("mechanisms", "urn:ietf:params:xml:ns:xmpp-sasl")->children)
        if (mechanism.text == "PLAIN") return true;
    return false;
}

}  // namespace

TEST_CASE("a wrong configuration is refused with file, line, key and what would be right") {
    const TemporaryDirectory directory;
    const std::string file = directory.path() + "/tern.toml",
                      serve = "serve --config " + file + " --data " + directory.path() + "/data";
    struct Case {
        const char* what;
        std::string text;
        std::vector<std::string> said;
    };
    const std::vector<Case> cases{
        {"a key that does not exist",
         "domains = [\"localhost\"]\n[c2s]\nlisten = [\"127.0.0.1:0\"]\nliste = 1\n",
         {"tern.toml:4", "c2s.liste"}},
        {"a wrong type", "\nworkers = \"many\"\n", {"tern.toml:2", "workers", "many", "0 to 1024"}},
        {"out of range", "[limits]\ndepth = 3\n", {"tern.toml:2", "limits.depth", "8 to 1000"}},
        {"no address", "[c2s]\nlisten = [\"here\"]\n", {"tern.toml:2", "c2s.listen", "here"}},
        {"no duration", "[limits]\n\nidle = \"soon\"\n", {"tern.toml:3", "limits.idle", "soon"}},
        {"no TOML", "[c2s\n", {"tern.toml:1"}},
        {"two at once",
         "workers = -1\n[messages]\nack = \"maybe\"\n",
         {"tern.toml:1", "workers", "tern.toml:3", "messages.ack", "commit"}},
    };
    for (const Case& each : cases) {
        CAPTURE(each.what);
        write_file(file, each.text);
        const Ended ended = run(serve);
        CAPTURE(ended.output);
        CHECK(ended.code == 2);
        for (const std::string& said : each.said) CHECK(ended.output.find(said) != std::string::npos);
        CHECK(run("config check --config " + file).code == 2);
    }
    const Ended missing = run("serve --config " + directory.path() + "/nowhere.toml");
    CHECK(missing.code == 2);
    CHECK(missing.output.find("nowhere.toml") != std::string::npos);
    const Ended variable = run("serve --data " + directory.path() + "/data", "TERN_LIMITS_DEVICES=none");
    CHECK(variable.code == 2);
    CHECK(variable.output.find("TERN_LIMITS_DEVICES") != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(directory.path() + "/data"));  // nothing was begun
}

TEST_CASE("what clients do is counted, and read at /metrics") {
    LiveServer server{TERN_BINARY};
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    CHECK_FALSE(WireClient{*server}.log_in("romeo@localhost/orchard", "wrong"));
    const auto received = [&](const std::string& kind) { return metric(*server, "tern_stanzas_received_total{kind=\"" + kind + "\"}"); };
    CHECK(received("message") == 0);
    for (int n = 0; n < 5; ++n) romeo.send("<message to='mercutio@localhost' type='chat'><body>Hi</body></message>");
    romeo.send("<message to='nobody@localhost' type='chat' id='e'><body>Hi</body></message>");
    while (romeo.element().attr_or_empty("type") != "error") {}
    CHECK(received("message") == 6);
    romeo.ping();
    CHECK(received("iq") == 1);
    CHECK(metric(*server, "tern_errors_returned_total") == 1);
    CHECK(metric(*server, "tern_messages_logged_total") >= 5);
    CHECK(metric(*server, "tern_logins_total") == 1);
    CHECK(metric(*server, "tern_logins_refused_total") == 1);
    CHECK(metric(*server, "tern_connections_accepted_total") == 2);
    CHECK(metric(*server, "tern_received_bytes_total") > 300);
    CHECK(metric(*server, "tern_sent_bytes_total") > 300);
    CHECK(metric(*server, "tern_queue_depth{queue=\"http mailbox\"}") >= 0);
}

TEST_CASE("a message that every device has when it has left is not written to storage, and is acked all the same") {
    LiveServer server{TERN_BINARY, {.settings = {{"TERN_MESSAGES_ARCHIVE", "never"}}}};
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    romeo.send("<enable xmlns='urn:xmpp:sm:3'/>");
    REQUIRE(romeo.element().name == "enabled");
    WireClient mercutio{*server, "mercutio@localhost/square", LiveServer::password}, juliet{*server, "juliet@localhost/balcony", LiveServer::password};
    mercutio.be_available();
    juliet.be_available();
    unsigned sent = 0;
    const auto say = [&](const std::string& to) {
        romeo.send("<message to='" + to + "@localhost' type='chat'><body>Hi</body></message><r xmlns='urn:xmpp:sm:3'/>");
        const Node ack = romeo.element();
        CHECK(ack.name == "a");
        CHECK(ack.attr_or_empty("h") == std::to_string(++sent));
    };
    for (int n = 0; n < 10; ++n) {
        say("mercutio");
        CHECK(mercutio.next_message());
    }
    CHECK(metric(*server, "tern_messages_logged_total") == 0);
    say("juliet");   // her other device lacks it
    CHECK(juliet.next_message());
    CHECK(metric(*server, "tern_messages_logged_total") == 1);
    mercutio.send("<enable xmlns='urn:xmpp:sm:3'/>");
    REQUIRE(mercutio.element().name == "enabled");
    say("mercutio");   // he has not said that he has it
    CHECK(metric(*server, "tern_messages_logged_total") == 2);
    CHECK(mercutio.next_message());
    mercutio.vanish();
    WireClient again{*server, "mercutio@localhost/street", LiveServer::password};
    again.send("<presence/>");
    CHECK(again.next_message());
    again.ping();
    CHECK_FALSE(again.next_message(0ms));
}

TEST_CASE("presence for contacts who are not there does not fetch their accounts") {
    LiveServer server{TERN_BINARY};
    {   // juliet may see romeo; he does not ask to see her
        WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password}, juliet{*server, "juliet@localhost/balcony", LiveServer::password};
        romeo.be_available();
        juliet.be_available();
        juliet.send("<presence type='subscribe' to='romeo@localhost'/>");
        while (romeo.element().attr_or_empty("type") != "subscribe") {}
        romeo.send("<presence type='subscribed' to='juliet@localhost'/>");
        romeo.ping();
        while (juliet.element().attr_or_empty("from") != romeo.full_jid()) {}   // she asked for no roster: "subscribed" is not for her
    }
    server.kill_and_start_again();
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    romeo.be_available();
    romeo.send("<presence><show>away</show></presence>");
    romeo.ping();
    CHECK(metric(*server, "tern_accounts_loaded") == 1);
    // Who comes meanwhile sees him nevertheless.
    WireClient juliet{*server, "juliet@localhost/balcony", LiveServer::password};
    juliet.send("<presence/>");
    bool is_seen = false;
    while (!is_seen) is_seen = juliet.element().attr_or_empty("from") == romeo.full_jid();
    CHECK(is_seen);
}

TEST_CASE("what keeps a server from starting is said, and it ends with an error") {
    LiveServer first{TERN_BINARY};
    const Ended same_data =
        run("serve --data " + first.data(),
            "TERN_C2S_LISTEN=127.0.0.1:0 TERN_C2S_DIRECT_TLS= TERN_HTTP_LISTEN= TERN_HTTP_TLS=");
    CHECK(same_data.code == 1);
    CHECK(same_data.output.find("another server uses this data directory") != std::string::npos);
    // So it does when the first is not heard at its admin socket: it may be about to open it, or have closed it already.
    CHECK(std::filesystem::remove(server::admin::socket_path(first.data())));
    const Ended unheard =
        run("serve --data " + first.data(),
            "TERN_C2S_LISTEN=127.0.0.1:0 TERN_C2S_DIRECT_TLS= TERN_HTTP_LISTEN= TERN_HTTP_TLS=");
    CHECK(unheard.code == 1);
    CHECK(unheard.output.find("another server uses this data directory") != std::string::npos);
    const TemporaryDirectory directory;
    const std::string http = "127.0.0.1:" + std::to_string(first.process().http().port);
    const Ended same_port =
        run("serve --data " + directory.path() + "/data",
            "TERN_C2S_LISTEN=127.0.0.1:0 TERN_C2S_DIRECT_TLS= TERN_HTTP_TLS= TERN_HTTP_LISTEN=" + http);
    CHECK(same_port.code == 1);
    CHECK(same_port.output.find(http) != std::string::npos);
    const std::string c2s = "127.0.0.1:" + std::to_string(first.process().c2s().port);
    const Ended same_c2s =
        run("serve --data " + directory.path() + "/data",
            "TERN_C2S_LISTEN=" + c2s + " TERN_C2S_DIRECT_TLS= TERN_HTTP_TLS= TERN_HTTP_LISTEN=");
    CHECK(same_c2s.code == 1);
    CHECK(same_c2s.output.find(c2s) != std::string::npos);
    WireClient romeo{*first, "romeo@localhost/orchard", LiveServer::password};
    CHECK_NOTHROW(romeo.ping());
}

TEST_CASE(
    "SIGTERM: streams are closed with system-shutdown, the exit code is 0, and what was sent before waits") {
    LiveServer server{TERN_BINARY};
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password},
        juliet{*server, "juliet@localhost/balcony", LiveServer::password},
        stranger{*server, WireClient::Door::plain};
    juliet.be_available();
    stranger.open_stream();
    for (int n = 0; n < 200; ++n)
        romeo.send("<message to='mercutio@localhost' type='chat' id='" + std::to_string(n) +
                   "'><body>Hi</body></message>");
    romeo.ping();  // the server has taken them all
    auto stopping = std::async(std::launch::async, [&] { return server.process().stop(); });
    for (WireClient* const client : {&romeo, &juliet, &stranger}) {
        const auto end = client->end();
        CHECK(end.is_over);
        CHECK(end.has_footer);
        CHECK(end.condition == "system-shutdown");
        client->vanish();
    }
    CHECK(stopping.get() == 0);
    CHECK(server.process().logged_errors() == std::vector<std::string>{});
    server.start();
    WireClient mercutio{*server, "mercutio@localhost/square", LiveServer::password};
    mercutio.send("<presence/>");
    for (int n = 0; n < 200; ++n) {
        const auto message = mercutio.next_message();
        REQUIRE(message);
        CHECK(message->attr_or_empty("id") == std::to_string(n));
    }
    mercutio.ping();
    CHECK_FALSE(mercutio.next_message(0ms));
}

TEST_CASE(
    "SIGHUP: configuration and certificate are read again, nobody is dropped, and what is wrong changes "
    "nothing") {
    const TemporaryDirectory directory;
    const std::string plain = directory.path() + "/plain";
    write_file(plain, "true\n");
    LiveServer server{TERN_BINARY, {.settings = {{"TERN_AUTH_PLAIN_FILE", plain}}}};
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    const std::string first = certificate_of(*server);
    CHECK(offers_plain(*server));

    REQUIRE(server::net::ensure_self_signed("localhost", directory.path() + "/crt", directory.path() + "/key")
                .ok());
    std::filesystem::rename(directory.path() + "/crt", server.data() + "/localhost.crt");
    std::filesystem::rename(directory.path() + "/key", server.data() + "/localhost.key");
    write_file(plain, "false\n");
    reload(server);
    const std::string second = certificate_of(*server);
    CHECK(second != first);
    CHECK_FALSE(offers_plain(*server));
    CHECK_NOTHROW(romeo.ping());

    // A broken certificate and a broken value: both are said, and the server goes on with what it has.
    write_file(server.data() + "/localhost.crt", "no certificate\n");
    reload(server);
    CHECK(times_in_log(server, "certificates not reloaded") == 1);
    CHECK(certificate_of(*server) == second);
    write_file(plain, "perhaps\n");
    REQUIRE(::kill(server.process().pid(), SIGHUP) == 0);
    const auto until = std::chrono::steady_clock::now() + 20s;
    while (times_in_log(server, "configuration not applied") == 0 && std::chrono::steady_clock::now() < until)
        std::this_thread::sleep_for(5ms);
    CHECK(times_in_log(server, "configuration not applied") == 1);
    CHECK_FALSE(offers_plain(*server));
    CHECK_NOTHROW(romeo.ping());
    CHECK(times_in_log(server, "session ended") == 0);
}
