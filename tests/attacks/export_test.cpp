// SPDX-License-Identifier: MIT
// An export that is larger than what the server may spend on it.
#include <algorithm>

#include "tests/attacks/attacked.h"
#include "tests/support/accounts.h"

using namespace tests;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t messages = 24'000, size = 4'000;   // 96 MB

void fill_archive(const std::string& url) {
    storage::Options options;
    options.url = url;
    auto opened = storage::open(options);
    if (!opened) throw std::runtime_error{opened.error().text};
    const auto romeo = wait_for((*opened)->accounts().find(*xmpp::Jid::parse("romeo@localhost")));
    storage::LogEntry entry;
    entry.account = (*romeo)->id;
    entry.peer = *xmpp::Jid::parse("juliet@localhost");
    entry.xml = xmpp::Wire{"<message from='juliet@localhost' to='romeo@localhost' type='chat'><body>" + std::string(size, 'x') + "</body></message>"};
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    for (std::size_t n = 0; n < messages; ++n) {
        entry.id = static_cast<storage::LogId>(now) - messages + n;
        (*opened)->messages().append(entry, [](const auto&) {});
    }
}

std::string command(const std::string& attributes, const std::string& payload) {
    return "<command xmlns='http://jabber.org/protocol/commands' node='urn:tern:export:0#link'" + attributes + ">" + payload + "</command>";
}

// The path of the link that a client's user gets.
std::string ask_for_link(WireClient& client) {
    const Node form = client.ask("set", command("", ""));
    const std::string session{form.child("command", "http://jabber.org/protocol/commands")->attr_or_empty("sessionid")};
    const Node result = client.ask("set", command(" action='complete' sessionid='" + session + "'", "<x xmlns='jabber:x:data' type='submit'/>"));
    const std::string text = indented(result);
    const std::size_t begin = text.find("/v1/export/");
    REQUIRE(begin != std::string::npos);
    return text.substr(begin, text.find_first_of("< \n", begin) - begin);
}

std::size_t count(const std::string& text, const std::string& of) {
    std::size_t found = 0;
    for (std::size_t at = 0; (at = text.find(of, at)) != std::string::npos; at += of.size()) ++found;
    return found;
}

}  // namespace

TEST_CASE("an export of any size costs little memory, also when nobody reads it") {
    LiveServer server{TERN_BINARY, {.settings = {{"TERN_HTTP_URL", "https://chat.example"}}, .is_started = false}};
    server.make_people();
    fill_archive("sqlite:" + server.data() + "/tern.db");
    server.start();
    WireClient romeo{*server, "romeo@localhost/orchard", LiveServer::password};
    const auto request = [&] { return "GET " + ask_for_link(romeo) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"; };
    const auto& address = server.process().http();

    const Burden burden{server.process().pid()};
    RawSocket idle{address.host, address.port};   // takes what the kernel takes
    idle.send(request());
    RawSocket reader{address.host, address.port};
    reader.send(request());
    std::string document;
    double most = 0;
    while (!reader.is_over()) {
        document += reader.receive(20s);
        most = std::max(most, burden.megabytes());
    }
    CHECK(document.size() > messages * size);
    CHECK(count(document, "<result ") == messages);
    CHECK(document.ends_with("</server-data>\n\r\n0\r\n\r\n"));
    CHECK(most < 48 * instrumented);   // the database's page caches, for the most part
    CHECK(server.process().logged_errors() == std::vector<std::string>{});
}
