// SPDX-License-Identifier: MIT
// What is offered on which channel, and PLAIN (RFC 4616), attack row 20 among it.
#include <catch2/catch.hpp>

#include "scram_client.h"

using namespace auth;
using namespace auth_test;
using namespace std::string_literals;
using C = SaslCondition;

namespace {

const Channel tls{true, "", ""};

// Answers what the exchange asks, as the server does.
Step play(Exchange& exchange, std::string_view data, const Credentials& credentials) {
    Step step = exchange.receive(data);
    if (!std::holds_alternative<Lookup>(step)) return step;
    const auto hash = expect<HashPassword>(exchange.credentials(credentials));
    return exchange.verifiers(derive_verifiers(hash.password, hash.salt, hash.iterations));
}

}  // namespace

TEST_CASE("mechanisms are offered strongest first, -PLUS with binding data only, PLAIN on TLS only") {
    using Names = std::vector<std::string>;
    const Names bare{"SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"};
    const Names plus{"SCRAM-SHA-512-PLUS",
                     "SCRAM-SHA-256-PLUS",
                     "SCRAM-SHA-1-PLUS",
                     "SCRAM-SHA-512",
                     "SCRAM-SHA-256",
                     "SCRAM-SHA-1",
                     "PLAIN"};
    Names with_plain = bare;
    with_plain.push_back("PLAIN");
    CHECK(offered_mechanisms(Channel{}, false) == bare);
    CHECK(offered_mechanisms(Channel{}, true) == with_plain);
    CHECK(offered_mechanisms(tls, false) == with_plain);
    CHECK(offered_mechanisms(Channel{true, "x", ""}, false) == plus);
    CHECK(offered_mechanisms(Channel{true, "", "y"}, false) == plus);
    CHECK(binding_types(Channel{true, "x", "y"}) == Names{"tls-exporter", "tls-server-end-point"});
    CHECK(binding_types(Channel{true, "", "y"}) == Names{"tls-server-end-point"});
    CHECK(binding_types(tls).empty());
}

TEST_CASE("everything offered can be begun, and PLAIN only where it is offered") {
    const Channel bound{true, "x", "y"};
    for (const std::string& name : offered_mechanisms(bound, false))
        CHECK(begin_exchange(name, bound, "localhost", false) != nullptr);
    CHECK(begin_exchange("PLAIN", Channel{}, "localhost", false) == nullptr);
    CHECK(begin_exchange("PLAIN", Channel{}, "localhost", true) != nullptr);
    CHECK(begin_exchange("plain", tls, "localhost", false) == nullptr);
}

TEST_CASE("conditions are spelled as in RFC 6120 §6.5") {
    CHECK(to_string(C::aborted) == "aborted");
    CHECK(to_string(C::account_disabled) == "account-disabled");
    CHECK(to_string(C::credentials_expired) == "credentials-expired");
    CHECK(to_string(C::encryption_required) == "encryption-required");
    CHECK(to_string(C::incorrect_encoding) == "incorrect-encoding");
    CHECK(to_string(C::invalid_authzid) == "invalid-authzid");
    CHECK(to_string(C::invalid_mechanism) == "invalid-mechanism");
    CHECK(to_string(C::malformed_request) == "malformed-request");
    CHECK(to_string(C::mechanism_too_weak) == "mechanism-too-weak");
    CHECK(to_string(C::not_authorized) == "not-authorized");
    CHECK(to_string(C::temporary_auth_failure) == "temporary-auth-failure");
}

TEST_CASE("PLAIN finds the device by its key") {
    const auto credentials = credentials_of({"first key", "second key", "third key"}, "0123456789abcdef", 10);
    for (const auto& [password, device] : std::vector<std::pair<std::string, std::string>>{
             {"first key", "device-0"}, {"second key", "device-1"}, {"third key", "device-2"}}) {
        const auto exchange = begin_exchange("PLAIN", tls, "localhost", false);
        const auto success = expect<Success>(play(*exchange, "\0Romeo\0"s + password, credentials));
        CHECK(success.device == device);
        CHECK(success.username == "romeo");
        CHECK(success.data.empty());
    }
}

TEST_CASE("attack rows 20 and 23: PLAIN takes nothing but two NULs, own authzids and right passwords") {
    struct Row {
        std::string message;
        C condition;
    };
    const std::vector<Row> rows{
        {"romeo", C::malformed_request},
        {"romeo\0secret"s, C::malformed_request},
        {"\0romeo\0secret\0"s, C::malformed_request},
        {"\0\0romeo\0secret"s, C::malformed_request},
        {std::string(18, '\0'), C::malformed_request},
        {"\0\0"s, C::malformed_request},
        {"\0\0secret"s, C::malformed_request},
        {"\0romeo\0"s, C::malformed_request},
        {"romeo@localhost\0\0"s, C::malformed_request},
        {"\0romeo\0"s + std::string(100000, 'a'), C::malformed_request},
        {"\0romeo\0wrong"s, C::not_authorized},
        {"\0ro meo\0secret"s, C::not_authorized},
        {"\0romeo@localhost\0secret"s, C::not_authorized},
        {"\0\xff\xff\0secret"s, C::not_authorized},
        {"\0romeo\0\xff\xfe"s, C::not_authorized},
        {"\0romeo\0sec\x07ret"s, C::not_authorized},
        {"juliet@localhost\0romeo\0secret"s, C::invalid_authzid},
        {"juliet\0romeo\0secret"s, C::invalid_authzid},
        {"romeo\0romeo\0secret"s, C::invalid_authzid},
        {"admin@localhost\0romeo\0wrong"s, C::invalid_authzid},
        {"romeo@elsewhere\0romeo\0secret"s, C::invalid_authzid},
        {"romeo@localhost/orchard\0romeo\0secret"s, C::invalid_authzid},
        {"\xff\0romeo\0secret"s, C::invalid_authzid},
    };
    const auto credentials = credentials_of({"secret"}, "0123456789abcdef", 10);
    for (const Row& row : rows) {
        CAPTURE(xmpp::hex(row.message.substr(0, 60)));
        const auto exchange = begin_exchange("PLAIN", tls, "localhost", false);
        CHECK(expect<Refused>(play(*exchange, row.message, credentials)).condition == row.condition);
    }
    for (const std::string& message :
         {"\0romeo\0secret"s, "romeo@localhost\0romeo\0secret"s, "Romeo@LOCALHOST\0ROMEO\0secret"s}) {
        const auto exchange = begin_exchange("PLAIN", tls, "localhost", false);
        CHECK(expect<Success>(play(*exchange, message, credentials)).username == "romeo");
    }
}

TEST_CASE("PLAIN is satisfied by a verifier of any hash, and says when another is of another password") {
    auto credentials = credentials_of({"secret"}, "0123456789abcdef", 10);
    const auto wrong = derive_verifiers("wrong", "0123456789abcdef", 10);
    credentials.keys.front().verifiers[1] = wrong[1];
    const auto log_in = [&](const std::string& password) {
        const auto exchange = begin_exchange("PLAIN", tls, "localhost", false);
        return play(*exchange, "\0romeo\0"s + password, credentials);
    };
    CHECK(expect<Success>(log_in("secret")).is_contradicted);
    CHECK(expect<Success>(log_in("wrong")).is_contradicted);   // as SCRAM-SHA-256 would have it
    CHECK(expect<Refused>(log_in("else")).condition == C::not_authorized);
    credentials.keys.front().verifiers[1] = {};                // imported without it
    CHECK_FALSE(expect<Success>(log_in("secret")).is_contradicted);
    CHECK(expect<Refused>(log_in("wrong")).condition == C::not_authorized);
    credentials.keys.front().verifiers = {};
    CHECK(expect<Refused>(log_in("secret")).condition == C::not_authorized);
}

TEST_CASE("attack row 27: PLAIN treats an unknown user as one with a wrong password") {
    const auto known = begin_exchange("PLAIN", tls, "localhost", false);
    const auto unknown = begin_exchange("PLAIN", tls, "localhost", false);
    const auto a =
        expect<Refused>(play(*known, "\0romeo\0wrong"s, credentials_of({"secret"}, "0123456789abcdef", 10)));
    // The hash is asked for all the same: play() expects HashPassword.
    const auto b =
        expect<Refused>(play(*unknown, "\0romeo\0wrong"s, fake_credentials("server secret", "romeo", 10)));
    CHECK(a.condition == b.condition);
    CHECK(a.text == b.text);
}

TEST_CASE(
    "PLAIN without an initial response is asked for it once, a disabled account says so to its owner alone") {
    auto credentials = credentials_of({"secret"}, "0123456789abcdef", 10);
    const auto exchange = begin_exchange("PLAIN", tls, "localhost", false);
    CHECK(expect<Challenge>(exchange->receive("")).data.empty());
    CHECK(expect<Success>(play(*exchange, "\0romeo\0secret"s, credentials)).device == "device-0");
    CHECK(expect<Refused>(exchange->receive("\0romeo\0secret"s)).condition == C::malformed_request);

    const auto stubborn = begin_exchange("PLAIN", tls, "localhost", false);
    expect<Challenge>(stubborn->receive(""));
    CHECK(expect<Refused>(stubborn->receive("")).condition == C::malformed_request);

    credentials.disabled = true;
    const auto right = begin_exchange("PLAIN", tls, "localhost", false);
    CHECK(expect<Refused>(play(*right, "\0romeo\0secret"s, credentials)).condition == C::account_disabled);
    const auto wrong = begin_exchange("PLAIN", tls, "localhost", false);
    CHECK(expect<Refused>(play(*wrong, "\0romeo\0guess"s, credentials)).condition == C::not_authorized);
}

TEST_CASE("passwords are prepared by OpaqueString before they are hashed") {
    // U+00C5 and A with U+030A are the same password; U+00A0 counts as a space (RFC 8265 §4.2.2).
    const auto composed = derive_verifiers("\xc3\x85 b", "salt", 5);
    CHECK(composed[0].stored_key == derive_verifiers("A\xcc\x8a b", "salt", 5)[0].stored_key);
    CHECK(composed[1].stored_key == derive_verifiers("\xc3\x85\xc2\xa0"
                                                     "b",
                                                     "salt", 5)[1]
                                        .stored_key);
    CHECK(composed[2].stored_key != derive_verifiers("\xc3\xa5 b", "salt", 5)[2].stored_key);
}
