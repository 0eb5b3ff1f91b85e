// SPDX-License-Identifier: MIT
#include "tests/bench/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <fstream>

namespace bench {

namespace {

const EVP_MD* digest(const std::string& hash) {
    return hash == "SHA-1" ? EVP_sha1() : hash == "SHA-256" ? EVP_sha256() : EVP_sha512();
}

std::string hashed(const std::string& hash, const std::string& text) {
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_Digest(text.data(), text.size(), value, &size, digest(hash), nullptr);
    return {reinterpret_cast<char*>(value), size};
}

// "r=…,s=…,i=…"
std::string_view field(std::string_view message, char name) {
    while (!message.empty()) {
        const std::string_view part = message.substr(0, message.find(','));
        if (part.size() > 2 && part[0] == name && part[1] == '=') return part.substr(2);
        message.remove_prefix(std::min(message.size(), part.size() + 1));
    }
    return {};
}

}  // namespace

std::string hmac(const std::string& hash, const std::string& key, std::string_view text) {
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    HMAC(digest(hash), key.data(), static_cast<int>(key.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), value, &size);
    return {reinterpret_cast<char*>(value), size};
}

std::string base64(std::string_view bytes) {
    std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
    const int size =
        EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
    text.resize(static_cast<std::size_t>(size));
    return text;
}

std::string from_base64(std::string_view text) {
    std::string bytes(text.size() / 4 * 3 + 3, '\0');
    const int size =
        EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                        reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    if (size < 0) return {};
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
    bytes.resize(static_cast<std::size_t>(size) - padding);
    return bytes;
}

Keys::Keys(std::string path) : path_{std::move(path)} {
    std::ifstream file{path_};
    for (std::string name, key; file >> name >> key;) salted_.emplace(name, from_base64(key));
}

Keys::~Keys() {
    if (!has_new_ || path_.empty()) return;
    std::ofstream file{path_};
    for (const auto& [name, key] : salted_) file << name << ' ' << base64(key) << '\n';
}

const std::string& Keys::salted(const std::string& hash, std::string_view password, const std::string& salt,
                                int iterations) {
    std::string& key = salted_[hash + ':' + std::to_string(iterations) + ':' + base64(salt)];
    if (!key.empty()) return key;
    has_new_ = true;
    key.resize(static_cast<std::size_t>(EVP_MD_size(digest(hash))));
    PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                      reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()),
                      iterations, digest(hash), static_cast<int>(key.size()),
                      reinterpret_cast<unsigned char*>(key.data()));
    return key;
}

Scram::Scram(std::string mechanism, const std::string& user, std::string password)
    : hash_{mechanism.substr(6)}, password_{std::move(password)} {
    unsigned char random[18];
    RAND_bytes(random, sizeof random);
    nonce_ = base64({reinterpret_cast<char*>(random), sizeof random});
    bare_ = "n=" + user + ",r=" + nonce_;
}

std::optional<std::string> Scram::final(std::string_view challenge, Keys& keys) const {
    const std::string_view nonce = field(challenge, 'r');
    const std::string salt = from_base64(field(challenge, 's'));
    const int iterations = std::atoi(std::string{field(challenge, 'i')}.c_str());
    if (!nonce.starts_with(nonce_) || salt.empty() || iterations < 1) return std::nullopt;
    const std::string& salted = keys.salted(hash_, password_, salt, iterations);
    const std::string client_key = hmac(hash_, salted, "Client Key");
    const std::string without_proof = "c=biws,r=" + std::string{nonce};
    std::string proof =
        hmac(hash_, hashed(hash_, client_key), bare_ + ',' + std::string{challenge} + ',' + without_proof);
    for (std::size_t i = 0; i < proof.size(); ++i) proof[i] = static_cast<char>(proof[i] ^ client_key[i]);
    return without_proof + ",p=" + base64(proof);
}

}  // namespace bench
