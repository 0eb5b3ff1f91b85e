// SPDX-License-Identifier: MIT
// SCRAM (RFC 5802, RFC 7677, XEP-0474): the RFCs' examples, and a simulated client for everything else.
// Forged and malformed messages are in scram_attack_test.cpp.
#include <catch2/catch.hpp>

#include <random>
#include <set>
#include <tuple>

#include "auth/scram.h"
#include "scram_client.h"

using namespace auth;
using namespace auth_test;
using storage::Hash;

namespace {

constexpr std::string_view domain = "montague.lit";

struct Example {
    std::string mechanism, nonce, salt, first, challenge, final, success;
};

const std::vector<Example> examples{
    {"SCRAM-SHA-1", "3rfcNHYJY1ZVvWVs7j", "QSXCR+Q6sek8bf92", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
     "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
     "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
     "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
    {"SCRAM-SHA-256", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
     "W22ZaJ0SNY7soEsUEjb6gQ==", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
     "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
     "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+"
     "Ute9ytag9zjfMHgsqmmiz7AndVQ=",
     "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
};

const std::vector<std::pair<std::string, Hash>> plain_mechanisms{
    {"SCRAM-SHA-1", Hash::sha1}, {"SCRAM-SHA-256", Hash::sha256}, {"SCRAM-SHA-512", Hash::sha512}};

Channel bound_channel() { return Channel{true, std::string("exporter\0data", 13), "end point hash"}; }

// Plays a whole login; the last step is the outcome.
Step log_in(Exchange& exchange, ScramClient& client, const Credentials& credentials) {
    expect<Lookup>(exchange.receive(client.first()));
    const auto challenge = expect<Challenge>(exchange.credentials(credentials));
    return exchange.receive(client.final_message(challenge.data));
}

}  // namespace

TEST_CASE("the examples of RFC 5802 §5 and RFC 7677 §3 play as printed") {
    for (const Example& example : examples) {
        CAPTURE(example.mechanism);
        const auto exchange = begin_scram(*parse_scram_mechanism(example.mechanism), Channel{true, "", ""},
                                          domain, example.nonce);
        CHECK(expect<Lookup>(exchange->receive(example.first)).username == "user");
        const auto credentials = credentials_of({"pencil"}, *xmpp::parse_base64(example.salt), 4096);
        CHECK(expect<Challenge>(exchange->credentials(credentials)).data == example.challenge);
        const auto success = expect<Success>(exchange->receive(example.final));
        CHECK(success.data == example.success);
        CHECK(success.device == "device-0");
        CHECK(success.username == "user");
    }
}

TEST_CASE("every hash works with and without channel binding, and the server proves itself") {
    for (const auto& [name, hash] : plain_mechanisms) {
        for (const std::string binding : {"", "tls-exporter", "tls-server-end-point"}) {
            CAPTURE(name, binding);
            const Channel channel = bound_channel();
            const auto exchange =
                begin_exchange(binding.empty() ? name : name + "-PLUS", channel, domain, false);
            REQUIRE(exchange);
            ScramClient client{hash, "romeo", "secret"};
            if (!binding.empty()) client.gs2 = "p=" + binding + ",,";
            if (binding == "tls-exporter") client.binding_data = channel.tls_exporter;
            if (binding == "tls-server-end-point") client.binding_data = channel.tls_server_end_point;
            const auto success = expect<Success>(
                log_in(*exchange, client, credentials_of({"secret"}, "0123456789abcdef", 10)));
            CHECK(success.data == client.expected_success());
        }
    }
}

TEST_CASE("a client without an initial response is asked for it once, by an empty challenge") {
    const auto exchange = begin_exchange("SCRAM-SHA-256", Channel{}, domain, false);
    CHECK(expect<Challenge>(exchange->receive("")).data.empty());
    ScramClient client{Hash::sha256, "romeo", "secret"};
    CHECK_NOTHROW(
        expect<Success>(log_in(*exchange, client, credentials_of({"secret"}, "0123456789abcdef", 10))));

    const auto stubborn = begin_exchange("SCRAM-SHA-256", Channel{}, domain, false);
    expect<Challenge>(stubborn->receive(""));
    CHECK(expect<Refused>(stubborn->receive("")).condition == SaslCondition::malformed_request);
}

TEST_CASE("the server's part of the nonce is new each time") {
    std::set<std::string> seen;
    for (int i = 0; i < 50; ++i) {
        const auto exchange = begin_exchange("SCRAM-SHA-1", Channel{}, domain, false);
        expect<Lookup>(exchange->receive("n,,n=romeo,r=same"));
        const auto challenge =
            expect<Challenge>(exchange->credentials(credentials_of({}, "0123456789abcdef", 10)));
        const std::string nonce = ScramClient::field(challenge.data, 'r');
        CHECK(nonce.starts_with("same"));
        CHECK(nonce.size() >= 4 + 20);
        seen.insert(nonce);
    }
    CHECK(seen.size() == 50);
}

TEST_CASE("the proof names exactly the device whose key it was made with") {
    const auto seed = std::random_device{}();
    std::mt19937 random{seed};
    CAPTURE(seed);
    for (int round = 0; round < 200; ++round) {
        const auto& [name, hash] = plain_mechanisms[random() % plain_mechanisms.size()];
        std::vector<std::string> keys;
        const std::size_t count = random() % 6;  // 0 … 5 devices
        for (std::size_t i = 0; i < count; ++i) keys.push_back(random_token());
        const auto credentials = credentials_of(keys, random_bytes(16), 1 + random() % 20);
        for (std::size_t i = 0; i <= count; ++i) {
            const bool right = i < count;
            ScramClient client{hash, "romeo", right ? keys[i] : random_token()};
            const auto exchange = begin_exchange(name, Channel{}, domain, false);
            const Step outcome = log_in(*exchange, client, credentials);
            if (right) {
                const auto* success = std::get_if<Success>(&outcome);
                REQUIRE(success != nullptr);
                REQUIRE(success->device == credentials.keys[i].device);
                REQUIRE(success->data == client.expected_success());
            } else {
                REQUIRE(std::holds_alternative<Refused>(outcome));
                REQUIRE(std::get<Refused>(outcome).condition == SaslCondition::not_authorized);
            }
        }
    }
}

TEST_CASE("a device without a verifier for the hash never matches") {
    for (const auto& [name, hash] : plain_mechanisms) {
        auto credentials = credentials_of({"secret"}, "0123456789abcdef", 10);
        credentials.keys[0].verifiers[static_cast<std::size_t>(hash)] = {};
        ScramClient client{hash, "romeo", "secret"};
        const auto exchange = begin_exchange(name, Channel{}, domain, false);
        CHECK(expect<Refused>(log_in(*exchange, client, credentials)).condition ==
              SaslCondition::not_authorized);
    }
}

TEST_CASE("an unknown user is asked and refused exactly as a known one with a wrong password") {
    const auto play = [](const Credentials& credentials) {
        const auto exchange = begin_scram({Hash::sha256, false}, Channel{}, domain, "server");
        ScramClient client{Hash::sha256, "romeo", "wrong"};
        client.nonce = "client";
        expect<Lookup>(exchange->receive(client.first()));
        const auto challenge = expect<Challenge>(exchange->credentials(credentials)).data;
        const auto refused = expect<Refused>(exchange->receive(client.final_message(challenge)));
        return std::tuple{challenge.size(), ScramClient::field(challenge, 'i'), refused.condition,
                          refused.text};
    };
    CHECK(play(credentials_of({"secret"}, random_bytes(16), 4096)) ==
          play(fake_credentials("server secret", "romeo", 4096)));
}

TEST_CASE("fake salts are stable for a name, differ between names and secrets, and look like real ones") {
    const auto fake = fake_credentials("secret", "romeo", 4096);
    CHECK(fake.salt == fake_credentials("secret", "romeo", 4096).salt);
    CHECK(fake.salt != fake_credentials("secret", "juliet", 4096).salt);
    CHECK(fake.salt != fake_credentials("other secret", "romeo", 4096).salt);
    CHECK(fake.salt.size() == 16);
    CHECK(fake.keys.empty());
    CHECK_FALSE(fake.disabled);
}

TEST_CASE("a disabled account says so only to who knows a key") {
    auto credentials = credentials_of({"secret"}, "0123456789abcdef", 10);
    credentials.disabled = true;
    ScramClient right{Hash::sha1, "romeo", "secret"};
    ScramClient wrong{Hash::sha1, "romeo", "guess"};
    const auto first = begin_exchange("SCRAM-SHA-1", Channel{}, domain, false);
    CHECK(expect<Refused>(log_in(*first, right, credentials)).condition == SaslCondition::account_disabled);
    const auto second = begin_exchange("SCRAM-SHA-1", Channel{}, domain, false);
    CHECK(expect<Refused>(log_in(*second, wrong, credentials)).condition == SaslCondition::not_authorized);
}

TEST_CASE("the user name is decoded and normalised") {
    const std::vector<std::pair<std::string, std::string>> names{{"romeo", "romeo"},
                                                                 {"Romeo", "romeo"},
                                                                 {"4915112345678", "4915112345678"},
                                                                 {"rom=2Ceo", "rom,eo"},
                                                                 {"rom=3Deo", "rom=eo"},
                                                                 {"=2C=3D", ",="},
                                                                 {"\xc3\x96rjan", "\xc3\xb6rjan"}};
    for (const auto& [sent, expected] : names) {
        CAPTURE(sent);
        const auto exchange = begin_exchange("SCRAM-SHA-1", Channel{}, domain, false);
        CHECK(expect<Lookup>(exchange->receive("n,,n=" + sent + ",r=nonce")).username == expected);
    }
}

TEST_CASE("an authzid may only be the account's own bare JID") {
    const std::vector<std::pair<std::string, bool>> rows{
        {"n,,", true},
        {"n,a=romeo@montague.lit,", true},
        {"n,a=Romeo@MONTAGUE.lit,", true},
        {"n,a=juliet@montague.lit,", false},
        {"n,a=romeo,", false},
        {"n,a=romeo@capulet.lit,", false},
        {"n,a=romeo@montague.lit/orchard,", false},
        {"n,a=montague.lit,", false},
        {"n,a=@,", false},
        {"n,a=romeo@montague.lit=2Cjuliet@montague.lit,", false}};
    for (const auto& [gs2, fine] : rows) {
        CAPTURE(gs2);
        ScramClient client{Hash::sha1, "romeo", "secret"};
        client.gs2 = gs2;
        const auto exchange = begin_exchange("SCRAM-SHA-1", Channel{}, domain, false);
        if (fine) {
            CHECK_NOTHROW(expect<Success>(
                log_in(*exchange, client, credentials_of({"secret"}, "0123456789abcdef", 10))));
        } else {
            CHECK(expect<Refused>(exchange->receive(client.first())).condition ==
                  SaslCondition::invalid_authzid);
        }
    }
}

TEST_CASE("XEP-0474 §6.3: the example's hash") {
    const std::string advertised = downgrade_protection({"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}, {"tls-server-end-point", "tls-exporter"});
    CHECK(xmpp::base64(digest(Hash::sha1, advertised)) == "G6k/rBLDqgOhRRaCuuatSDFkJ08=");
}

TEST_CASE("XEP-0474: the server's first message carries the hash of what was advertised") {
    const std::string advertised =
        downgrade_protection({"SCRAM-SHA-1", "PLAIN"}, {"tls-server-end-point", "tls-exporter"});
    CHECK(advertised == "PLAIN\x1eSCRAM-SHA-1\x1ftls-exporter\x1etls-server-end-point");
    CHECK(downgrade_protection({"Y", "X"}, {}) == "X\x1eY");
    const auto exchange = begin_exchange("SCRAM-SHA-1", Channel{}, domain, false, advertised);
    ScramClient client{Hash::sha1, "romeo", "secret"};
    expect<Lookup>(exchange->receive(client.first()));
    const auto challenge =
        expect<Challenge>(exchange->credentials(credentials_of({"secret"}, "0123456789abcdef", 10)));
    CHECK(ScramClient::field(challenge.data, 'h') == xmpp::base64(digest(Hash::sha1, advertised)));
    CHECK_NOTHROW(expect<Success>(exchange->receive(client.final_message(challenge.data))));
}

TEST_CASE("XEP-0515: the server's first message carries the TLS version, for those who are told of downgrades at all") {
    Channel channel;
    channel.encrypted = true;
    channel.tls_version = "0304";
    const auto first_of = [](const Channel& on, std::string_view advertised) {
        const auto exchange = begin_exchange("SCRAM-SHA-256", on, domain, false, advertised);
        ScramClient client{Hash::sha256, "romeo", "secret"};
        expect<Lookup>(exchange->receive(client.first()));
        return expect<Challenge>(exchange->credentials(credentials_of({"secret"}, "0123456789abcdef", 10))).data;
    };
    CHECK(first_of(channel, "X").ends_with(",t=0304"));
    CHECK(first_of(channel, {}).find(",t=") == std::string::npos);   // RFC 6120's profile: old clients stumble over what they do not know
    CHECK(first_of(Channel{}, "X").find(",t=") == std::string::npos);
}
