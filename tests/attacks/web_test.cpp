// SPDX-License-Identifier: MIT
// Attacks on the other doors: registration by SMS, HTTP, and the admin socket.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/attacks/attacked.h"
#include "tests/support/sms_file.h"

using namespace tests;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

struct Response {
    int status = 0;  // 0: closed without an answer
    std::string head, body;
    json content() const { return json::parse(body, nullptr, false); }
};

Response read_response(RawSocket& socket) {
    std::string all;
    for (std::string more = socket.receive(20s); !more.empty(); more = socket.receive(20s)) {
        all += more;
        const std::size_t end = all.find("\r\n\r\n"), length = all.find("Content-Length: ");
        if (end != std::string::npos &&
            (length > end || all.size() >= end + 4 + std::stoul(all.substr(length + 16))))
            break;
    }
    if (!all.starts_with("HTTP/1.1 ")) return {};
    const std::size_t end = all.find("\r\n\r\n");
    return {std::stoi(all.substr(9, 3)), all.substr(0, end), all.substr(end + 4)};
}

RawSocket web(const Attacked& attacked) {
    return RawSocket{attacked.server.process().http().host, attacked.server.process().http().port};
}

Response ask(const Attacked& attacked, const std::string& request) {
    RawSocket socket = web(attacked);
    socket.send(request);
    return read_response(socket);
}

std::string get(const std::string& path, const std::string& more = "") {
    return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + more + "\r\n";
}

std::string post(const std::string& path, const std::string& body,
                 const std::string& type = "application/json") {
    return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: " + type +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string number(int n) { return "+49151" + std::to_string(12345000 + n); }
Response register_number(const Attacked& attacked, int n) {
    return ask(attacked, post("/v1/register", json{{"phone", number(n)}}.dump()));
}

std::size_t lines_of(const std::string& path) {
    std::ifstream file{path};
    std::size_t count = 0;
    for (std::string line; std::getline(file, line);) ++count;
    return count;
}

}  // namespace

TEST_CASE("row 29: PINs are guessed five times and no more, even when all guess at once") {
    Attacked attacked{{{"TERN_REGISTRATION_TRIES", "5"}, {"TERN_REGISTRATION_PER_ADDRESS_AN_HOUR", "1000"}}};
    const Response started = register_number(attacked, 1);
    REQUIRE(started.status == 202);
    const std::string path = "/v1/register/" + started.content()["id"].get<std::string>() + "/confirm";
    const std::string pin = pin_in_sms_file(attacked.server.sms_file(), number(1));
    std::vector<std::unique_ptr<RawSocket>> guessers;
    for (int i = 0; i < 30; ++i) {
        std::string guess = std::to_string(10000 + (std::stoi(pin) + i * 7 + 1) % 90000);
        if (guess == pin) guess = pin == "10000" ? "10001" : "10000";
        guessers.push_back(std::make_unique<RawSocket>(attacked.server.process().http().host,
                                                       attacked.server.process().http().port));
        guessers.back()->send(post(path, json{{"pin", guess}}.dump()));
    }
    int wrong = 0, gone = 0;
    for (const auto& socket : guessers) {
        const int status = read_response(*socket).status;
        wrong += status == 403;
        gone += status == 410 || status == 429;
    }
    CHECK(wrong <= 5);
    CHECK(wrong + gone == 30);
    const Response late = ask(attacked, post(path, json{{"pin", pin}}.dump()));
    CHECK((late.status == 410 || late.status == 429));  // whoever guesses so much must wait as well
    CHECK_FALSE(late.content().contains("key"));
    for (const char* other : {"/v1/register/x/confirm", "/v1/register/..%2f..%2f/confirm",
                              "/v1/register/%27%20OR%201=1/confirm"}) {
        const Response answered = ask(attacked, post(other, json{{"pin", pin}}.dump()));
        CHECK((answered.status == 404 || answered.status == 410 || answered.status == 429));
    }
    attacked.check_unharmed();
}

TEST_CASE("row 29: SMS are not pumped, whichever the door") {
    Attacked attacked{
        {{"TERN_REGISTRATION_PER_ADDRESS_AN_HOUR", "6"}, {"TERN_REGISTRATION_RESEND_AFTER", "60"}}};
    CHECK(register_number(attacked, 1).status == 202);
    const Response again = register_number(attacked, 1);
    CHECK(again.status == 429);
    CHECK(again.head.find("Retry-After: ") != std::string::npos);
    WireClient tybalt = attacked.client();
    tybalt.open_stream();
    const auto by_stream = [&](int n) {
        return condition_of(tybalt.ask(
            "set", "<query xmlns='jabber:iq:register'><phone>" + number(n) + "</phone></query>", ""));
    };
    int sent = 1;
    for (int n = 2; n < 30; ++n) {
        const bool is_refused =
            n % 2 == 0 ? register_number(attacked, n).status == 429 : by_stream(n) == "resource-constraint";
        if (!is_refused) ++sent;
    }
    CHECK(sent <= 6);
    CHECK(by_stream(40) == "resource-constraint");
    // An address that the client claims to have is not believed.
    CHECK(ask(attacked,
              "POST /v1/register HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\nForwarded: "
              "for=192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\nContent-Length: 24\r\n\r\n"
              "{\"phone\":\"+491511234599\"}")
              .status != 202);
    CHECK(lines_of(attacked.server.sms_file()) <= 6);
    for (const char* phone : {"+1", "112", "+49800", "0151123456", "+4915112345678901234567890",
                              "+49151;ext=1", "<script>", "+49 151 1234567 x 8"})
        CHECK(ask(attacked, post("/v1/register", json{{"phone", phone}}.dump())).status / 100 == 4);
    attacked.check_unharmed();
}

TEST_CASE(
    "rows 42 and 43: WebSocket and BOSH are not there, so nothing that asks for them becomes a stream") {
    Attacked attacked;
    for (const char* path : {"/ws", "/xmpp-websocket", "/v1/register", "/metrics", "/"}) {
        CAPTURE(path);
        RawSocket socket = web(attacked);
        socket.send(std::string{"GET "} + path +
                    " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: "
                    "Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: xmpp\r\nOrigin: "
                    "https://evil.example\r\n\r\n");
        const Response answered = read_response(socket);
        CHECK(answered.status != 101);
        CHECK(answered.status != 0);
    }
    for (const char* body : {"<body rid='1' sid='x' xmlns='http://jabber.org/protocol/httpbind'/>", "<body",
                             "<!DOCTYPE x>", ""}) {
        const int status = ask(attacked, post("/http-bind", body, "text/xml")).status;
        CHECK((status == 404 || status == 405));
    }
    attacked.check_unharmed();
}

TEST_CASE("row 44: whatever scanners send to the HTTP port is refused in order") {
    Attacked attacked;
    const std::vector<std::string> refused{
        "GET / HTTP/1.1\r\n\r\n",  // no Host
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(9000, 'a') + "\r\n\r\n",
        "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET\r\n\r\n",
        "\r\n\r\n\r\nX\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",  // smuggling
        "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST /v1/register HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
        "POST /v1/register HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nx\r\n\r\n",
        std::string("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 29),
        "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "<stream:stream to='localhost' xmlns='jabber:client'>\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "CONNECT evil.example:25 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    for (const std::string& request : refused) {
        CAPTURE(request.substr(0, 80));
        RawSocket socket = web(attacked);
        socket.send(request);
        ::shutdown(socket.descriptor(), SHUT_WR);
        const int status = read_response(socket).status;
        CHECK((status == 0 || (status >= 400 && status < 600 && status != 500)));
    }
    for (const std::string path :
         {"/admin", "/../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/%2e%2e/%2e%2e/etc/passwd",
          "/setup/setup-s/%u002e%u002e/log.jsp", "/data/tern.db", "/tern.db", "/.git/config", "//", "/v1",
          "/v1/register/", "/cgi-bin/luci", "/?<script>", "/admin/accounts", "/v1/admin"}) {
        CAPTURE(path);
        const Response answered = ask(attacked, get(path));
        CHECK((answered.status == 404 || answered.status == 405 || answered.status == 400));
        CHECK(answered.body.find("root:") == std::string::npos);
        CHECK(answered.body.find("<script>") == std::string::npos);
    }
    const std::vector<std::string> bodies{"{",
                                          "[]",
                                          "null",
                                          "\"\"",
                                          "{\"phone\": 1}",
                                          "{\"phone\": null}",
                                          "{\"phone\": [\"+4915112345678\"]}",
                                          "{\"phone\": \"\\ud800\"}",
                                          "{\"phone\": \"\xff\"}",
                                          "{\"phone\":\"" + std::string(60'000, '9') + "\"}",
                                          std::string(60'000, '['),
                                          repeated("{\"a\":", 12'000),
                                          "1e999999",
                                          "{\"phone\":1e400}"};
    for (const std::string& body : bodies) CHECK(ask(attacked, post("/v1/register", body)).status == 400);
    CHECK(ask(attacked, post("/v1/register", std::string(70'000, 'x'))).status == 413);
    // Row 30: a page of another site can send a form or plain text without asking first; neither is taken.
    for (const char* type : {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
        CHECK(ask(attacked, post("/v1/register", "{\"phone\":\"+4915112345678\"}", type)).status == 415);
    // Many requests without waiting for answers, and never reading them.
    RawSocket eager = web(attacked);
    const timeval limit{0, 200'000};
    ::setsockopt(eager.descriptor(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    for (int i = 0; i < 200; ++i)
        if (!eager.send(repeated("GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", 100))) break;
    CHECK(ask(attacked, get("/healthz")).status == 200);
    attacked.check_unharmed({.cpu_seconds = 6});
}

TEST_CASE(
    "row 46: admin commands are for the owner of the data directory, and hostile requests are answered or "
    "dropped") {
    Attacked attacked;
    const std::string path = attacked.server.data() + "/tern.sock";
    struct stat found {};
    REQUIRE(::stat(path.c_str(), &found) == 0);
    CHECK((found.st_mode & 0777) == 0600);
    const auto connect = [&] {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const timeval limit{5, 0};
        ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        REQUIRE(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        return socket;
    };
    const std::vector<std::string> hostile{
        "\n",
        "{}\n",
        "null\n",
        "[1,2]\n",
        "{\"command\": 1}\n",
        "{\"command\": \"../../bin/sh\"}\n",
        "{\"command\": \"account show\", \"parameters\": []}\n",
        "{\"command\": \"account show\", \"parameters\": {\"jid\": {\"a\": 1}}}\n",
        "{\"command\": \"account show\", \"parameters\": {\"jid\": \"' OR 1=1 --@localhost\"}}\n",
        std::string(900'000, '[') + "\n",
        std::string(2'000'000, 'x'),
        std::string(1000, '\0') + "\n",
        "\xff\xfe\n",
        "GET / HTTP/1.1\r\n\r\n"};
    for (const std::string& request : hostile) {
        CAPTURE(request.substr(0, 60));
        const int socket = connect();
        ::send(socket, request.data(), request.size(), MSG_NOSIGNAL);
        char answer[64] = {};
        const ssize_t count = ::recv(socket, answer, sizeof answer - 1, 0);
        ::close(socket);
        CHECK((count <= 0 || std::string_view{answer}.starts_with("{\"error\":") ||
               std::string_view{answer}.starts_with("{\"ok\":false")));
    }
    std::vector<int> crowd;
    for (int i = 0; i < 60; ++i) crowd.push_back(connect());
    attacked.benvolio.ping(5s);
    for (const int socket : crowd) ::close(socket);
    attacked.check_unharmed({.megabytes = 96});  // a million brackets of the owner's own are parsed
}
