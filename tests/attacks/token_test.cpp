// SPDX-License-Identifier: MIT
// Tokens (XEP-0484) in wrong hands, and logins in the middle of a flood.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "auth/crypto.h"
#include "tests/attacks/attacked.h"
#include "xmpp/base64.h"

using namespace tests;

namespace {

constexpr const char* user_agent = "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>";
constexpr const char* bind2 = "<bind xmlns='urn:xmpp:bind:0'><tag>phone</tag></bind>";

std::string authenticate(const std::string& mechanism, const std::string& data, const std::string& more) {
    return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + mechanism + "'><initial-response>" + xmpp::base64(data) + "</initial-response>" + user_agent + more + "</authenticate>";
}

std::string plain(const std::string& more) { return authenticate("PLAIN", std::string{'\0'} + "romeo" + '\0' + LiveServer::password, more); }

std::string with_token(const std::string& token) {
    return authenticate("HT-SHA-256-NONE", std::string{"romeo"} + '\0' + auth::hmac(storage::Hash::sha256, token, "Initiator"), "<fast xmlns='urn:xmpp:fast:0'/>");
}

// What was answered.
Node outcome(WireClient& client, const std::string& sent) {
    client.send(sent);
    return client.element();
}

Node log_in(const LiveServer& server, const std::string& sent) {
    WireClient client{*server};
    client.open_stream();
    return outcome(client, sent);
}

std::string token_of(const LiveServer& server) {
    const Node success = log_in(server, plain("<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"));
    const Node* const token = success.child("token", "urn:xmpp:fast:0");
    REQUIRE(token != nullptr);
    return token->attr_or_empty("token");
}

std::string everything_in_the_database(const LiveServer& server) {
    std::ostringstream all;
    for (const auto& file : std::filesystem::directory_iterator{server.data()})
        if (file.path().filename().string().find(".db") != std::string::npos) all << std::ifstream{file.path(), std::ios::binary}.rdbuf();
    return all.str();
}

// One message again and again, until that is enough.
class Flood {
public:
    Flood(WireClient& sender, const std::string& message)
        : thread_{[&sender, this, many = repeated(message, 20)] {
              try {
                  while (!is_over_ && sender.send(many)) sender.ask("get", "<vCard xmlns='vcard-temp'/>", "romeo@localhost");   // when those have arrived
              } catch (const std::exception& error) {
                  problem_ = error.what();
              }
          }} {}
    ~Flood() { stop(); }
    void stop() {
        is_over_ = true;
        if (thread_.joinable()) thread_.join();
        INFO(problem_);
        CHECK(problem_.empty());
    }

private:
    std::atomic<bool> is_over_{false};
    std::string problem_;
    std::thread thread_;
};

}  // namespace

TEST_CASE("a stolen database lets nobody in: no token is in it, nor what makes one") {
    LiveServer server{TERN_BINARY};
    const std::string token = token_of(server);
    REQUIRE(log_in(server, with_token(token)).name == "success");
    server.kill_and_start_again();
    CHECK(log_in(server, with_token(token)).name == "success");   // it survives a restart

    const std::string database = everything_in_the_database(server);
    REQUIRE(database.find("romeo@localhost") != std::string::npos);
    CHECK(database.find(token) == std::string::npos);
    std::ostringstream key;
    key << std::ifstream{server.data() + "/tokens.key", std::ios::binary}.rdbuf();
    REQUIRE(key.str().size() == 32);
    CHECK(database.find(key.str()) == std::string::npos);
    CHECK(database.find(xmpp::base64(key.str())) == std::string::npos);

    // The same database beside another key: tokens are void, and users log in as before.
    std::filesystem::remove(server.data() + "/tokens.key");
    server.kill_and_start_again();
    CHECK(log_in(server, with_token(token)).name == "failure");
    const std::string fresh = token_of(server);
    CHECK(fresh != token);
    CHECK(log_in(server, with_token(fresh)).name == "success");
    CHECK(server.process().logged_errors() == std::vector<std::string>{});
}

TEST_CASE("in the middle of a flood, nothing stands before <success/>: messages come behind the features") {
    Attacked attacked;
    const Node first = log_in(attacked.server, plain(bind2));
    const Node* const address = first.child("authorization-identifier", "urn:xmpp:sasl:2");
    REQUIRE(address != nullptr);
    const std::string phone = trimmed(address->text);   // the same at each login (XEP-0386 §3.2.1)

    WireClient juliet = attacked.juliet();
    Flood flood{juliet, "<message to='" + phone + "' type='chat'><body>Now?</body></message>"};
    std::size_t met = 0;
    for (int time = 0; time < 60; ++time) {
        WireClient client = attacked.client();
        client.open_stream();
        const Node success = outcome(client, plain(bind2));
        CHECK(success.name == "success");
        CHECK(client.element().name == "features");
        if (client.next_message(std::chrono::milliseconds{200})) ++met;
    }
    flood.stop();
    CHECK(met > 0);
    attacked.check_unharmed({.cpu_seconds = 20, .megabytes = 200});   // what a flood costs is others' concern
}
