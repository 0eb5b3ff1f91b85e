// SPDX-License-Identifier: MIT
// The client's side of SCRAM, from RFC 5802 §3 alone, for playing against the server's; says whatever it is
// told to.
#pragma once

#include <string>
#include <string_view>

#include "auth/crypto.h"
#include "auth/sasl.h"
#include "xmpp/base64.h"

namespace auth_test {

inline std::string exclusive_or(std::string a, std::string_view b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<char>(a[i] ^ b[i]);
    return a;
}

class ScramClient {
public:
    ScramClient(storage::Hash hash, std::string username, std::string password)
        : hash_{hash}, username_{std::move(username)}, password_{std::move(password)} {}

    std::string gs2 = "n,,";
    std::string binding_data;
    std::string nonce = auth::random_token(12);

    std::string first_bare() const { return "n=" + username_ + ",r=" + nonce; }
    std::string first() const { return gs2 + first_bare(); }

    static std::string field(std::string_view message, char name) {
        const std::string all = "," + std::string{message} + ",";
        const std::size_t at = all.find(std::string{","} + name + "=");
        if (at == std::string::npos) return {};
        return all.substr(at + 3, all.find(',', at + 1) - at - 3);
    }

    std::string without_proof(std::string_view server_first) const {
        return "c=" + xmpp::base64(gs2 + binding_data) + ",r=" + field(server_first, 'r');
    }

    std::string final_message(std::string_view server_first) {
        return final_message(server_first, without_proof(server_first));
    }

    std::string final_message(std::string_view server_first, const std::string& without_proof) {
        const std::string salt = xmpp::parse_base64(field(server_first, 's')).value();
        const auto iterations = static_cast<std::uint32_t>(std::stoul(field(server_first, 'i')));
        const std::string salted = auth::pbkdf2(hash_, password_, salt, iterations);
        const std::string client_key = auth::hmac(hash_, salted, "Client Key");
        const std::string message = first_bare() + "," + std::string{server_first} + "," + without_proof;
        signature_ = auth::hmac(hash_, auth::hmac(hash_, salted, "Server Key"), message);
        proof = exclusive_or(client_key, auth::hmac(hash_, auth::digest(hash_, client_key), message));
        return without_proof + ",p=" + xmpp::base64(proof);
    }

    std::string proof;
    std::string expected_success() const { return "v=" + xmpp::base64(signature_); }

private:
    storage::Hash hash_;
    std::string username_, password_, signature_;
};

inline auth::Credentials credentials_of(const std::vector<std::string>& passwords, std::string salt,
                                        std::uint32_t iterations) {
    auth::Credentials credentials;
    credentials.salt = std::move(salt);
    credentials.iterations = iterations;
    for (const std::string& password : passwords) {
        credentials.keys.push_back({"device-" + std::to_string(credentials.keys.size()),
                                    auth::derive_verifiers(password, credentials.salt, iterations)});
    }
    return credentials;
}

template <class T>
T expect(auth::Step step) {
    if (const auto* refused = std::get_if<auth::Refused>(&step);
        refused != nullptr && !std::is_same_v<T, auth::Refused>) {
        throw std::runtime_error{"refused: " + std::string{to_string(refused->condition)} + ": " +
                                 refused->text};
    }
    return std::get<T>(std::move(step));
}

}  // namespace auth_test
