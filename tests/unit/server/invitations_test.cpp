// SPDX-License-Identifier: MIT
// Invitations outside XMPP: `tern invite`, the landing page, and registration over HTTP with one.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "auth/passwords.h"
#include "server/admin/command_line.h"
#include "server/http/qr_code.h"
#include "server/invited.h"
#include "tests/support/sms_file.h"
#include "tests/unit/server/admin_client.h"
#include "tests/unit/server/web_client.h"

namespace {

using namespace tests;
using server::admin::Json;

// A server with the account romeo@localhost.
struct Door {
    RunningServer running;
    std::string url = "http://" + running.web->addresses().http.front();

    explicit Door(const std::function<void(server::Config&)>& adjust = {}) : running{adjust} {
        running.open_admin_socket();
        TestExecutor executor;
        REQUIRE(executor.run(auth::make_password_account(running.server->storage(), running.server->hashes(), *storage::Jid::parse("romeo@localhost"), "secret", 100)));
    }

    WebReply ask(const std::string& method, const std::string& path, const Json& body = nullptr) const { return fetch({.method = method, .url = url + path, .body = body}); }

    Json invite(const Json& parameters = Json::object()) const {
        const Answer answer = tests::ask(running, "invite", parameters);
        REQUIRE(answer);
        return *answer;
    }
    std::string refusal(const std::string& command, const Json& parameters) const { return problem_of(tests::ask(running, command, parameters)); }
};

std::string token_of(const Json& answer) {
    const std::string uri = answer["uri"];
    const std::size_t begin = uri.find("preauth=") + 8;
    return uri.substr(begin, uri.find(';', begin) - begin);
}

}  // namespace

TEST_CASE("tern invite makes, lists and revokes links") {
    const Door door{[](server::Config& config) {
        config.http.url = "https://chat.example.org";
        config.admins = {"admin@localhost"};
    }};
    const Json contact = door.invite({{"jid", "romeo@localhost"}, {"uses", 3}, {"expires", "12h"}});
    const std::string token = token_of(contact);
    CHECK(contact["uri"] == "xmpp:romeo@localhost?roster;preauth=" + token + ";ibr=y");   // numbers register by themselves
    CHECK(contact["url"] == "https://chat.example.org/invite/" + token);
    CHECK(contact["uses"] == 3);
    const Json account = door.invite({{"account", "Juliet"}});
    CHECK(account["uri"] == "xmpp:juliet@localhost?register;preauth=" + token_of(account));
    const Json anybody = door.invite();
    CHECK(anybody["uri"] == "xmpp:localhost?register;preauth=" + token_of(anybody));
    const Json both = door.invite({{"jid", "romeo@localhost"}, {"account", "paris@localhost"}});
    CHECK(both["uri"] == "xmpp:paris@localhost?register;preauth=" + token_of(both));

    CHECK(door.refusal("invite", {{"jid", "nobody@localhost"}}) == "not-found");
    CHECK(door.refusal("invite", {{"jid", "romeo@elsewhere.example"}}) == "bad-request");
    CHECK(door.refusal("invite", {{"account", "juliet"}}) == "conflict");     // promised
    CHECK(door.refusal("invite", {{"account", "romeo"}}) == "conflict");
    CHECK(door.refusal("invite", {{"account", "tybalt@elsewhere.example"}}) == "bad-request");
    CHECK(door.refusal("invite", {{"account", "a b"}}) == "bad-request");
    CHECK(door.refusal("invite", {{"account", ""}}) == "bad-request");
    CHECK(door.refusal("invite", {{"account", "4915112345678"}}) == "bad-request");
    CHECK(door.refusal("invite", {{"account", "admin"}}) == "bad-request");
    CHECK(door.refusal("invite", {{"account", "tybalt"}, {"uses", 2}}) == "bad-request");
    CHECK(door.refusal("invite", {{"uses", 0}}) == "bad-request");
    for (const char* wrong : {"soon", "12", "0s", "400d"}) CHECK(door.refusal("invite", {{"expires", wrong}}) == "bad-request");

    const Answer all = tests::ask(door.running, "invite list");
    REQUIRE(all);
    REQUIRE((*all)["invitations"].size() == 4);
    CHECK(all->dump().find(token) == std::string::npos);   // told once
    const Answer his = tests::ask(door.running, "invite list", {{"jid", "romeo@localhost"}});
    REQUIRE(his);
    REQUIRE((*his)["invitations"].size() == 2);
    CHECK((*his)["invitations"][0]["id"] == contact["id"]);
    CHECK((*his)["invitations"][0]["for"] == "contact");
    CHECK((*his)["invitations"][0]["uses"] == 3);
    CHECK(tests::ask(door.running, "invite revoke", {{"id", contact["id"]}}));
    CHECK(door.refusal("invite revoke", {{"id", contact["id"]}}) == "not-found");
    CHECK(tests::ask(door.running, "account remove", {{"jid", "romeo@localhost"}}));
    CHECK((*tests::ask(door.running, "invite list"))["invitations"].size() == 2);
}

TEST_CASE("tern invite is a command, and what its list and revoke stand under") {
    using namespace server::admin;
    const auto parsed = [](const std::vector<std::string>& arguments) {
        const auto line = parse_command_line(arguments);
        REQUIRE(std::holds_alternative<CommandLine>(line));
        return std::get<CommandLine>(line);
    };
    const CommandLine invite = parsed({"invite", "romeo@localhost", "--uses", "3", "--json"});
    CHECK(invite.command == find_command("invite"));
    CHECK(invite.parameters == Json{{"jid", "romeo@localhost"}, {"uses", "3"}});
    CHECK(invite.json);
    CHECK(parsed({"invite"}).command == find_command("invite"));
    CHECK(parsed({"invite", "list"}).command == find_command("invite list"));
    CHECK(parsed({"invite", "list", "romeo@localhost"}).parameters == Json{{"jid", "romeo@localhost"}});
    CHECK(parsed({"invite", "revoke", "x"}).command == find_command("invite revoke"));
}

TEST_CASE("a link is written so that every client reads it") {
    server::Config config;
    config.registration.phone = false;
    storage::Invitation invitation;
    invitation.inviter = *xmpp::Jid::parse("ro?meo;#1%\u00fc@localhost");
    invitation.address = *xmpp::Jid::parse("localhost");
    CHECK(server::uri_of(invitation, "abc", config) == "xmpp:ro%3Fmeo%3B%231%25%C3%BC@localhost?roster;preauth=abc");
    invitation.registers = true;
    CHECK(server::uri_of(invitation, "abc", config) == "xmpp:ro%3Fmeo%3B%231%25%C3%BC@localhost?roster;preauth=abc;ibr=y");

    CHECK(server::landing_url_of("abc", config) == "https://localhost:5281/invite/abc");
    config.http.tls = {"0.0.0.0:443"};
    CHECK(server::landing_url_of("abc", config) == "https://localhost/invite/abc");
    config.http.tls = {"127.0.0.1:0"};
    CHECK(server::landing_url_of("abc", config).empty());
    config.http.tls = {};
    CHECK(server::landing_url_of("abc", config).empty());
    config.http.url = "https://example.org/chat/";
    CHECK(server::landing_url_of("abc", config) == "https://example.org/chat/invite/abc");
}

TEST_CASE("a number registers over HTTP with an invitation where new numbers need one") {
    const Door door{[](server::Config& config) { config.registration.invited_only = true; }};
    const std::string token = token_of(door.invite({{"jid", "romeo@localhost"}}));
    const std::string account_token = token_of(door.invite({{"account", "juliet"}}));   // no number's
    const WebReply started = door.ask("POST", "/v1/register", {{"phone", "+4915112345678"}});
    REQUIRE(started.status == 202);
    const std::string confirm = "/v1/register/" + started.content()["id"].get<std::string>() + "/confirm";
    const std::string pin = pin_in_sms_file(door.running.directory.path() + "/sms.jsonl", "+4915112345678");
    const WebReply uninvited = door.ask("POST", confirm, {{"pin", pin}});
    CHECK(uninvited.status == 403);
    CHECK(uninvited.content()["code"] == "not-invited");
    CHECK(door.ask("POST", confirm, {{"pin", pin}, {"invitation", 7}}).status == 400);
    CHECK(door.ask("POST", confirm, {{"pin", pin}, {"invitation", "forged"}}).status == 403);
    CHECK(door.ask("POST", confirm, {{"pin", pin}, {"invitation", account_token}}).status == 403);
    const WebReply issued = door.ask("POST", confirm, {{"pin", pin}, {"invitation", token}});
    REQUIRE(issued.status == 201);
    CHECK(issued.content()["jid"] == "4915112345678@localhost");
    CHECK((*tests::ask(door.running, "invite list", {{"jid", "romeo@localhost"}}))["invitations"].empty());
}

TEST_CASE("a number that registers again needs no invitation, and uses none up") {
    const Door door;
    const auto register_with = [&](const std::string& token) {
        const WebReply started = door.ask("POST", "/v1/register", {{"phone", "+4915112345678"}});
        REQUIRE(started.status == 202);
        const std::string pin = pin_in_sms_file(door.running.directory.path() + "/sms.jsonl", "+4915112345678");
        return door.ask("POST", "/v1/register/" + started.content()["id"].get<std::string>() + "/confirm", {{"pin", pin}, {"invitation", token}}).status;
    };
    const auto are_left = [&] { return (*tests::ask(door.running, "invite list", {{"jid", "romeo@localhost"}}))["invitations"].size(); };
    const std::string first = token_of(door.invite({{"jid", "romeo@localhost"}})), second = token_of(door.invite({{"jid", "romeo@localhost"}}));
    REQUIRE(are_left() == 2);
    CHECK(register_with(first) == 201);
    CHECK(are_left() == 1);
    CHECK(register_with(second) == 201);
    CHECK(are_left() == 1);
}

TEST_CASE("who tries too many tokens is told so, and not that the number needs an invitation") {
    const Door door{[](server::Config& config) { config.registration.invited_only = true; }};
    const std::string token = token_of(door.invite({{"jid", "romeo@localhost"}}));
    const WebReply started = door.ask("POST", "/v1/register", {{"phone", "+4915112345678"}});
    REQUIRE(started.status == 202);
    bool is_limited = false;
    for (int i = 0; i < 62 && !is_limited; ++i) is_limited = door.ask("GET", "/invite/x").status == 429;
    REQUIRE(is_limited);
    const std::string pin = pin_in_sms_file(door.running.directory.path() + "/sms.jsonl", "+4915112345678");
    const WebReply refused = door.ask("POST", "/v1/register/" + started.content()["id"].get<std::string>() + "/confirm", {{"pin", pin}, {"invitation", token}});
    CHECK(refused.status == 429);
    CHECK(refused.content()["code"] == "too-many");
    CHECK(refused.headers.find("Retry-After: ") != std::string::npos);
}

TEST_CASE("the landing page shows who invites, the link, its QR code and clients, and loads nothing") {
    const Door door;
    const Json link = door.invite({{"jid", "romeo@localhost"}});
    const std::string uri = link["uri"], path = "/invite/" + token_of(link);
    const WebReply page = door.ask("GET", path);
    REQUIRE(page.status == 200);
    const auto has = [&](const std::string& text) { return page.body.find(text) != std::string::npos; };
    CHECK(has("<h1>romeo has invited you to chat</h1>"));
    CHECK(has("<a class='open' href='" + uri + "'>"));
    CHECK(has(server::http::qr_svg(uri)));
    for (const char* client : {"Conversations", "Dino", "Gajim", "Monal", "Siskin", "Converse", "profanity"}) CHECK(has(client));
    CHECK(page.headers.find("Content-Type: text/html; charset=utf-8\r\n") != std::string::npos);
    CHECK(page.headers.find("Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n") != std::string::npos);
    CHECK(page.headers.find("Referrer-Policy: no-referrer\r\n") != std::string::npos);
    CHECK(page.headers.find("Cache-Control: no-store\r\n") != std::string::npos);
    // RFC 9110 §9.3.2
    const WebReply head = door.ask("HEAD", path);
    CHECK(head.body.empty());
    CHECK(head.headers.find("Content-Length: " + std::to_string(page.body.size()) + "\r\n") != std::string::npos);
    CHECK_FALSE(has("<script"));
    CHECK_FALSE(has(" src="));
    CHECK_FALSE(has("<link"));
    CHECK_FALSE(has("url("));

    const Json account = door.invite({{"account", "juliet"}});
    const WebReply named = door.ask("GET", "/invite/" + token_of(account));
    CHECK(named.status == 200);
    CHECK(named.body.find("juliet@localhost") != std::string::npos);
    CHECK(door.ask("GET", "/invite/" + token_of(account)).status == 200);   // looking uses nothing up
}

TEST_CASE("the landing page is the same for every token that is no longer good") {
    const Door door;
    const Json link = door.invite({{"account", "juliet"}});
    REQUIRE(tests::ask(door.running, "invite revoke", {{"id", link["id"]}}));
    const WebReply revoked = door.ask("GET", "/invite/" + token_of(link));
    CHECK(revoked.status == 404);
    CHECK(revoked.body.find("<h1>This invitation is no longer good</h1>") != std::string::npos);
    CHECK(revoked.headers.find("Content-Security-Policy: default-src 'none'") != std::string::npos);

    const Json used = door.invite();
    TestExecutor executor;
    REQUIRE(executor.run(door.running.server->invitations().use(used["id"])));
    CHECK(door.ask("GET", "/invite/" + token_of(used)).body == revoked.body);
    CHECK(door.ask("GET", "/invite/%3Cscript%3Ealert(1)%3C%2Fscript%3E").status == 404);
    const WebReply forged = door.ask("GET", "/invite/%3Cb%3E");
    CHECK(forged.body == revoked.body);   // what is asked for is not repeated
    CHECK(door.ask("GET", "/invite/").status == 404);
    CHECK(door.ask("POST", "/invite/x").status == 405);

    bool is_limited = false;
    for (int i = 0; i < 62 && !is_limited; ++i) is_limited = door.ask("GET", "/invite/x").status == 429;
    CHECK(is_limited);
}
