// SPDX-License-Identifier: MIT
// An account's data as a file: over HTTP by a link, and by `tern account export`.
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "server/account_export.h"
#include "server/admin/command_line.h"
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

    std::string link() { return "/v1/export/" + running.server->export_links().offer(romeo, running.clock.wall()); }
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

TEST_CASE("a link ends with its time, with a newer one, and with a key of the account; nobody guesses one") {
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
    CHECK(::stat((file + "2.new").c_str(), &status) != 0);
    CHECK(run("romeo@localhost", home.running.directory.path() + "/missing/romeo.xml") != 0);
    CHECK(problem_of(ask(home.running, "account export", {{"jid", "romeo@localhost"}, {"from", "nowhere"}})) == "bad-request");
}
