// SPDX-License-Identifier: MIT
// What proves that somebody knows a password or a device's key, without being either.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

namespace storage {

enum class Hash : std::uint8_t { sha1, sha256, sha512 };
inline constexpr std::size_t hash_count = 3;

// RFC 5802 §3: what a server keeps instead of a password. All devices of an account share its salt and iterations.
struct Verifier {
    std::string stored_key, server_key;  // raw bytes
};
// By Hash; empty ones: imported from where there was another hash alone. Without any it is as small as a pointer.
class Verifiers {
public:
    Verifiers() = default;
    Verifiers(const Verifiers& other) : of_{other.of_ ? std::make_unique<All>(*other.of_) : nullptr} {}
    Verifiers(Verifiers&&) noexcept = default;
    Verifiers& operator=(Verifiers other) noexcept { of_.swap(other.of_); return *this; }

    Verifier& operator[](std::size_t hash) { return all()[hash]; }
    const Verifier& operator[](std::size_t hash) const { return all()[hash]; }
    auto begin() { return all().begin(); }
    auto end() { return all().end(); }
    auto begin() const { return all().begin(); }
    auto end() const { return all().end(); }

private:
    using All = std::array<Verifier, hash_count>;
    All& all() {
        if (!of_) of_ = std::make_unique<All>();
        return *of_;
    }
    const All& all() const {
        static const All none;
        return of_ ? *of_ : none;
    }
    std::unique_ptr<All> of_;
};

}  // namespace storage
