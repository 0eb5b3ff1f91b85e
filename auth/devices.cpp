// SPDX-License-Identifier: MIT
// As PLAIN does it (sasl.h), so that there is one judge of keys.
#include "auth/devices.h"

#include "auth/hash_pool.h"
#include "auth/sasl.h"

namespace auth {

storage::Task<xmpp::Result<std::optional<std::string>, std::string>> device_of_key(storage::Storage& storage, HashPool& hashes, std::string_view secret,
                                                                                  std::uint32_t iterations, storage::Jid account, std::string key,
                                                                                  std::function<bool(const storage::Device&)> may_be_used) {
    using Answer = xmpp::Result<std::optional<std::string>, std::string>;
    const std::string username{account.localpart()};
    auto finding = storage.accounts().find(account.bare());
    const auto found = co_await finding;
    if (!found) co_return xmpp::Failure{found.error().text};
    Credentials credentials = fake_credentials(secret, username, iterations);
    if (*found) {
        credentials.salt = (*found)->salt;
        credentials.iterations = (*found)->iterations;
        credentials.disabled = (*found)->disabled;
        for (const storage::Device& device : (*found)->devices)
            if (may_be_used(device)) credentials.keys.push_back({device.id, device.verifiers});
    }
    Channel channel;
    channel.encrypted = true;
    const auto exchange = begin_exchange("PLAIN", channel, account.domainpart(), false);
    Step step = exchange->receive(std::string{'\0'} + username + '\0' + key);
    if (std::holds_alternative<Lookup>(step)) step = exchange->credentials(std::move(credentials));
    if (auto* const hash = std::get_if<HashPassword>(&step)) {
        auto deriving = hashes.derive(std::move(hash->password), std::move(hash->salt), hash->iterations);
        const auto verifiers = co_await deriving;
        if (!verifiers) co_return xmpp::Failure{std::string{"too many keys wait to be checked"}};
        step = exchange->verifiers(*verifiers);
    }
    if (auto* const success = std::get_if<Success>(&step)) co_return Answer{std::optional{std::move(success->device)}};
    co_return Answer{std::optional<std::string>{}};
}

storage::Task<storage::Result<Revoked>> revoke_device(storage::Storage& storage, storage::Account account, std::string by, std::string device) {
    using Answer = storage::Result<Revoked>;
    using storage::DeviceRole;
    const storage::Device* const asking = account.device(by);
    const storage::Device* const gone = account.device(device);
    if (!asking) co_return Answer{Revoked::not_allowed};
    if (!gone) co_return Answer{Revoked::no_such_device};
    if (asking->role == DeviceRole::companion && asking != gone) co_return Answer{Revoked::not_allowed};
    if (gone->role == DeviceRole::password) co_return Answer{Revoked::needs_password_change};
    if (gone->role == DeviceRole::primary) co_return Answer{Revoked::is_primary};
    auto removing = storage.accounts().remove_device(account.id, std::move(device));
    const auto removed = co_await removing;
    if (!removed && removed.error().kind == storage::StorageError::Kind::not_found) co_return Answer{Revoked::no_such_device};
    if (!removed) co_return storage::Failure{removed.error()};
    co_return Answer{Revoked::done};
}

}  // namespace auth
