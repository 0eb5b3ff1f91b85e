// SPDX-License-Identifier: MIT
// OpenSSL's EVP and RAND behind auth/crypto.h. Algorithms are fetched once per process and the HMAC contexts
// once per thread: fetching costs more than hashing. A primitive that fails means a broken installation: the
// process ends.
#include "auth/crypto.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <stdexcept>

#include "xmpp/base64.h"

namespace auth {

namespace {

constexpr std::array<const char*, storage::hash_count> hash_names{"SHA1", "SHA256", "SHA512"};

// No way to go on: without a digest or random numbers nobody can be told from anybody.
void require(bool fine, const char* what) {
    if (fine) return;
    std::fprintf(stderr, "tern: OpenSSL cannot %s\n", what);
    std::abort();
}

std::size_t index_of(storage::Hash hash) { return static_cast<std::size_t>(hash); }

// For the life of the process, never freed: threads may still hash while statics are being destroyed.
const EVP_MD* algorithm(storage::Hash hash) {
    static const std::array<EVP_MD*, storage::hash_count> fetched = [] {
        std::array<EVP_MD*, storage::hash_count> all{};
        for (std::size_t i = 0; i < all.size(); ++i) {
            all[i] = EVP_MD_fetch(nullptr, hash_names[i], nullptr);
            require(all[i] != nullptr, "fetch a digest");
        }
        return all;
    }();
    return fetched[index_of(hash)];
}

struct FreeMac {
    void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};
struct FreeKdf {
    void operator()(EVP_KDF_CTX* context) const { EVP_KDF_CTX_free(context); }
};

std::unique_ptr<EVP_MAC_CTX, FreeMac> new_hmac(storage::Hash hash) {
    static EVP_MAC* const fetched = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    require(fetched != nullptr, "fetch HMAC");
    std::unique_ptr<EVP_MAC_CTX, FreeMac> context{EVP_MAC_CTX_new(fetched)};
    std::string name{hash_names[index_of(hash)]};
    const std::array<OSSL_PARAM, 2> params{
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.data(), 0), OSSL_PARAM_construct_end()};
    require(context && EVP_MAC_CTX_set_params(context.get(), params.data()) == 1, "set up HMAC");
    return context;
}

EVP_MAC_CTX* hmac_context(storage::Hash hash) {
    thread_local std::array<std::unique_ptr<EVP_MAC_CTX, FreeMac>, storage::hash_count> contexts;
    auto& context = contexts[index_of(hash)];
    if (!context) context = new_hmac(hash);
    return context.get();
}

const unsigned char* bytes_of(std::string_view text) {
    static constexpr unsigned char none = 0;  // OpenSSL reads a null key as "the key of before"
    return text.empty() ? &none : reinterpret_cast<const unsigned char*>(text.data());
}

unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

}  // namespace

std::size_t digest_size(storage::Hash hash) {
    constexpr std::array<std::size_t, storage::hash_count> sizes{20, 32, 64};
    return sizes[index_of(hash)];
}

std::string digest(storage::Hash hash, std::string_view data) {
    std::string out(digest_size(hash), '\0');
    unsigned int length = 0;
    require(EVP_Digest(data.data(), data.size(), bytes_of(out), &length, algorithm(hash), nullptr) == 1 &&
                length == out.size(),
            "digest");
    return out;
}

std::string hmac(storage::Hash hash, std::string_view key, std::string_view data) {
    std::string out(digest_size(hash), '\0');
    std::size_t length = 0;
    EVP_MAC_CTX* context = hmac_context(hash);
    require(EVP_MAC_init(context, bytes_of(key), key.size(), nullptr) == 1 &&
                EVP_MAC_update(context, bytes_of(data), data.size()) == 1 &&
                EVP_MAC_final(context, bytes_of(out), &length, out.size()) == 1 && length == out.size(),
            "authenticate a message");
    return out;
}

std::string pbkdf2(storage::Hash hash, std::string_view password, std::string_view salt,
                   std::uint32_t iterations) {
    static EVP_KDF* const fetched = EVP_KDF_fetch(nullptr, "PBKDF2", nullptr);
    require(fetched != nullptr, "fetch PBKDF2");
    const std::unique_ptr<EVP_KDF_CTX, FreeKdf> context{EVP_KDF_CTX_new(fetched)};
    std::string name{hash_names[index_of(hash)]};
    unsigned int rounds = iterations;
    int any_length = 1;  // accounts imported from elsewhere may have short salts
    const std::array<OSSL_PARAM, 6> params{
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name.data(), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PASSWORD,
                                          const_cast<unsigned char*>(bytes_of(password)), password.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, const_cast<unsigned char*>(bytes_of(salt)),
                                          salt.size()),
        OSSL_PARAM_construct_uint(OSSL_KDF_PARAM_ITER, &rounds),
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_PKCS5, &any_length),
        OSSL_PARAM_construct_end()};
    std::string out(digest_size(hash), '\0');
    require(context && EVP_KDF_derive(context.get(), bytes_of(out), out.size(), params.data()) == 1,
            "derive a key");
    return out;
}

std::string random_bytes(std::size_t count) {
    std::string out(count, '\0');
    require(RAND_bytes(bytes_of(out), static_cast<int>(count)) == 1, "draw random bytes");
    return out;
}

std::string token(std::string_view bytes) {
    std::string text = xmpp::base64(bytes);
    while (!text.empty() && text.back() == '=') text.pop_back();
    for (char& c : text) {
        if (c == '+') c = '-';
        if (c == '/') c = '_';
    }
    return text;
}

std::string random_token(std::size_t bytes) { return token(random_bytes(bytes)); }

std::string random_digits(std::size_t count) {
    std::string digits;
    digits.reserve(count);
    while (digits.size() < count) {
        for (const char byte : random_bytes(count + 4)) {
            const auto value = static_cast<unsigned char>(byte);
            // 250 … 255 are drawn again: taken modulo ten they would make 0 … 5 likelier.
            if (value < 250 && digits.size() < count) digits += static_cast<char>('0' + value % 10);
        }
    }
    return digits;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(bytes_of(a), bytes_of(b), a.size()) == 0;
}

void wipe(std::string& secret) {
    OPENSSL_cleanse(secret.data(), secret.size());
    secret.clear();
}

// ---- a permutation --------------------------------------------------------------------------------

struct BlockCipher::State {
    struct Free {
        void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
    };
    std::unique_ptr<EVP_CIPHER_CTX, Free> encrypting{EVP_CIPHER_CTX_new()}, decrypting{EVP_CIPHER_CTX_new()};
};

BlockCipher::BlockCipher(std::string_view key) : state_{std::make_unique<State>()} {
    if (key.size() != key_size) throw std::invalid_argument{"the key of a block cipher has 16 bytes"};
    const bool is_ready =
        EVP_EncryptInit_ex(state_->encrypting.get(), EVP_aes_128_ecb(), nullptr, bytes_of(key), nullptr) == 1 &&
        EVP_DecryptInit_ex(state_->decrypting.get(), EVP_aes_128_ecb(), nullptr, bytes_of(key), nullptr) == 1 &&
        EVP_CIPHER_CTX_set_padding(state_->encrypting.get(), 0) == 1 &&
        EVP_CIPHER_CTX_set_padding(state_->decrypting.get(), 0) == 1;
    if (!is_ready) throw std::runtime_error{"OpenSSL has no AES"};
}

BlockCipher::~BlockCipher() = default;

void BlockCipher::encrypt(Block& block) {
    auto* const bytes = reinterpret_cast<unsigned char*>(block.data());
    int size = 0;
    if (EVP_EncryptUpdate(state_->encrypting.get(), bytes, &size, bytes, static_cast<int>(block.size())) != 1)
        throw std::runtime_error{"OpenSSL did not encrypt"};
}

void BlockCipher::decrypt(Block& block) {
    auto* const bytes = reinterpret_cast<unsigned char*>(block.data());
    int size = 0;
    if (EVP_DecryptUpdate(state_->decrypting.get(), bytes, &size, bytes, static_cast<int>(block.size())) != 1)
        throw std::runtime_error{"OpenSSL did not decrypt"};
}

}  // namespace auth
