// SPDX-License-Identifier: MIT
// An account's data as a file: over HTTP by a link, and by `tern account export`.
#include <array>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>

#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "server/account_export.h"
#include "server/admin/command_line.h"
#include "server/log.h"
#include "tests/support/in_process.h"
#include "tests/unit/server/admin_client.h"
#include "tests/unit/server/web_client.h"
#include "xmpp/base64.h"
#include "xmpp/parser.h"
#include "xmpp/stanza.h"

namespace {

using namespace tests;

constexpr std::size_t messages = 180;   // several pages

WebReply fetch(const RunningServer& running, const std::string& path, const std::string& method = "GET", long version = CURL_HTTP_VERSION_1_1) {
    return tests::fetch({.method = method, .url = "http://" + running.web->addresses().http.front() + path, .version = version});
}

// Romeo, with something of everything.
struct Household {
    RunningServer running;
    const xmpp::Jid romeo = *xmpp::Jid::parse("romeo@localhost");
    storage::AccountId id = 0;
    TestExecutor executor;

    template <class T>
    T must(storage::Task<storage::Result<T>> task) {
        auto result = executor.run(std::move(task));
        REQUIRE(result.ok());
        if constexpr (!std::is_void_v<T>) return std::move(*result);
    }
    storage::LogEntry message(std::size_t number, bool is_archived) {
        storage::LogEntry entry;
        entry.account = id;
        entry.id = 1'000'000 + number;
        entry.peer = *xmpp::Jid::parse("juliet@localhost");
        entry.is_archived = is_archived;
        entry.xml = xmpp::Wire{"<message from='juliet@localhost' to='romeo@localhost' type='chat'><body>" + std::string{is_archived ? "kept " : "waiting "} + std::to_string(number) + " &amp;</body></message>"};
        return entry;
    }

    Household() {
        storage::Account account;
        account.jid = romeo;
        account.salt = "the salt of it all";
        account.iterations = 10;
        storage::Device device;
        device.id = "d1";
        device.name = "Romeo's <phone>";
        device.role = storage::DeviceRole::primary;
        device.verifiers = auth::derive_verifiers("secret", account.salt, 10);
        account.devices.push_back(device);
        auto& storage = running.server->storage();
        id = must(storage.accounts().create(account));
        storage::RosterItem contact;
        contact.jid = *xmpp::Jid::parse("juliet@localhost");
        contact.name = "Juliet & co";
        contact.subscription = storage::Subscription::both;
        contact.groups = {"Friends"};
        must(storage.rosters().put(id, contact));
        storage::RosterItem asking;
        asking.jid = *xmpp::Jid::parse("paris@localhost");
        asking.in_roster = false;
        asking.pending_in = true;
        asking.request = "<presence from='paris@localhost' to='romeo@localhost' type='subscribe'/>";
        must(storage.rosters().put(id, asking));
        must(storage.vcards().store(id, "<vCard xmlns='vcard-temp'><FN>Romeo Montague</FN></vCard>"));
        must(storage.private_xml().store(id, "exodus:prefs exodus", "<exodus xmlns='exodus:prefs'><nick>Romy</nick></exodus>"));
        must(storage.block_lists().change(id, {*xmpp::Jid::parse("tybalt@localhost")}, {}));
        storage::ArchivePreferences preferences;
        preferences.by_default = storage::Archiving::roster;
        must(storage.archive_preferences().store(id, preferences));
        for (std::size_t n = 0; n < messages; ++n) storage.messages().append(message(n, n % 60 != 59), [](const auto&) {});
        must(storage.messages().read(id, 0, 1));   // all of that is there now
    }

    // More than sockets hold.
    void add_large_messages() {
        for (std::size_t n = 0; n < 120; ++n) {
            storage::LogEntry entry = message(messages + n, true);
            entry.xml = xmpp::Wire{"<message from='juliet@localhost' to='romeo@localhost' type='chat'><body>" + std::string(200'000, 'x') + "</body></message>"};
            running.server->storage().messages().append(entry, [](const auto&) {});
        }
        must(running.server->storage().messages().read(id, 0, 1));
    }

    std::string link() { return "/v1/export/" + running.server->export_links().offer(romeo, running.clock.wall()); }
};

// A client that takes only what it is told to.
class LazyReader {
public:
    explicit LazyReader(const std::string& address) : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        const int small = 4096;
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
        REQUIRE(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    }
    void send(const std::string& bytes) const { REQUIRE(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())); }
    // So much, or all there is until the connection ends.
    std::string read(std::size_t most) const {
        std::string all;
        std::array<char, 65536> some;
        while (all.size() < most) {
            const ssize_t count = ::recv(socket_.get(), some.data(), std::min(some.size(), most - all.size()), 0);
            if (count <= 0) break;
            all.append(some.data(), static_cast<std::size_t>(count));
        }
        return all;
    }

private:
    server::net::Descriptor socket_;
};

std::size_t count(const std::string& text, const std::string& of) {
    std::size_t found = 0;
    for (std::size_t at = 0; (at = text.find(of, at)) != std::string::npos; at += of.size()) ++found;
    return found;
}

// XML that holds what was put in, and no key.
void check(const std::string& document) {
    xmpp::Limits limits;
    limits.stanza_bytes = 10'000'000;
    limits.elements = 100'000;
    xmpp::Parser parser{limits};
    const std::string root = document.substr(document.find('\n') + 1);
    const auto parsed = parser.parse(root.substr(0, root.size() - 1), nullptr, {}, {});
    REQUIRE(parsed);
    const auto host = parsed->child("host", "urn:xmpp:pie:0");
    CHECK(host.attr("jid") == "localhost");
    const auto user = host.child("user", "urn:xmpp:pie:0");
    CHECK(user.attr("name") == "romeo");
    CHECK(user.child("account", "urn:tern:account:0").child("device", "urn:tern:account:0").attr("name") == "Romeo's <phone>");
    const auto item = user.child("query", "jabber:iq:roster").child("item", "jabber:iq:roster");
    CHECK(item.attr("name") == "Juliet & co");
    CHECK(item.attr("subscription") == "both");
    CHECK(item.child("group", "jabber:iq:roster").text() == "Friends");
    CHECK(user.child("presence", "jabber:client").attr("from") == "paris@localhost");
    CHECK(user.child("vCard", "vcard-temp").child("FN", "vcard-temp").text() == "Romeo Montague");
    CHECK(user.child("query", "jabber:iq:private").child("exodus", "exodus:prefs").child("nick", "exodus:prefs").text() == "Romy");
    CHECK(user.child("query", "jabber:iq:privacy").child("list", "jabber:iq:privacy").child("item", "jabber:iq:privacy").attr("value") == "tybalt@localhost");
    CHECK(user.child("prefs", "urn:xmpp:mam:2").attr("default") == "roster");
    CHECK(user.child("offline-messages", "urn:xmpp:pie:0").child("message", "jabber:client").child("body", "jabber:client").text() == "waiting 59 &");
    CHECK(count(document, "<body>waiting ") == messages / 60);
    std::size_t expected = 0;
    for (const auto result : user.child("archive", "urn:xmpp:pie:0#mam").children()) {
        if (expected % 60 == 59) ++expected;
        CHECK(result.is("result", "urn:xmpp:mam:2"));
        const auto message = result.child("forwarded", "urn:xmpp:forward:0").child("message", "jabber:client");
        CHECK(message.child("body", "jabber:client").text() == "kept " + std::to_string(expected++) + " &");
    }
    CHECK(expected >= messages - 1);
    const auto verifiers = auth::derive_verifiers("secret", "the salt of it all", 10);
    for (const storage::Verifier& verifier : verifiers) {
        CHECK(document.find(xmpp::base64(verifier.stored_key)) == std::string::npos);
        CHECK(document.find(xmpp::base64(verifier.server_key)) == std::string::npos);
    }
    CHECK(document.find("the salt of it all") == std::string::npos);
    CHECK(document.find(xmpp::base64("the salt of it all")) == std::string::npos);
}

}  // namespace

TEST_CASE("a link gives an account's data once, in pieces") {
    Household home;
    const std::string link = home.link();
    const WebReply looked = fetch(home.running, link, "HEAD");
    CHECK(looked.status == 200);
    CHECK(looked.body.empty());
    CHECK(looked.headers.find("Content-Length") == std::string::npos);   // RFC 9110 §9.3.2: as for GET
    CHECK(looked.headers.find("Transfer-Encoding: chunked") != std::string::npos);
    const WebReply got = fetch(home.running, link);
    CHECK(got.status == 200);
    CHECK(got.headers.find("Transfer-Encoding: chunked") != std::string::npos);
    CHECK(got.headers.find("Content-Type: application/xml") != std::string::npos);
    CHECK(got.headers.find("no-store") != std::string::npos);
    check(got.body);
    CHECK(fetch(home.running, link).status == 404);
    CHECK(fetch(home.running, link, "HEAD").status == 404);
    const WebReply old = fetch(home.running, home.link(), "GET", CURL_HTTP_VERSION_1_0);
    CHECK(old.headers.find("chunked") == std::string::npos);
    check(old.body);
}

TEST_CASE("a link ends with its time, with a newer one, and with a key of the account, nobody guesses one") {
    Household home;
    auto& links = home.running.server->export_links();
    const auto now = home.running.clock.wall();
    const std::string older = home.link(), newer = home.link();
    CHECK(newer.size() >= std::string{"/v1/export/"}.size() + 43);
    CHECK(older != newer);
    CHECK(fetch(home.running, older).status == 404);
    for (const std::string& wrong : {std::string{"/v1/export/romeo@localhost"}, std::string{"/v1/export/"}, newer.substr(0, newer.size() - 1), newer + "A"}) CHECK(fetch(home.running, wrong).status == 404);
    CHECK(fetch(home.running, newer, "HEAD").status == 200);

    const std::string token = links.offer(home.romeo, now);
    CHECK(links.is_good(token, now + server::ExportLinks::lifetime - std::chrono::seconds{1}));
    CHECK_FALSE(links.is_good(token, now + server::ExportLinks::lifetime));
    CHECK_FALSE(links.take(token, now + server::ExportLinks::lifetime));
    CHECK_FALSE(links.take(token, now));   // that was its one time
    const std::string revoked = home.link();
    home.running.server->device_revoked(home.romeo, "d1");
    CHECK(fetch(home.running, revoked).status == 404);
    const std::string replaced = home.link();
    home.running.server->keys_changed(home.romeo);
    CHECK(fetch(home.running, replaced).status == 404);
    const std::string disabled = home.link();
    home.must(home.running.server->storage().accounts().set_disabled(home.id, true));
    CHECK(fetch(home.running, disabled).status == 404);
}

TEST_CASE("an export that is under way ends with a key of the account, and with the account") {
    const bool is_revoked = GENERATE(true, false);
    Household home;
    home.add_large_messages();
    LazyReader reader{home.running.web->addresses().http.front()};
    reader.send("GET " + home.link() + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    std::string document = reader.read(1000);   // no more: the server waits with the rest
    auto& accounts = home.running.server->storage().accounts();
    home.must(is_revoked ? accounts.remove_device(home.id, "d1") : accounts.set_disabled(home.id, true));
    document += reader.read(100'000'000);
    CHECK(document.find("<server-data") != std::string::npos);
    CHECK(document.find("</server-data>") == std::string::npos);
    CHECK_FALSE(document.ends_with("\r\n0\r\n\r\n"));
}

TEST_CASE("a session that is about to end does not get itself a last link") {
    InProcess stage;
    stage.open(*parse_scene("link", "# A link\n# (§0)\n\n[Account] romeo@localhost\n\tpassword: secret\n\n-----\n\nafter 1 seconds\n"));
    const xmpp::Jid romeo = *xmpp::Jid::parse("romeo@localhost");
    auto& links = stage.server().export_links();
    stage.server().keys_changed(romeo);
    const std::string replaced = links.offer(romeo, stage.now());   // before its worker has heard of it
    stage.settle();
    CHECK_FALSE(links.is_good(replaced, stage.now()));
    stage.server().device_revoked(romeo, "d1");
    const std::string revoked = links.offer(romeo, stage.now());
    stage.settle();
    CHECK_FALSE(links.is_good(revoked, stage.now()));
    CHECK(links.is_good(links.offer(romeo, stage.now()), stage.now()));
}

TEST_CASE("every page of an admin's export is in the log") {
    Household home;
    home.running.open_admin_socket();
    static std::mutex mutex;
    static std::vector<std::string> logged;
    server::log::open({.level = "info", .format = "text", .file = home.running.directory.path() + "/log"});
    server::log::watch([](server::log::Level, std::string_view line) {
        const std::lock_guard lock{mutex};
        logged.emplace_back(line);
    });
    REQUIRE(ask(home.running, "account export", {{"jid", "romeo@localhost"}, {"from", "archive:0"}}));
    server::log::watch(nullptr);
    server::log::open({});
    const std::lock_guard lock{mutex};
    CHECK(std::ranges::any_of(logged, [](const std::string& line) { return line.starts_with("account exported jid=romeo@localhost") && line.find("from=archive:0") != std::string::npos; }));
}

TEST_CASE("tern account export writes the same to a file that is its owner's alone") {
    Household home;
    home.running.open_admin_socket();
    const std::string file = home.running.directory.path() + "/romeo.xml";
    const auto run = [&](const std::string& jid, const std::string& to) {
        const auto parsed = server::admin::parse_command_line({"--data", home.running.directory.path(), "--json", "account", "export", jid, to});
        REQUIRE(std::holds_alternative<server::admin::CommandLine>(parsed));
        return server::admin::run_command_line(std::get<server::admin::CommandLine>(parsed));
    };
    REQUIRE(run("romeo@localhost", file) == 0);
    std::ostringstream text;
    text << std::ifstream{file}.rdbuf();
    check(text.str());
    struct stat status{};
    REQUIRE(::stat(file.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK(run("nobody@localhost", file + "2") != 0);
    CHECK(::stat((file + "2").c_str(), &status) != 0);
    CHECK(run("romeo@localhost", home.running.directory.path() + "/missing/romeo.xml") != 0);

    // In a folder where others write as well: nothing that they put there is written to, and nothing is left behind.
    const std::filesystem::path folder = home.running.directory.path() + "/shared";
    std::filesystem::create_directories(folder / "taken");
    std::ofstream{folder / "victim"} << "precious";
    std::filesystem::create_symlink(folder / "victim", folder / "romeo.xml.new");
    REQUIRE(run("romeo@localhost", folder / "romeo.xml") == 0);
    CHECK(run("romeo@localhost", folder / "taken") != 0);
    CHECK(run("nobody@localhost", folder / "nobody.xml") != 0);
    std::string kept;
    std::ifstream{folder / "victim"} >> kept;
    CHECK(kept == "precious");
    CHECK(std::distance(std::filesystem::directory_iterator{folder}, {}) == 4);   // and romeo.xml
    CHECK(problem_of(ask(home.running, "account export", {{"jid", "romeo@localhost"}, {"from", "nowhere"}})) == "bad-request");
}
