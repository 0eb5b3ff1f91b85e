// SPDX-License-Identifier: MIT
// The few primitives that the rest needs, over OpenSSL, which is included in crypto.cpp alone.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "storage/storage.h"

namespace auth {

std::size_t digest_size(storage::Hash hash);
std::string digest(storage::Hash hash, std::string_view data);
std::string hmac(storage::Hash hash, std::string_view key, std::string_view data);
std::string pbkdf2(storage::Hash hash, std::string_view password, std::string_view salt, std::uint32_t iterations);
std::string random_bytes(std::size_t count);            // cryptographically strong, or the process ends
std::string token(std::string_view bytes);              // URL-safe base 64 without padding
std::string random_token(std::size_t bytes = 20);
std::string random_digits(std::size_t count);           // uniform
bool equal_in_constant_time(std::string_view a, std::string_view b);
void wipe(std::string& secret);                         // overwrites and empties it

// A keyed permutation of 16 bytes (AES-128). One thread at a time.
class BlockCipher {
public:
    using Block = std::array<char, 16>;
    static constexpr std::size_t key_size = 16;

    explicit BlockCipher(std::string_view key);
    ~BlockCipher();
    void encrypt(Block& block);
    void decrypt(Block& block);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace auth
