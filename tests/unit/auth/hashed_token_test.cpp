// SPDX-License-Identifier: MIT
// HT-SHA-256-…: what proves a token, and what does not.
#include <catch2/catch.hpp>

#include "auth/crypto.h"
#include "auth/sasl.h"

using namespace auth;

namespace {

Channel tls(std::string exporter = "E", std::string end_point = "P") {
    Channel channel;
    channel.encrypted = true;
    channel.tls_exporter = std::move(exporter);
    channel.tls_server_end_point = std::move(end_point);
    return channel;
}

std::string message(const std::string& user, const std::string& token, const std::string& binding) {
    return user + '\0' + hmac(storage::Hash::sha256, token, "Initiator" + binding);
}

Credentials with_tokens() {
    Credentials found;
    found.tokens.push_back({"tablet", "HT-SHA-256-NONE", "none", false});
    found.tokens.push_back({"phone", "HT-SHA-256-EXPR", "secret", false});
    found.tokens.push_back({"phone", "HT-SHA-256-EXPR", "old", true});
    return found;
}

// The condition, or "success DEVICE".
std::string outcome(const std::string& mechanism, const Channel& channel, const std::string& data, Credentials found = with_tokens()) {
    const auto exchange = begin_token_exchange(mechanism, channel);
    if (!exchange) return "no such mechanism";
    Step step = exchange->receive(data);
    if (std::holds_alternative<Lookup>(step)) step = exchange->credentials(std::move(found));
    if (const auto* success = std::get_if<Success>(&step)) return "success " + success->device + " " + success->token->secret;
    if (const auto* refused = std::get_if<Refused>(&step)) return std::string{to_string(refused->condition)};
    return "challenge";
}

}  // namespace

TEST_CASE("mechanisms for tokens are those that the channel can bind to") {
    using Names = std::vector<std::string>;
    CHECK(token_mechanisms(tls()) == Names{"HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"});
    CHECK(token_mechanisms(tls("")) == Names{"HT-SHA-256-ENDP", "HT-SHA-256-NONE"});
    CHECK(token_mechanisms(tls("", "")) == Names{"HT-SHA-256-NONE"});
    CHECK(token_mechanisms(Channel{}).empty());
    CHECK(begin_token_exchange("HT-SHA-256-NONE", Channel{}) == nullptr);
    CHECK(begin_token_exchange("HT-SHA-256-EXPR", tls("")) == nullptr);
    CHECK(begin_token_exchange("SCRAM-SHA-256", tls()) == nullptr);
}

TEST_CASE("a token proves its device, with its own mechanism and binding alone") {
    const std::string mechanism = "HT-SHA-256-EXPR";
    CHECK(outcome(mechanism, tls(), message("romeo", "secret", "E")) == "success phone secret");
    CHECK(outcome("HT-SHA-256-NONE", tls(), message("romeo", "none", "")) == "success tablet none");
    CHECK(outcome(mechanism, tls(), message("romeo", "secret", "X")) == "not-authorized");
    CHECK(outcome(mechanism, tls("other"), message("romeo", "secret", "E")) == "not-authorized");
    CHECK(outcome(mechanism, tls(), message("romeo", "wrong", "E")) == "not-authorized");
    CHECK(outcome("HT-SHA-256-NONE", tls(), message("romeo", "secret", "")) == "not-authorized");   // XEP-0484 §3.4
    CHECK(outcome("HT-SHA-256-ENDP", tls(), message("romeo", "secret", "P")) == "not-authorized");
    CHECK(outcome(mechanism, tls(), message("romeo", "old", "E")) == "credentials-expired");
    CHECK(outcome(mechanism, tls(), message("romeo", "secret", "E"), Credentials{}) == "not-authorized");
    Credentials disabled = with_tokens();
    disabled.disabled = true;
    CHECK(outcome(mechanism, tls(), message("romeo", "secret", "E"), disabled) == "account-disabled");
    CHECK(outcome(mechanism, tls(), message("romeo", "wrong", "E"), disabled) == "not-authorized");
}

TEST_CASE("the server proves that it knows the token, too") {
    const auto exchange = begin_token_exchange("HT-SHA-256-EXPR", tls());
    CHECK(std::holds_alternative<Challenge>(exchange->receive("")));   // RFC 6120 §6.4.2
    const Step lookup = exchange->receive(message("Romeo", "secret", "E"));
    REQUIRE(std::holds_alternative<Lookup>(lookup));
    CHECK(std::get<Lookup>(lookup).username == "romeo");
    const Step done = exchange->credentials(with_tokens());
    REQUIRE(std::holds_alternative<Success>(done));
    CHECK(std::get<Success>(done).data == hmac(storage::Hash::sha256, "secret", "ResponderE"));
}

TEST_CASE("what is no message of the mechanism is malformed") {
    const std::string right = message("romeo", "secret", "E");
    for (const std::string& data : {std::string{"romeo"}, right.substr(0, right.size() - 1), right + "x", std::string(5000, 'x')})
        CHECK(outcome("HT-SHA-256-EXPR", tls(), data) == "malformed-request");
    CHECK(outcome("HT-SHA-256-EXPR", tls(), message("", "secret", "E")) == "not-authorized");
    CHECK(outcome("HT-SHA-256-EXPR", tls(), message("ro meo", "secret", "E")) == "not-authorized");
    const auto exchange = begin_token_exchange("HT-SHA-256-EXPR", tls());
    exchange->receive(right);
    const Step again = exchange->receive(right);
    REQUIRE(std::holds_alternative<Refused>(again));
}
