// SPDX-License-Identifier: MIT
// HTTP over real sockets: what is a request and what is not, registration through the door of the API, health, metrics.
#include <chrono>
#include <fstream>
#include <random>
#include <regex>
#include <thread>

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <curl/curl.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http/proxies.h"
#include "server/http/routes.h"
#include "server/net/address.h"
#include "tests/unit/server/running_server.h"

namespace {

using namespace tests;
using nlohmann::json;

// A client that says exactly what it is told to say.
class RawClient {
public:
    explicit RawClient(const std::string& address) : fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        timeval patience{20, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    }
    ~RawClient() { ::close(fd_); }
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    void send(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent <= 0) return;   // the server may close early; what it answered tells
            bytes.remove_prefix(static_cast<std::size_t>(sent));
        }
    }
    // The next response with its body (by Content-Length); "" when the connection has ended.
    std::string receive(bool has_body = true) {
        for (;;) {
            const std::size_t end = input_.find("\r\n\r\n");
            if (end != std::string::npos) {
                std::size_t length = 0;
                std::smatch match;
                const std::string header = input_.substr(0, end + 2);
                if (has_body && std::regex_search(header, match, std::regex{"\r\nContent-Length: ([0-9]+)\r\n"})) length = std::stoul(match[1]);
                if (input_.size() >= end + 4 + length) {
                    std::string response = input_.substr(0, end + 4 + length);
                    input_.erase(0, end + 4 + length);
                    return response;
                }
            }
            if (!read()) return std::exchange(input_, {});
        }
    }
    bool is_closed() {   // by the server, in good order
        if (!input_.empty()) return false;
        char byte;
        return ::recv(fd_, &byte, 1, 0) == 0;
    }

private:
    bool read() {
        char buffer[4096];
        const ssize_t count = ::recv(fd_, buffer, sizeof buffer, 0);
        if (count > 0) input_.append(buffer, static_cast<std::size_t>(count));
        return count > 0;
    }
    int fd_;
    std::string input_;
};

struct Answer {
    int status = 0;
    std::string header;
    std::string body;
    json content() const { return json::parse(body, nullptr, false); }
    std::string field(const std::string& name) const {
        std::smatch match;
        return std::regex_search(header, match, std::regex{"\r\n" + name + ": ([^\r]*)\r\n"}) ? match[1].str() : std::string{};
    }
};

Answer parsed(const std::string& response) {
    Answer answer;
    const std::size_t end = response.find("\r\n\r\n");
    if (end == std::string::npos || !response.starts_with("HTTP/1.1 ")) return answer;
    answer.status = std::stoi(response.substr(9, 3));
    answer.header = response.substr(0, end + 2);
    answer.body = response.substr(end + 4);
    return answer;
}

Answer ask(const std::string& address, const std::string& request) {
    RawClient client{address};
    client.send(request);
    return parsed(client.receive());
}

std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"; }

std::string post(const std::string& path, const std::string& body, const std::string& more = "") {
    return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + more +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string phone_body(const std::string& phone) { return json{{"phone", phone}}.dump(); }

// The PIN in the last SMS to that number; sending runs on a thread of its own.
std::string pin_for(const RunningServer& running, const std::string& phone) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    while (std::chrono::steady_clock::now() < deadline) {
        std::ifstream file{running.directory.path() + "/sms.jsonl"};
        std::string pin;
        for (std::string line; std::getline(file, line);) {
            const json sms = json::parse(line, nullptr, false);
            std::smatch match;
            const std::string text = sms.is_object() ? sms.value("text", "") : "";
            if (sms.is_object() && sms.value("to", "") == phone && std::regex_search(text, match, std::regex{"[0-9]{5}"})) pin = match[0];
        }
        if (!pin.empty()) return pin;
        std::this_thread::yield();
    }
    return {};
}

}  // namespace

TEST_CASE("every malformed request is refused and none does harm") {
    struct Case { const char* what; std::string request; int status; };
    const std::string big(10'000, 'x');
    const std::vector<Case> cases{
        {"no HTTP at all", "hello\r\n\r\n", 400},
        {"an XML stream", "<?xml version='1.0'?><stream:stream to='localhost'>\r\n\r\n", 400},
        {"no Host (RFC 9112 §3.2)", "GET /healthz HTTP/1.1\r\n\r\n", 400},
        {"two Hosts", "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
        {"a header without a name", "GET /healthz HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400},
        {"a line folded away from its header", "GET /healthz HTTP/1.1\r\n folded\r\nHost: a\r\n\r\n", 400},
        {"a NUL in a header", std::string{"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 42}, 400},
        {"a space before the colon", "GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        {"two lengths", "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400},
        {"a negative length", "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
        {"a length that is no number", "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: 12x\r\n\r\n", 400},
        {"a length and chunks", "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"a chunk size that is none", "POST /v1/register HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        {"a header that is too large", "GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + big + "\r\n\r\n", 431},
        {"a target that is too long", "GET /" + big + " HTTP/1.1\r\nHost: a\r\n\r\n", 431},
        {"a body that says it is too large", "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n", 413},
        {"a chunk that is too large", "POST /v1/register HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n" + std::string(70'000, 'x'), 413},
        {"another major version", "GET /healthz HTTP/3.0\r\nHost: a\r\n\r\n", 505},
        {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"broken percent encoding", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"an encoded NUL", "GET /healthz%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"a path that climbs", "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 404},
        {"an encoded slash", "GET /v1%2f..%2fhealthz HTTP/1.1\r\nHost: a\r\n\r\n", 404},
        {"nothing there", "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", 404},
        {"an unknown method", "BREW /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 405},
        {"CONNECT", "CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\n\r\n", 404},
    };
    const RunningServer running;
    const std::string& address = running.web->addresses().http.front();
    for (const Case& one : cases) {
        INFO(one.what);
        const Answer answer = ask(address, one.request);
        CHECK(answer.status == one.status);
        CHECK(answer.field("Content-Type") == "application/problem+json");
        CHECK(answer.content().value("status", 0) == one.status);
        CHECK(answer.field("Server").empty());
    }
    CHECK(ask(address, get("/healthz")).status == 200);
}

TEST_CASE("random bytes and random cuts of a request never stop the server") {
    const RunningServer running;
    const std::string& address = running.web->addresses().http.front();
    const unsigned seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937 random{seed};
    const std::string whole = post("/v1/register", phone_body("+4915112345678"), "X-Forwarded-For: 1.2.3.4\r\n");
    for (int round = 0; round < 150; ++round) {
        std::string bytes = whole;
        for (unsigned change = random() % 5; change > 0; --change) bytes[random() % bytes.size()] = static_cast<char>(random());
        if (random() % 3 == 0) bytes.resize(random() % bytes.size());
        RawClient client{address};
        client.send(bytes);   // and gone, whatever the server makes of it
    }
    CHECK(ask(address, get("/healthz")).status == 200);
}

TEST_CASE("a connection is kept for further requests, which may come together or byte by byte") {
    const RunningServer running;
    RawClient client{running.web->addresses().http.front()};
    client.send(get("/healthz") + get("/readyz") + "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(parsed(client.receive()).content()["status"] == "alive");
    CHECK(parsed(client.receive()).content()["status"] == "ready");
    const Answer head = parsed(client.receive(false));
    CHECK(head.status == 200);
    CHECK(head.field("Content-Length") != "0");
    for (const char byte : get("/healthz")) client.send({&byte, 1});
    CHECK(parsed(client.receive()).status == 200);
    client.send("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    CHECK(parsed(client.receive()).field("Connection") == "close");
    CHECK(client.is_closed());
}

TEST_CASE("HTTP/1.0 is answered and closed, a whole URL is a target, chunks are a body, 100-continue is said") {
    const RunningServer running;
    const std::string& address = running.web->addresses().http.front();
    RawClient old{address};
    old.send("GET /healthz HTTP/1.0\r\n\r\n");
    CHECK(parsed(old.receive()).status == 200);
    CHECK(old.is_closed());
    CHECK(ask(address, "GET http://localhost/healthz?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n").status == 200);
    CHECK(ask(address, "POST /v1/register HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "5\r\n{\"pho\r\n9;x=y\r\nne\":\"12\"}\r\n0\r\n\r\n").content()["code"] == "not-a-number");
    RawClient patient{address};
    patient.send("POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    CHECK(patient.receive() == "HTTP/1.1 100 Continue\r\n\r\n");
    patient.send("{}");
    CHECK(parsed(patient.receive()).status == 400);
}

TEST_CASE("a phone number becomes an account: register, read the SMS, confirm") {
    const RunningServer running;
    const std::string& address = running.web->addresses().http.front();
    const std::string phone = "+4915112345678";

    const Answer started = ask(address, post("/v1/register", phone_body(phone)));
    REQUIRE(started.status == 202);
    CHECK(started.field("Content-Type") == "application/json");
    CHECK(started.field("Access-Control-Allow-Origin") == "*");
    const json pending = started.content();
    CHECK(pending["expires_in"] == 600);
    CHECK(pending["resend_after"] == 0);
    const std::string confirm = "/v1/register/" + pending["id"].get<std::string>() + "/confirm";
    const std::string pin = pin_for(running, phone);
    REQUIRE(pin.size() == 5);
    CHECK(started.body.find(pin) == std::string::npos);

    const std::string wrong = pin == "11111" ? "22222" : "11111";
    const Answer refused = ask(address, post(confirm, json{{"pin", wrong}, {"device", "Pixel 9"}}.dump()));
    CHECK(refused.status == 403);
    CHECK(refused.field("Content-Type") == "application/problem+json");
    CHECK(refused.content()["tries_left"] == 4);

    const Answer issued = ask(address, post(confirm, json{{"pin", pin}, {"device", "Pixel 9"}}.dump()));
    REQUIRE(issued.status == 201);
    CHECK(issued.content()["jid"] == "4915112345678@localhost");
    CHECK(issued.content()["device_id"].get<std::string>().size() > 5);
    CHECK(issued.content()["key"].get<std::string>().size() >= 22);   // 128 bits or more
    CHECK(issued.field("Cache-Control") == "no-store");

    CHECK(ask(address, post(confirm, json{{"pin", pin}, {"device", "Pixel 9"}}.dump())).status == 410);   // used up
}

TEST_CASE("what is wrong with a registration is said in RFC 7807") {
    struct Case { const char* what; std::string path, body; int status; const char* code; };
    const std::vector<Case> cases{
        {"no number", "/v1/register", phone_body("hello"), 400, "not-a-number"},
        {"no country", "/v1/register", phone_body("015112345678"), 400, "not-a-number"},
        {"not JSON", "/v1/register", "phone=+4915112345678", 400, "bad-request"},
        {"an array", "/v1/register", "[]", 400, "bad-request"},
        {"no phone", "/v1/register", "{}", 400, "bad-request"},
        {"a phone that is a number", "/v1/register", R"({"phone": 4915112345678})", 400, "bad-request"},
        {"text that is no UTF-8", "/v1/register", "{\"phone\": \"\xff\xfe\"}", 400, "bad-request"},
        {"nested deeply", "/v1/register", std::string(30'000, '['), 400, "bad-request"},
        {"an empty body", "/v1/register", "", 400, "bad-request"},
        {"no such registration", "/v1/register/nothing/confirm", R"({"pin": "12345"})", 410, "gone"},
        {"no PIN", "/v1/register/nothing/confirm", "{}", 400, "bad-request"},
        {"a PIN that is a number", "/v1/register/nothing/confirm", R"({"pin": 12345})", 400, "bad-request"},
        {"a device that is a list", "/v1/register/nothing/confirm", R"({"pin": "12345", "device": []})", 400, "bad-request"},
    };
    const RunningServer running;
    const std::string& address = running.web->addresses().http.front();
    for (const Case& one : cases) {
        INFO(one.what);
        const Answer answer = ask(address, post(one.path, one.body));
        CHECK(answer.status == one.status);
        CHECK(answer.field("Content-Type") == "application/problem+json");
        CHECK(answer.content().value("code", "") == one.code);
        CHECK_FALSE(answer.content().value("title", "").empty());
        CHECK(answer.field("Access-Control-Allow-Origin") == "*");
    }
    const Answer form = ask(address, "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}");
    CHECK(form.status == 415);
    const Answer other = ask(address, "PUT /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}");
    CHECK(other.status == 405);
    CHECK(other.field("Allow") == "POST, OPTIONS");
    const Answer preflight = ask(address, "OPTIONS /v1/register HTTP/1.1\r\nHost: a\r\nOrigin: https://chat.example\r\nAccess-Control-Request-Method: POST\r\n\r\n");
    CHECK(preflight.status == 204);
    CHECK(preflight.field("Access-Control-Allow-Origin") == "*");
    CHECK(preflight.field("Access-Control-Allow-Headers") == "Authorization, Content-Type");
    CHECK(preflight.field("Content-Length").empty());
}

TEST_CASE("too many registrations from one address are told when to come back") {
    const RunningServer running{[](server::Config& config) { config.registration.per_address_an_hour = 2; }};
    const std::string& address = running.web->addresses().http.front();
    CHECK(ask(address, post("/v1/register", phone_body("+4915112345671"))).status == 202);
    CHECK(ask(address, post("/v1/register", phone_body("+4915112345672"))).status == 202);
    const Answer refused = ask(address, post("/v1/register", phone_body("+4915112345673")));
    CHECK(refused.status == 429);
    REQUIRE_FALSE(refused.field("Retry-After").empty());
    CHECK(std::stoi(refused.field("Retry-After")) > 0);
    // Nobody is believed who says that he is somebody else.
    CHECK(ask(address, post("/v1/register", phone_body("+4915112345674"), "X-Forwarded-For: 198.51.100.7\r\n")).status == 429);
}

TEST_CASE("a trusted proxy's clients are told apart") {
    const RunningServer running{[](server::Config& config) {
        config.registration.per_address_an_hour = 1;
        config.http.trusted_proxies = {"127.0.0.0/8"};
    }};
    const std::string& address = running.web->addresses().http.front();
    CHECK(ask(address, post("/v1/register", phone_body("+4915112345671"), "X-Forwarded-For: 198.51.100.7\r\n")).status == 202);
    CHECK(ask(address, post("/v1/register", phone_body("+4915112345672"), "X-Forwarded-For: 198.51.100.8\r\n")).status == 202);
    CHECK(ask(address, post("/v1/register", phone_body("+4915112345673"), "X-Forwarded-For: 203.0.113.1, 198.51.100.7\r\n")).status == 429);
}

TEST_CASE("the client behind proxies is the last address that no trusted proxy has") {
    using server::http::client_address;
    const std::vector<std::string> trusted{"10.0.0.0/8", "::1", "2001:db8:1::/48"};
    struct Case { const char* peer; const char* forwarded; const char* client; };
    for (const Case& one : std::vector<Case>{
             {"192.0.2.1", "203.0.113.9", "192.0.2.1"},
             {"10.1.2.3", "203.0.113.9", "203.0.113.9"},
             {"10.1.2.3", "198.51.100.1, 203.0.113.9", "203.0.113.9"},
             {"10.1.2.3", "203.0.113.9, 10.9.9.9", "203.0.113.9"},
             {"10.1.2.3", "203.0.113.9 ,\t10.9.9.9 ", "203.0.113.9"},
             {"10.1.2.3", "", "10.1.2.3"},
             {"10.1.2.3", "unknown", "10.1.2.3"},
             {"10.1.2.3", "203.0.113.9,,", "10.1.2.3"},
             {"10.1.2.3", "10.4.4.4", "10.4.4.4"},
             {"::1", "[2001:db8::7]:4711", "2001:db8::7"},
             {"::1", "203.0.113.9:4711", "203.0.113.9"},
             {"2001:db8:1:5::1", "2001:db8::7", "2001:db8::7"},
             {"2001:db8:2::1", "2001:db8::7", "2001:db8:2::1"},
             {"::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"},
             {"10.1.2.3", "[", "10.1.2.3"},
         }) {
        INFO(one.peer << " " << one.forwarded);
        CHECK(client_address(one.peer, one.forwarded, trusted) == one.client);
    }
    CHECK_FALSE(server::net::is_in_network("10.0.0.1", "10.0.0.0/33"));
    CHECK_FALSE(server::net::is_in_network("10.0.0.1", "10.0.0.0/x"));
    CHECK(server::net::is_in_network("10.0.0.1", "0.0.0.0/0"));
    CHECK_FALSE(server::net::is_in_network("10.0.0.128", "10.0.0.0/25"));
}

TEST_CASE("HTTPS answers like HTTP, with the server's own certificate") {
    const RunningServer running;
    const std::string& address = running.web->addresses().https.front();
    const std::string url = "https://localhost" + address.substr(address.rfind(':'));
    const std::unique_ptr<CURL, void (*)(CURL*)> curl{curl_easy_init(), curl_easy_cleanup};
    const std::unique_ptr<curl_slist, void (*)(curl_slist*)> resolve{curl_slist_append(nullptr, ("localhost" + address.substr(address.rfind(':')) + ":127.0.0.1").c_str()),
                                                                     curl_slist_free_all};
    curl_easy_setopt(curl.get(), CURLOPT_RESOLVE, resolve.get());
    curl_easy_setopt(curl.get(), CURLOPT_CAINFO, (running.directory.path() + "/localhost.crt").c_str());
    curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, static_cast<curl_write_callback>([](char* bytes, std::size_t size, std::size_t count, void* into) {
        static_cast<std::string*>(into)->append(bytes, size * count);
        return size * count;
    }));
    for (const auto& [path, expected] : std::vector<std::pair<std::string, std::string>>{{"/healthz", "{\"status\":\"alive\"}"}, {"/readyz", "{\"status\":\"ready\"}"}}) {
        std::string body;
        curl_easy_setopt(curl.get(), CURLOPT_URL, (url + path).c_str());
        curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
        CHECK(curl_easy_perform(curl.get()) == CURLE_OK);   // the second on the same connection
        CHECK(body == expected);
    }
    // Plain HTTP, and nothing at all, on the TLS port.
    RawClient plain{address};
    plain.send(get("/healthz"));
    CHECK_FALSE(plain.receive().starts_with("HTTP/1.1 200"));
    { const RawClient gone{address}; }
}

TEST_CASE("metrics are in the text format of Prometheus") {
    const RunningServer running;
    const std::string& address = running.web->addresses().http.front();
    ask(address, get("/nothing"));
    const Answer answer = ask(address, get("/metrics"));
    REQUIRE(answer.status == 200);
    CHECK(answer.field("Content-Type") == "text/plain; version=0.0.4; charset=utf-8");
    for (const char* line : {"tern_sessions{worker=\"0\"} 0\n", "tern_connections{worker=\"1\"} 0\n", "tern_storage_healthy 1\n", "tern_stanzas_received_total{kind=\"message\"} 0\n", "tern_queue_depth{queue=\"http mailbox\"}",
                             "tern_queue_depth{queue=\"worker 1 probes\"} 0\n", "tern_registrations_total 0\n", "tern_pins_total 0\n", "tern_sms_total{result=\"failed\"} 0\n",
                             "tern_http_responses_total{status=\"404\"} 1\n", "# TYPE tern_queue_depth gauge\n", "tern_queue_oldest_seconds{queue=\""}) {
        INFO(line);
        CHECK(answer.body.find(line) != std::string::npos);
    }
    static const std::regex shape{R"((# (HELP|TYPE) [a-z_:]+ .+|[a-z_:]+(\{[a-z_]+="[^"\n]*"\})? [0-9.e+-]+))"};
    std::istringstream lines{answer.body};
    for (std::string line; std::getline(lines, line);) {
        INFO(line);
        CHECK(std::regex_match(line, shape));
    }
}

TEST_CASE("metrics are for who may have them, and for others there are none") {
    const std::string by_proxy = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: ";
    {
        const RunningServer running{[](server::Config& config) { config.http.trusted_proxies = {"127.0.0.1"}; }};
        const std::string& address = running.web->addresses().http.front();
        CHECK(ask(address, get("/metrics")).status == 200);
        for (const char* near : {"10.1.2.3", "172.31.0.1", "192.168.1.1", "fd00::1", "::1"}) CHECK(ask(address, by_proxy + near + "\r\n\r\n").status == 200);
        for (const char* far : {"203.0.113.9", "172.32.0.1", "2001:db8::1"}) {
            INFO(far);
            const Answer refused = ask(address, by_proxy + far + "\r\n\r\n");
            CHECK(refused.status == 404);
            CHECK(refused.content() == ask(address, get("/nothing")).content());
        }
    }
    const RunningServer elsewhere{[](server::Config& config) { config.http.metrics_from = {"192.0.2.0/24"}; }};
    CHECK(ask(elsewhere.web->addresses().http.front(), get("/metrics")).status == 404);
    CHECK(ask(elsewhere.web->addresses().http.front(), get("/healthz")).status == 200);
}

TEST_CASE("one client may not hold all HTTP connections") {
    const RunningServer running{[](server::Config& config) { config.limits.logins_per_address = 3; }};
    const std::string& address = running.web->addresses().http.front();
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(std::make_unique<RawClient>(address));
        clients.back()->send(get("/healthz"));
        CHECK(parsed(clients.back()->receive()).status == 200);
    }
    RawClient fourth{address};
    CHECK(fourth.is_closed());
}

TEST_CASE("stopping closes connections that wait for a request") {
    std::unique_ptr<RawClient> client;
    {
        const RunningServer running;
        client = std::make_unique<RawClient>(running.web->addresses().http.front());
        client->send(get("/healthz"));
        CHECK(parsed(client->receive()).status == 200);
    }
    CHECK(client->is_closed());
}
