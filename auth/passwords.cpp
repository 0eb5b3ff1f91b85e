// SPDX-License-Identifier: MIT
// Making accounts with passwords, and changing those.
#include "auth/passwords.h"

#include <utility>

#include "auth/crypto.h"
#include "auth/hash_pool.h"
#include "xmpp/jid.h"

namespace auth {

namespace {

using Kind = PasswordError::Kind;
constexpr std::size_t salt_bytes = 16;
constexpr std::size_t longest_password = 1024;

xmpp::Failure<PasswordError> fail(Kind kind, std::string text = {}) {
    return xmpp::Failure{PasswordError{kind, std::move(text)}};
}

storage::Time now() {
    return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

struct Keyed {
    storage::Salt salt;
    storage::Device device;
};

storage::Task<xmpp::Result<Keyed, PasswordError>> key_of(HashPool& hashes, std::string password,
                                                         std::uint32_t iterations) {
    if (password.size() > longest_password) co_return fail(Kind::not_allowed);
    auto prepared = xmpp::opaque_string(password);
    wipe(password);
    if (!prepared || prepared->empty()) co_return fail(Kind::not_allowed);
    storage::Salt salt{random_bytes(salt_bytes), iterations};
    auto deriving = hashes.derive(*prepared, salt.bytes, iterations);
    auto verifiers = co_await deriving;
    wipe(*prepared);
    if (!verifiers) co_return fail(Kind::busy);
    Keyed keyed{std::move(salt), {}};
    keyed.device.id = random_token(9);
    keyed.device.name = "password";
    keyed.device.role = storage::DeviceRole::password;
    keyed.device.verifiers = std::move(*verifiers);
    keyed.device.created = keyed.device.last_seen = now();
    co_return std::move(keyed);
}

xmpp::Failure<PasswordError> failure_of(const storage::StorageError& error) {
    switch (error.kind) {
        case storage::StorageError::Kind::conflict: return fail(Kind::conflict);
        case storage::StorageError::Kind::not_found: return fail(Kind::not_found);
        default: return fail(Kind::unavailable, error.text);
    }
}

}  // namespace

storage::Task<xmpp::Result<storage::AccountId, PasswordError>> make_password_account(
    storage::Storage& storage, HashPool& hashes, storage::Jid jid, std::string password,
    std::uint32_t iterations) {
    if (!jid.is_bare() || jid.localpart().empty()) co_return fail(Kind::not_allowed);
    auto keying = key_of(hashes, std::move(password), iterations);
    auto keyed = co_await keying;
    if (!keyed) co_return xmpp::Failure{keyed.error()};
    storage::Account account;
    account.jid = std::move(jid);
    account.salt = keyed->salt.bytes;
    account.iterations = keyed->salt.iterations;
    account.created = keyed->device.created;
    account.devices.push_back(std::move(keyed->device));
    auto creating = storage.accounts().create(std::move(account));
    const auto created = co_await creating;
    if (!created) co_return failure_of(created.error());
    co_return *created;
}

storage::Task<xmpp::Result<void, PasswordError>> change_password(storage::Storage& storage, HashPool& hashes,
                                                                 storage::AccountId account,
                                                                 std::string password,
                                                                 std::uint32_t iterations) {
    auto keying = key_of(hashes, std::move(password), iterations);
    auto keyed = co_await keying;
    if (!keyed) co_return xmpp::Failure{keyed.error()};
    auto replacing =
        storage.accounts().replace_devices(account, std::move(keyed->salt), std::move(keyed->device));
    const auto replaced = co_await replacing;
    if (!replaced) co_return failure_of(replaced.error());
    co_return xmpp::Result<void, PasswordError>{};
}

}  // namespace auth
