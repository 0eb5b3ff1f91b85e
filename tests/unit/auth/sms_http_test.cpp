// SPDX-License-Identifier: MIT
// The HTTP gateway against a real server on 127.0.0.1: what it sends, what it tries again, and how it ends.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <optional>

#include "auth/sms.h"
#include "http_server.h"

using namespace auth;
using namespace auth_test;
using namespace std::chrono_literals;

namespace {

const int no_proxy = setenv("no_proxy", "127.0.0.1", 1);  // whatever proxy the environment names

class Logged {
public:
    Log log() {
        return [this](std::string_view level, std::string_view text) {
            const std::lock_guard lock{mutex_};
            lines_.push_back(std::string{level} + ": " + std::string{text});
            came_.notify_all();
        };
    }
    std::vector<std::string> lines(std::size_t at_least = 0) {
        std::unique_lock lock{mutex_};
        came_.wait_for(lock, 10s, [&] { return lines_.size() >= at_least; });
        return lines_;
    }
    bool mentions(std::string_view text) {
        const auto all = lines();
        return std::any_of(all.begin(), all.end(),
                           [&](const std::string& line) { return line.find(text) != line.npos; });
    }

private:
    std::mutex mutex_;
    std::condition_variable came_;
    std::vector<std::string> lines_;
};

HttpGatewayRules rules_for(const HttpServer& server) {
    HttpGatewayRules rules;
    rules.url = server.url();
    rules.first_pause = 1ms;
    rules.per_second = 1000;
    return rules;
}

const Sms sms{"+4915112345678", "Your \"code\" is 12345."};

// Sends one and waits until the gateway is done with it.
std::vector<std::string> lines_of_one(HttpGatewayRules rules) {
    Logged logged;
    {
        const auto gateway = http_gateway(std::move(rules), logged.log());
        CHECK(gateway->send(sms));
    }
    CHECK_FALSE(logged.mentions("12345"));  // neither the PIN nor the number
    return logged.lines();
}

}  // namespace

TEST_CASE("an SMS is one POST with the admin's headers and the filled-in body") {
    HttpServer server;
    auto rules = rules_for(server);
    rules.headers = {{"Authorization", "Bearer secret"}, {"X-From", "Tern"}, {"X-Bad", "a\r\nX-Injected: b"}};
    const auto lines = lines_of_one(rules);
    const auto requests = server.requests(1);
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].line == "POST /send HTTP/1.1");
    CHECK(requests[0].body == R"({"to": "+4915112345678", "text": "Your \"code\" is 12345."})");
    CHECK(requests[0].headers.find("\r\nAuthorization: Bearer secret\r\n") != std::string::npos);
    CHECK(requests[0].headers.find("\r\nX-From: Tern\r\n") != std::string::npos);
    CHECK(requests[0].headers.find("\r\nContent-Type: application/json\r\n") != std::string::npos);
    CHECK(requests[0].headers.find("Injected") == std::string::npos);
    CHECK(requests[0].headers.find("Expect") == std::string::npos);
    REQUIRE(lines.size() == 1);  // the bad header
    CHECK(lines[0].starts_with("error: "));
}

TEST_CASE("forms and URLs are percent-encoded") {
    HttpServer server;
    auto rules = rules_for(server);
    rules.url = server.url("/send?to={to}");
    rules.content_type = "application/x-www-form-urlencoded";
    rules.body = "text={text}&from=Tern";
    CHECK(lines_of_one(rules).empty());
    const auto requests = server.requests(1);
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].line == "POST /send?to=%2B4915112345678 HTTP/1.1");
    CHECK(requests[0].body == "text=Your%20%22code%22%20is%2012345.&from=Tern");
}

TEST_CASE("what may pass is tried again, what is final is not") {
    struct Row {
        const char* name;
        std::vector<int> answers;
        std::size_t requests;
        bool sent;
    };
    const std::vector<Row> rows{
        {"accepted", {202}, 1, true},
        {"500 then 200", {500, 200}, 2, true},
        {"503 503 503 200", {503, 503, 503, 200}, 4, true},
        {"429 and 408 pass", {429, 408, 200}, 3, true},
        {"never well", {500, 500, 500, 500, 500}, 4, false},
        {"400 is final", {400, 200}, 1, false},
        {"401 is final", {401, 200}, 1, false},
        {"redirects are not followed", {302, 200}, 1, false},
        {"500 then 403", {500, 403, 200}, 2, false},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        HttpServer server{row.answers};
        const auto lines = lines_of_one(rules_for(server));
        CHECK(server.requests(row.requests).size() == row.requests);
        const auto errors = std::count_if(lines.begin(), lines.end(),
                                          [](const auto& line) { return line.starts_with("error"); });
        CHECK(errors == (row.sent ? 0 : 1));
        CHECK(lines.size() == row.requests - (row.sent ? 1 : 0));  // one line per attempt that failed
    }
}

TEST_CASE("a provider that says nothing is given up after the time-out and tried again") {
    HttpServer server{{0, 200}};
    auto rules = rules_for(server);
    rules.timeout = 300ms;
    rules.attempts = 10;  // on a busy machine the server may not even see the first
    Logged logged;
    const auto started = std::chrono::steady_clock::now();
    const auto gateway = http_gateway(rules, logged.log());
    CHECK(gateway->send(sms));
    const auto requests = server.requests(2);
    REQUIRE(requests.size() == 2);
    CHECK(requests[1].at - started >= 295ms);  // curl counts whole milliseconds
    CHECK_FALSE(logged.lines(1).empty());
}

TEST_CASE("nobody listening is tried again and reported in the end") {
    std::string url;
    {
        const HttpServer gone;
        url = gone.url();
    }
    HttpGatewayRules rules;
    rules.url = url;
    rules.first_pause = 1ms;
    rules.attempts = 3;
    CHECK(lines_of_one(rules).size() == 3);
    rules.url = "ftp://127.0.0.1/";  // no protocol but HTTP
    rules.attempts = 1;
    CHECK(lines_of_one(rules).size() == 1);
    rules.url = "https://127.0.0.1:1/";
    CHECK(lines_of_one(rules).size() == 1);
}

TEST_CASE("no more than per_second go out") {
    HttpServer server;
    auto rules = rules_for(server);
    rules.per_second = 20;
    Logged logged;
    const auto started = std::chrono::steady_clock::now();
    const auto gateway = http_gateway(rules, logged.log());
    for (int i = 0; i < 30; ++i) CHECK(gateway->send(sms));
    const auto requests = server.requests(30);
    REQUIRE(requests.size() == 30);
    CHECK(requests[29].at - started >= 500ms);  // 20 at once, 10 more in half a second
}

TEST_CASE("the queue is bounded and says how deep it is") {
    std::optional<HttpServer> server{std::in_place, std::vector<int>(10, 0)};
    auto rules = rules_for(*server);
    rules.waiting = 3;
    rules.attempts = 1;
    Logged logged;
    {
        const auto gateway = http_gateway(rules, logged.log());
        for (int i = 0; i < 3; ++i) CHECK(gateway->send(sms));
        CHECK_FALSE(gateway->send(sms));
        const auto depth = gateway->depth();
        CHECK(depth.name == "sms");
        CHECK(depth.depth == 3);
        CHECK(depth.high_water == 3);
        server.reset();  // hangs up, and nobody listens any more
    }
    CHECK_FALSE(logged.lines().empty());
    CHECK_FALSE(logged.mentions("12345"));
}

TEST_CASE("an SMS that waits for its next attempt holds up neither the others nor the end") {
    HttpServer server{{500, 200}};
    auto rules = rules_for(server);
    rules.first_pause = 60s;
    rules.timeout = 30s;
    Logged logged;
    const auto started = std::chrono::steady_clock::now();
    {
        const auto gateway = http_gateway(rules, logged.log());
        CHECK(gateway->send(sms));
        CHECK(logged.lines(1).size() == 1);
        CHECK(gateway->send(sms));
        CHECK(server.requests(2).size() == 2);
    }
    CHECK(std::chrono::steady_clock::now() - started < 20s);
    CHECK(logged.lines().back() == "error: SMS gateway stopped with 1 SMS not sent");
}

TEST_CASE("a provider's Retry-After is kept") {
    HttpServer server{{429, 200}, "Retry-After: 1\r\n"};
    Logged logged;
    const auto gateway = http_gateway(rules_for(server), logged.log());
    CHECK(gateway->send(sms));
    const auto requests = server.requests(2);
    REQUIRE(requests.size() == 2);
    CHECK(requests[1].at - requests[0].at >= 900ms);
}

TEST_CASE("the end does not wait longer than the time-out") {
    HttpServer server{std::vector<int>(10, 0)};
    auto rules = rules_for(server);
    rules.timeout = 300ms;
    rules.attempts = 10;
    Logged logged;
    const auto started = std::chrono::steady_clock::now();
    {
        const auto gateway = http_gateway(rules, logged.log());
        CHECK(gateway->send(sms));
        CHECK_FALSE(server.requests(1).empty());
    }
    CHECK(std::chrono::steady_clock::now() - started < 10s);
    // Whether the request's own time-out or the gateway's came first: one error says that it was not sent.
    const auto lines = logged.lines();
    CHECK(std::count_if(lines.begin(), lines.end(),
                        [](const std::string& line) { return line.starts_with("error"); }) == 1);
}
