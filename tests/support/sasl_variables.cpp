// SPDX-License-Identifier: MIT
// The nonce is always the same, so that the second message of an exchange can be made without remembering the first.
#include "tests/support/sasl_variables.h"

#include <vector>

#include "auth/crypto.h"
#include "tests/support/scram_client.h"
#include "xmpp/base64.h"

namespace tests {

namespace {

constexpr std::string_view nonce = "fyko+d2lbbFgONRv9qkxdawL";

std::optional<storage::Hash> hash_named(std::string_view name) {
    if (name == "SHA-1") return storage::Hash::sha1;
    if (name == "SHA-256") return storage::Hash::sha256;
    if (name == "SHA-512") return storage::Hash::sha512;
    return std::nullopt;
}

std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        words.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

}  // namespace

std::optional<std::string> sasl_variable(std::string_view name) {
    const auto words = words_of(name);
    // token proof of USER with TOKEN
    if (words.size() == 6 && name.starts_with("token proof of "))
        return xmpp::base64(words[3] + '\0' + auth::hmac(storage::Hash::sha256, words[5], "Initiator"));
    // SHA-256 of PASSWORD salted with SALT 64 times
    if (words.size() == 8 && words[3] == "salted") {
        const auto hash = hash_named(words[0]);
        const auto salt = xmpp::parse_base64(words[5]);
        if (!hash || !salt) return std::nullopt;
        return xmpp::base64(auth::pbkdf2(*hash, words[2], *salt, static_cast<std::uint32_t>(std::stoul(words[6]))));
    }
    if (!name.starts_with("SCRAM-") || words.size() < 4) return std::nullopt;
    const auto hash = hash_named(std::string_view{words[0]}.substr(6));
    if (!hash) return std::nullopt;
    // SCRAM-SHA-1 first of USER; SCRAM-SHA-1 final of USER with PASSWORD to CHALLENGE
    ScramClient client{words[3], words.size() > 5 ? words[5] : std::string{}, *hash, std::string{nonce}};
    if (words[1] == "first") return xmpp::base64(client.first());
    const auto challenge = words.size() == 8 ? xmpp::parse_base64(words[7]) : std::nullopt;
    const auto final = challenge ? client.final(*challenge) : std::nullopt;
    return final ? std::optional{xmpp::base64(*final)} : std::nullopt;
}

}  // namespace tests
