// SPDX-License-Identifier: MIT
// Accounts with a user name and a password (XEP-0077 where it is open, `tern account add`): one device named
// "password" stands for all clients that know it.
#pragma once

#include <cstdint>
#include <string>

#include "storage/storage.h"

namespace auth {

class HashPool;

struct PasswordError {
    enum class Kind {
        not_allowed,  // an empty password, or one that RFC 8265 §4 forbids; or the JID is no user's bare JID
        conflict,     // the account exists already
        not_found,    // there is no such account
        busy,         // too many passwords wait to be hashed
        unavailable,  // storage cannot take it now; text says why
    };
    PasswordError(Kind k, std::string t = {}) : kind{k}, text{std::move(t)} {}
    Kind kind;
    std::string text;
};

// More than for device keys: people choose passwords that can be guessed (XEP-0438).
inline constexpr std::uint32_t password_iterations = 10000;

storage::Task<xmpp::Result<storage::AccountId, PasswordError>> make_password_account(
    storage::Storage& storage, HashPool& hashes, storage::Jid jid, std::string password,
    std::uint32_t iterations = password_iterations);

// All devices of the account go, one with the new password comes, under a new salt. Ending the account's
// sessions is the caller's.
storage::Task<xmpp::Result<void, PasswordError>> change_password(
    storage::Storage& storage, HashPool& hashes, storage::AccountId account, std::string password,
    std::uint32_t iterations = password_iterations);

}  // namespace auth
