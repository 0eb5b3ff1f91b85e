// SPDX-License-Identifier: MIT
// Forged, malformed and downgraded SCRAM messages (attack rows 21 and 23): each is refused with the right
// condition, and nothing that can be sent makes the server stumble.
#include <catch2/catch.hpp>

#include <functional>
#include <random>

#include "auth/scram.h"
#include "scram_client.h"

using namespace auth;
using namespace auth_test;
using storage::Hash;

namespace {

constexpr std::string_view domain = "montague.lit";
using C = SaslCondition;

const Channel bound{true, "exporter", "end point"};
const Channel unbound{true, "", ""};

Credentials romeo() {
    static const Credentials credentials = credentials_of({"secret"}, "0123456789abcdef", 10);
    return credentials;
}

}  // namespace

TEST_CASE("attack row 21: the gs2 flag is checked against the mechanism and what was offered") {
    struct Row {
        std::string mechanism, first;
        Channel channel;
        C condition;
    };
    const std::vector<Row> rows{
        // RFC 5802 §6: 'y' where the server supports channel binding: the offer was cut out on the way.
        {"SCRAM-SHA-1", "y,,n=romeo,r=abc", bound, C::not_authorized},
        {"SCRAM-SHA-256", "y,,n=romeo,r=abc", Channel{true, "", "end point"}, C::not_authorized},
        {"SCRAM-SHA-1-PLUS", "n,,n=romeo,r=abc", bound, C::malformed_request},
        {"SCRAM-SHA-1-PLUS", "y,,n=romeo,r=abc", bound, C::malformed_request},
        {"SCRAM-SHA-1", "p=tls-exporter,,n=romeo,r=abc", bound, C::malformed_request},
        {"SCRAM-SHA-1-PLUS", "p=tls-unique,,n=romeo,r=abc", bound, C::not_authorized},
        {"SCRAM-SHA-1-PLUS", "p=TLS-EXPORTER,,n=romeo,r=abc", bound, C::not_authorized},
        {"SCRAM-SHA-1-PLUS", "p=tls-exporter,,n=romeo,r=abc", Channel{true, "", "end point"},
         C::not_authorized},
        {"SCRAM-SHA-1-PLUS", "p=,,n=romeo,r=abc", bound, C::malformed_request},
    };
    for (const Row& row : rows) {
        CAPTURE(row.mechanism, row.first);
        const auto exchange = begin_exchange(row.mechanism, row.channel, domain, false);
        REQUIRE(exchange);
        CHECK(expect<Refused>(exchange->receive(row.first)).condition == row.condition);
    }
    const auto exchange = begin_exchange("SCRAM-SHA-1", unbound, domain, false);
    CHECK_NOTHROW(expect<Lookup>(exchange->receive("y,,n=romeo,r=abc")));
}

TEST_CASE("no -PLUS exists without binding data, nor do unknown mechanisms") {
    for (const std::string name : {"SCRAM-SHA-1-PLUS", "SCRAM-SHA-512-PLUS", "SCRAM-MD5", "scram-sha-1", "",
                                   "EXTERNAL", "ANONYMOUS", "SCRAM-SHA-1-PLUS-PLUS", "SCRAM-SHA-1 "}) {
        CAPTURE(name);
        CHECK(begin_exchange(name, unbound, domain, true) == nullptr);
    }
}

TEST_CASE("a malformed client-first-message is a malformed request") {
    // clang-format off
    const std::vector<std::string> messages{
        ",", ",,", ",,,", "n", "n,", "n,,", "n,,n=romeo", "n,,r=abc", "n,,r=abc,n=romeo",
        "n,n=romeo,r=abc", "x,,n=romeo,r=abc", "nn,,n=romeo,r=abc", "N,,n=romeo,r=abc",
        "F,n,,n=romeo,r=abc", "n,a=,n=romeo,r=abc", "n,b=x,n=romeo,r=abc", "n,a,n=romeo,r=abc",
        "n,,n=,r=abc", "n,,n=romeo,r=", "n,,n=rom=eo,r=abc", "n,,n=rom=2c,r=abc", "n,,n=rom=3d,r=abc",
        "n,,n=rom=,r=abc", "n,,n=rom=2,r=abc", "n,a=x=,n=romeo,r=abc", "n,,n=romeo,r=a\tb",
        "n,,n=romeo,r=a b", "n,,n=romeo,r=\xc3\xbc", "n,,m=x,n=romeo,r=abc", "n,,n=romeo,r=abc,m=x",
        "n,,n=romeo,r=abc,", "n,,n=romeo,r=abc,x", "n,,n=romeo,r=abc,x=", "n,,n=romeo,r=abc,1=x",
        "n,,n=romeo,r=abc,r=def", "n,,n=romeo,r=abc,n=juliet", "n,,n=romeo,r=abc,a=juliet@montague.lit",
        "p,,n=romeo,r=abc", "=", "n,,,n=romeo,r=abc", std::string("n,,n=ro\0meo,r=abc", 17),
        std::string(1, '\0'), std::string("n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 19),
        std::string(100000, ','), "n,,n=romeo,r=" + std::string(100000, 'a'), "\xff\xfe",
        "n,,n=romeo, r=abc", "{\"n\": 1}", "<auth/>"};
    // clang-format on
    for (const std::string& message : messages) {
        CAPTURE(message.substr(0, 80));
        const auto exchange = begin_exchange("SCRAM-SHA-1", unbound, domain, false);
        CHECK(expect<Refused>(exchange->receive(message)).condition == C::malformed_request);
        // and that was it
        CHECK(expect<Refused>(exchange->receive("n,,n=romeo,r=abc")).condition == C::malformed_request);
    }
}

TEST_CASE("a name that can be nobody's is refused like a wrong password") {
    for (const std::string name : {"ro meo", "romeo@montague.lit", "ro/meo", "ro\"meo", "\xff",
                                   "\xed\xa0\x80", "\xc0\xaf", "ro<meo"}) {
        CAPTURE(name);
        const auto exchange = begin_exchange("SCRAM-SHA-1", unbound, domain, false);
        CHECK(expect<Refused>(exchange->receive("n,,n=" + name + ",r=abc")).condition == C::not_authorized);
    }
    const auto exchange = begin_exchange("SCRAM-SHA-1", unbound, domain, false);
    CHECK(expect<Refused>(exchange->receive("n,,n=" + std::string(2000, 'a') + ",r=abc")).condition ==
          C::not_authorized);
}

TEST_CASE("unknown optional extensions are ignored") {
    const auto exchange = begin_exchange("SCRAM-SHA-1", unbound, domain, false);
    CHECK_NOTHROW(expect<Lookup>(exchange->receive("n,,n=romeo,r=abc,x=y,Z=a=b")));
}

TEST_CASE("attack row 21: forged client-final-messages are refused") {
    struct Row {
        const char* name;
        std::function<std::string(ScramClient&, const std::string&)> forge;  // from server-first-message
        C condition;
    };
    const auto signed_as = [](ScramClient& client, const std::string& challenge,
                              const std::string& without_proof) {
        return client.final_message(challenge, without_proof);
    };
    const auto proof_of = [](ScramClient& client, const std::string& challenge) {
        client.final_message(challenge);
        return client.proof;
    };
    const std::vector<Row> rows{
        {"nonce of the client alone",
         [&](auto& c, auto& s) { return signed_as(c, s, "c=biws,r=" + c.nonce); }, C::not_authorized},
        {"nonce with more", [&](auto& c, auto& s) { return signed_as(c, s, c.without_proof(s) + "x"); },
         C::not_authorized},
        {"another nonce", [&](auto& c, auto& s) { return signed_as(c, s, "c=biws,r=abc"); },
         C::not_authorized},
        {"no nonce", [&](auto& c, auto& s) { return signed_as(c, s, "c=biws"); }, C::malformed_request},
        {"gs2 header said y",
         [&](auto& c, auto& s) {
             return signed_as(c, s, "c=" + xmpp::base64("y,,") + ",r=" + c.field(s, 'r'));
         },
         C::not_authorized},
        {"gs2 header with an authzid",
         [&](auto& c, auto& s) {
             return signed_as(c, s, "c=" + xmpp::base64("n,a=romeo@montague.lit,") + ",r=" + c.field(s, 'r'));
         },
         C::not_authorized},
        {"binding data unasked",
         [&](auto& c, auto& s) {
             return signed_as(c, s, "c=" + xmpp::base64("n,,x") + ",r=" + c.field(s, 'r'));
         },
         C::not_authorized},
        {"c= is no base 64", [&](auto& c, auto& s) { return signed_as(c, s, "c=b!ws,r=" + c.field(s, 'r')); },
         C::malformed_request},
        {"c= without padding",
         [&](auto& c, auto& s) { return signed_as(c, s, "c=biwsQ,r=" + c.field(s, 'r')); },
         C::malformed_request},
        {"c= empty", [&](auto& c, auto& s) { return signed_as(c, s, "c=,r=" + c.field(s, 'r')); },
         C::malformed_request},
        {"mandatory extension",
         [&](auto& c, auto& s) { return signed_as(c, s, c.without_proof(s) + ",m=x"); },
         C::malformed_request},
        {"two nonces",
         [&](auto& c, auto& s) { return signed_as(c, s, c.without_proof(s) + ",r=" + c.field(s, 'r')); },
         C::malformed_request},
        {"order turned round",
         [&](auto& c, auto& s) { return signed_as(c, s, "r=" + c.field(s, 'r') + ",c=biws"); },
         C::malformed_request},
        {"no proof", [&](auto& c, auto& s) { return c.without_proof(s); }, C::malformed_request},
        {"empty proof", [&](auto& c, auto& s) { return c.without_proof(s) + ",p="; }, C::malformed_request},
        {"proof cut short",
         [&](auto& c, auto& s) {
             return c.without_proof(s) + ",p=" + xmpp::base64(proof_of(c, s).substr(1));
         },
         C::malformed_request},
        {"proof too long",
         [&](auto& c, auto& s) { return c.without_proof(s) + ",p=" + xmpp::base64(proof_of(c, s) + "x"); },
         C::malformed_request},
        {"proof with one bit wrong",
         [&](auto& c, auto& s) {
             std::string proof = proof_of(c, s);
             proof.back() = static_cast<char>(proof.back() ^ 1);
             return c.without_proof(s) + ",p=" + xmpp::base64(proof);
         },
         C::not_authorized},
        {"proof of zeros",
         [&](auto& c, auto& s) { return c.without_proof(s) + ",p=" + xmpp::base64(std::string(20, '\0')); },
         C::not_authorized},
        {"something behind the proof", [&](auto& c, auto& s) { return c.final_message(s) + ",x=y"; },
         C::malformed_request},
        {"NUL inside", [&](auto& c, auto& s) { return c.final_message(s) + std::string(1, '\0'); },
         C::malformed_request},
        {"huge",
         [&](auto& c, auto& s) {
             return signed_as(c, s, c.without_proof(s) + ",x=" + std::string(100000, 'y'));
         },
         C::malformed_request},
        {"nothing", [&](auto&, auto&) { return std::string{}; }, C::malformed_request},
        {"the first message again", [&](auto& c, auto&) { return c.first(); }, C::malformed_request},
    };
    for (const Row& row : rows) {
        CAPTURE(row.name);
        const auto exchange = begin_exchange("SCRAM-SHA-1", unbound, domain, false);
        ScramClient client{Hash::sha1, "romeo", "secret"};
        expect<Lookup>(exchange->receive(client.first()));
        const auto challenge = expect<Challenge>(exchange->credentials(romeo())).data;
        CHECK(expect<Refused>(exchange->receive(row.forge(client, challenge))).condition == row.condition);
        // A second guess on the same exchange is not looked at.
        CHECK(expect<Refused>(exchange->receive(client.final_message(challenge))).condition ==
              C::malformed_request);
    }
}

TEST_CASE("attack row 21: a proof bound to another channel is refused") {
    const auto exchange = begin_exchange("SCRAM-SHA-256-PLUS", bound, domain, false);
    ScramClient client{Hash::sha256, "romeo", "secret"};
    client.gs2 = "p=tls-exporter,,";
    client.binding_data = "exporter of the man in the middle";
    expect<Lookup>(exchange->receive(client.first()));
    const auto challenge = expect<Challenge>(exchange->credentials(romeo())).data;
    CHECK(expect<Refused>(exchange->receive(client.final_message(challenge))).condition == C::not_authorized);

    const auto other = begin_exchange("SCRAM-SHA-256-PLUS", bound, domain, false);
    client.binding_data = bound.tls_server_end_point;  // the data of another type than was named
    expect<Lookup>(other->receive(client.first()));
    const auto second = expect<Challenge>(other->credentials(romeo())).data;
    CHECK(expect<Refused>(other->receive(client.final_message(second))).condition == C::not_authorized);
}

TEST_CASE("a recorded exchange cannot be played again") {
    ScramClient client{Hash::sha1, "romeo", "secret"};
    const auto exchange = begin_exchange("SCRAM-SHA-1", unbound, domain, false);
    expect<Lookup>(exchange->receive(client.first()));
    const auto challenge = expect<Challenge>(exchange->credentials(romeo())).data;
    const std::string recorded = client.final_message(challenge);
    expect<Success>(exchange->receive(recorded));
    CHECK(expect<Refused>(exchange->receive(recorded)).condition == C::malformed_request);

    const auto again = begin_exchange("SCRAM-SHA-1", unbound, domain, false);
    expect<Lookup>(again->receive(client.first()));
    expect<Challenge>(again->credentials(romeo()));
    CHECK(expect<Refused>(again->receive(recorded)).condition == C::not_authorized);
}

TEST_CASE("attack row 23: random and mutated messages are refused, and nothing worse happens") {
    const auto seed = std::random_device{}();
    std::mt19937 random{seed};
    CAPTURE(seed);
    const std::string alphabet("n,=apyrcmx\0\xff\xc3 2CD3", 18);
    for (int round = 0; round < 5000; ++round) {
        ScramClient client{Hash::sha1, "romeo", "secret"};
        const auto exchange = begin_exchange("SCRAM-SHA-1", unbound, domain, false);
        const bool second = random() % 2 == 0;
        std::string message = client.first();
        if (second) {
            expect<Lookup>(exchange->receive(message));
            message = client.final_message(expect<Challenge>(exchange->credentials(romeo())).data);
        }
        const std::string original = message;
        for (auto edits = 1 + random() % 4; edits > 0; --edits) {
            const std::size_t at = random() % (message.size() + 1);
            const char c = alphabet[random() % alphabet.size()];
            if (random() % 2 == 0)
                message.insert(at, 1, c);
            else if (at < message.size())
                message[at] = c;
        }
        const Step step = exchange->receive(message);
        // A change of the second message that was accepted would be a change that the proof does not cover.
        if (second && message != original) REQUIRE(std::holds_alternative<Refused>(step));
        if (!second) REQUIRE_FALSE(std::holds_alternative<Success>(step));
    }
}
