// SPDX-License-Identifier: MIT
// Whose a device key is, outside of a login; and which device may make which other one's key invalid.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "storage/storage.h"

namespace auth {

class HashPool;

// The device whose key that is. nullopt: none, or the account is disabled or missing, which take as long. A failure: storage or
// the pool cannot say it now. `secret` and `iterations`: of fake credentials. `may_be_used`: from where the caller is.
storage::Task<xmpp::Result<std::optional<std::string>, std::string>> device_of_key(storage::Storage& storage, HashPool& hashes, std::string_view secret,
                                                                                  std::uint32_t iterations, storage::Jid account, std::string key,
                                                                                  std::function<bool(const storage::Device&)> may_be_used);

// Companions may remove themselves alone; a phone, which is replaced by registering its number again, and a password,
// which can be changed, are not removed at all.
enum class Revoked : std::uint8_t { done, no_such_device, not_allowed, needs_password_change, is_primary };
// `by`: the device that asks. Ending the device's sessions is the caller's.
storage::Task<storage::Result<Revoked>> revoke_device(storage::Storage& storage, storage::Account account, std::string by, std::string device);

}  // namespace auth
