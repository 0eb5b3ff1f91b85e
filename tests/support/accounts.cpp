// SPDX-License-Identifier: MIT
#include "tests/support/accounts.h"

#include <algorithm>
#include <map>

#include "auth/crypto.h"
#include "auth/sasl.h"
#include "tests/support/player.h"

namespace tests {

namespace {

constexpr std::uint32_t iterations = 64;   // enough to be told from none

storage::Device device_of(const Role& role, const std::string& salt, std::size_t position, xmpp::Time now) {
    storage::Device device;
    device.id = role.device.empty() ? "device" + std::to_string(position) : role.device;
    device.name = role.name;
    device.role = role.device.empty() ? storage::DeviceRole::password
                  : position == 0     ? storage::DeviceRole::primary
                                      : storage::DeviceRole::companion;
    device.verifiers = auth::derive_verifiers(role.password, salt, iterations);
    if (role.is_partial) device.verifiers[1] = device.verifiers[2] = {};
    device.created = device.last_seen = now;
    return device;
}

}  // namespace

void make_accounts(storage::Storage& storage, const Scene& scene, xmpp::Time now) {
    std::vector<std::string> order;
    std::map<std::string, std::vector<const Role*>> roles;
    for (const auto* list : {&scene.accounts, &scene.cast}) {
        for (const Role& role : *list) {
            if (role.jid.empty() || role.password.empty() || !role.has_account) continue;
            auto& same = roles[role.bare_jid()];
            if (same.empty()) order.push_back(role.bare_jid());
            if (std::none_of(same.begin(), same.end(), [&](const Role* other) { return other->password == role.password; })) same.push_back(&role);
        }
    }
    for (const std::string& bare : order) {
        const auto jid = xmpp::Jid::parse(bare);
        if (!jid || jid->localpart().empty()) throw Wrong{"the scene has no account at the address " + bare};
        storage::Account account;
        account.jid = *jid;
        account.salt = auth::random_bytes(16);
        account.iterations = iterations;
        account.created = now;
        for (const Role* role : roles[bare]) if (!role->phone.empty()) account.phone = role->phone;
        account.disabled = std::ranges::any_of(roles[bare], &Role::is_disabled);
        for (const Role* role : roles[bare]) account.devices.push_back(device_of(*role, account.salt, account.devices.size(), now));
        const auto made = wait_for(storage.accounts().create(account));
        if (!made) throw Wrong{"the account " + bare + " was not made: " + made.error().text};
    }
}

}  // namespace tests
