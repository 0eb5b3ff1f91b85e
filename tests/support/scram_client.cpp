// SPDX-License-Identifier: MIT
#include "tests/support/scram_client.h"

#include <map>

#include "auth/crypto.h"
#include "xmpp/base64.h"

namespace tests {

namespace {

std::map<char, std::string> fields_of(std::string_view message) {
    std::map<char, std::string> fields;
    while (!message.empty()) {
        const std::size_t end = std::min(message.find(','), message.size());
        if (end >= 2 && message[1] == '=') fields[message[0]] = message.substr(2, end - 2);
        message.remove_prefix(std::min(end + 1, message.size()));
    }
    return fields;
}

}  // namespace

ScramClient::ScramClient(std::string username, std::string password, storage::Hash hash, std::string nonce)
    : hash_{hash}, username_{std::move(username)}, password_{std::move(password)}, nonce_{nonce.empty() ? auth::random_token(12) : std::move(nonce)} {}

std::string ScramClient::first() const { return "n,,n=" + username_ + ",r=" + nonce_; }

std::optional<std::string> ScramClient::final(std::string_view server_first) {
    auto fields = fields_of(server_first);
    const auto salt = xmpp::parse_base64(fields['s']);
    if (!salt || fields['i'].empty() || !fields['r'].starts_with(nonce_)) return std::nullopt;
    const std::string salted = auth::pbkdf2(hash_, password_, *salt, static_cast<std::uint32_t>(std::stoul(fields['i'])));
    const std::string client_key = auth::hmac(hash_, salted, "Client Key");
    const std::string without_proof = "c=biws,r=" + fields['r'];
    const std::string signed_text = first().substr(3) + "," + std::string{server_first} + "," + without_proof;
    const std::string signature = auth::hmac(hash_, auth::digest(hash_, client_key), signed_text);
    std::string proof = client_key;
    for (std::size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(proof[i] ^ signature[i]);
    server_signature_ = auth::hmac(hash_, auth::hmac(hash_, salted, "Server Key"), signed_text);
    return without_proof + ",p=" + xmpp::base64(proof);
}

bool ScramClient::accepts(std::string_view server_final) const {
    auto fields = fields_of(server_final);
    return xmpp::parse_base64(fields['v']) == server_signature_;
}

}  // namespace tests
