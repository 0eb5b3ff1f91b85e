// SPDX-License-Identifier: MIT
// Linking, listing and removing devices over HTTP, with real sockets.
#include <thread>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "auth/passwords.h"
#include "server/http/qr_code.h"
#include "tests/unit/server/running_server.h"
#include "tests/unit/server/web_client.h"

namespace {

using namespace tests;
using nlohmann::json;

// The account romeo@localhost, whose password may approve, and HTTP to its server.
struct Door {
    RunningServer running;
    std::string url = "http://" + running.web->addresses().http.front();
    std::string login = "romeo@localhost:secret";

    Door() {
        TestExecutor executor;
        REQUIRE(executor.run(auth::make_password_account(running.server->storage(), running.server->hashes(), *storage::Jid::parse("romeo@localhost"), "secret", 100)));
    }

    WebReply ask(const std::string& method, const std::string& path, const json& body = nullptr, const std::string& who = "") const {
        return fetch({.method = method, .url = url + path, .body = body, .login = who});
    }
};

}  // namespace

TEST_CASE("a companion is linked over HTTP, seen in the list, and removed") {
    const Door door;
    const WebReply code = door.ask("POST", "/v1/link", {{"device", "Laptop"}, {"software", "Dino"}, {"identity_key", "a2V5"}, {"omemo_id", "7"}});
    REQUIRE(code.status == 201);
    const std::string path = "/v1/link/" + code.content()["id"].get<std::string>();
    CHECK(code.content()["uri"] == "xmpp:localhost?link;code=" + code.content()["code"].get<std::string>());
    CHECK(door.ask("GET", path).content() == json{{"state", "waiting"}});
    CHECK(door.ask("POST", path + "/key").status == 409);
    CHECK(door.ask("GET", path + "?wait=1").content() == json{{"state", "waiting"}});

    WebReply waited;
    std::thread waiting{[&] { waited = door.ask("GET", path + "?wait=60"); }};
    const json approval{{"code", code.content()["code"]}, {"signature", "c2ln"}};
    CHECK(door.ask("POST", "/v1/devices/approve", approval).status == 401);
    CHECK(door.ask("POST", "/v1/devices/approve", approval, "romeo@localhost:wrong").status == 401);
    CHECK(door.ask("POST", "/v1/devices/approve", approval, "nobody@localhost:secret").status == 401);
    CHECK(door.ask("POST", "/v1/devices/approve", {{"code", 7}}, door.login).status == 400);
    CHECK(door.ask("POST", "/v1/devices/approve", {{"code", "0000-0000"}}, door.login).status == 410);
    const WebReply approved = door.ask("POST", "/v1/devices/approve", approval, door.login);
    CHECK(approved.status == 200);
    CHECK(approved.content() == json{{"device", "Laptop"}, {"software", "Dino"}, {"identity_key", "a2V5"}, {"omemo_id", "7"}});
    waiting.join();
    CHECK(waited.content() == json{{"state", "approved"}});

    const WebReply issued = door.ask("POST", path + "/key");
    REQUIRE(issued.status == 201);
    CHECK(issued.content()["jid"] == "romeo@localhost");
    CHECK(door.ask("POST", path + "/key").status == 410);
    CHECK(door.ask("GET", path).status == 410);

    const std::string companion = "romeo@localhost:" + issued.content()["key"].get<std::string>();
    const std::string id = issued.content()["device_id"];
    const WebReply list = door.ask("GET", "/v1/devices", nullptr, companion);
    REQUIRE(list.status == 200);
    REQUIRE(list.content()["devices"].size() == 2);
    const json devices = list.content()["devices"];
    const bool is_first = devices[0]["role"] == "companion";
    const json& device = devices[is_first ? 0 : 1];
    const std::string password = devices[is_first ? 1 : 0]["id"];
    CHECK(device["id"] == id);
    CHECK(device["name"] == "Laptop");
    CHECK(device["identity_key"] == "a2V5");
    CHECK(device["signature"] == "c2ln");
    CHECK(device["is_this"] == true);

    // A companion approves nobody, and removes itself alone.
    const WebReply second = door.ask("POST", "/v1/link", json::object());
    CHECK(door.ask("POST", "/v1/devices/approve", {{"code", second.content()["code"]}}, companion).status == 403);
    CHECK(door.ask("DELETE", "/v1/devices/" + password, nullptr, companion).status == 403);
    CHECK(door.ask("DELETE", "/v1/devices/" + password, nullptr, door.login).status == 409);
    CHECK(door.ask("DELETE", "/v1/devices/unknown", nullptr, door.login).status == 404);
    CHECK(door.ask("DELETE", "/v1/devices/" + id, nullptr, door.login).status == 204);
    CHECK(door.ask("GET", "/v1/devices", nullptr, companion).status == 401);
    CHECK(door.ask("GET", "/v1/devices", nullptr, door.login).content()["devices"].size() == 1);
}

TEST_CASE("a code is shown as a picture, and as text for terminals") {
    const Door door;
    const WebReply code = door.ask("POST", "/v1/link", json::object());
    const std::string path = "/v1/link/" + code.content()["id"].get<std::string>();
    const std::string uri = code.content()["uri"];
    CHECK(code.content()["qr"] == path + "/qr.svg");
    const WebReply svg = door.ask("GET", path + "/qr.svg");
    CHECK(svg.type == "image/svg+xml");
    CHECK(svg.body == server::http::qr_svg(uri));
    const WebReply png = door.ask("GET", path + "/qr.png");
    CHECK(png.type == "image/png");
    CHECK(png.body.starts_with("\x89PNG\r\n"));
    CHECK(png.body == server::http::qr_png(uri));
    const WebReply text = door.ask("GET", path + "/qr.txt");
    CHECK(text.body == server::http::qr_text(uri));
    CHECK(text.body.find("\u2588") == 0);   // the quiet zone
    CHECK(door.ask("GET", path + "/qr.gif").status == 404);
}

TEST_CASE("the server does not wait for companions when it ends") {
    const auto door = std::make_unique<Door>();
    const WebReply code = door->ask("POST", "/v1/link", json::object());
    const std::string path = "/v1/link/" + code.content()["id"].get<std::string>();
    WebReply waited;
    std::thread waiting{[&] { waited = door->ask("GET", path + "?wait=60"); }};
    while (door->ask("GET", "/metrics").body.find("tern_link_waiting 1") == std::string::npos) std::this_thread::yield();
    const auto begun = std::chrono::steady_clock::now();
    door->running.web.reset();
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds{3});
    waiting.join();
    CHECK(waited.content() == json{{"state", "waiting"}});
}

TEST_CASE("keys are not guessed over HTTP") {
    const Door door;
    int refused = 0, limited = 0;
    for (int i = 0; i < 62; ++i) {
        const long status = door.ask("GET", "/v1/devices", nullptr, "romeo@localhost:wrong").status;
        refused += status == 401 ? 1 : 0;
        limited += status == 429 ? 1 : 0;
    }
    CHECK(refused >= 60);
    CHECK(limited >= 1);
}
