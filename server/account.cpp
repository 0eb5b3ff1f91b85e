// SPDX-License-Identifier: MIT
// An account's sessions and what is remembered of it.
#include "server/account.h"

#include <algorithm>

#include "server/log.h"
#include "server/net/address.h"
#include "server/worker.h"

namespace server {

bool may_come_from(const storage::Device& device, std::string_view address) {
    const auto networks = net::networks_in(device.networks);
    return networks.empty() || std::ranges::any_of(networks, [&](std::string_view network) { return net::is_in_network(address, network); });
}

std::string_view to_string(storage::DeviceRole role) {
    switch (role) {
        case storage::DeviceRole::password: return "password";
        case storage::DeviceRole::primary: return "primary";
        case storage::DeviceRole::companion: return "companion";
    }
    return "";
}

Account::Account(Worker& worker, storage::Account record)
    : roster{*this}, log{*this}, worker_{worker}, record_{std::move(record)}, slots_{worker.host.account_slots} {
    for (storage::Device& device : record_.devices) device.verifiers = {};   // logins ask storage for them, and for the salt
    record_.devices.shrink_to_fit();
    record_.salt = {};
}

Account::~Account() = default;

Session* Account::session(std::string_view resourcepart) const {
    for (const auto& session : sessions_)
        if (session->jid().resourcepart() == resourcepart) return session.get();
    return nullptr;
}

void Account::add(std::shared_ptr<Session> session) { sessions_.push_back(std::move(session)); }

void Account::remove(Session& session) {
    std::erase_if(sessions_, [&](const auto& held) { return held.get() == &session; });
    if (is_idle()) worker_.became_idle(*this);
}

void Account::set_software(std::string_view device, std::string software) {
    storage::Device* const found = this->device(device);
    if (!found || found->software == software) return;
    found->software = software;
    worker_.spawn("storing a device's software", [](std::shared_ptr<Account> self, std::string id, std::string text) -> storage::Task<void> {
        auto storing = self->worker().storage().accounts().set_device_software(self->id(), std::move(id), std::move(text));
        const auto stored = co_await storing;
        if (!stored) log::warn("a device's software is not stored", {{"jid", self->jid().text()}, {"why", stored.error().text}});
    }(shared_from_this(), found->id, std::move(software)));
}

void Account::mark_seen(std::string_view device, storage::Time::duration moment) {
    storage::Device* const found = this->device(device);
    if (!found || worker_.now() - found->last_seen < moment) return;
    found->last_seen = worker_.now();
    worker_.spawn("marking a device as seen", [](std::shared_ptr<Account> self, std::string id) -> storage::Task<void> {
        auto seen = self->worker().storage().accounts().set_device_seen(self->id(), std::move(id), self->worker().now());
        const auto stored = co_await seen;
        if (!stored) log::warn("device not marked as seen", {{"jid", self->jid().text()}, {"why", stored.error().text}});
    }(shared_from_this(), found->id));
}

void Account::add_device(storage::Device device) {
    if (this->device(device.id)) return;   // it was loaded with it
    device.verifiers = {};
    record_.devices.push_back(std::move(device));
    log.add_device(record_.devices.back());
}

void Account::remove_device(std::string_view device) {
    const std::string gone{device};
    std::erase_if(record_.devices, [&](const storage::Device& known) { return known.id == gone; });
    const auto sessions = sessions_;   // ending one changes the list
    for (const auto& session : sessions)
        if (session->device() == gone) session->end({xmpp::StreamCondition::not_authorized, "This device has been revoked."});
}

void Account::set_last_logout(storage::Time when, std::string status) {
    record_.last_logout = when;
    record_.last_status = status;
    worker_.spawn("storing the last logout", [](std::shared_ptr<Account> self, storage::Time at, std::string text) -> storage::Task<void> {
        auto stored = co_await self->worker().storage().accounts().set_last_logout(self->id(), at, std::move(text));
        if (!stored) log::warn("last logout not stored", {{"jid", self->jid().text()}, {"why", stored.error().text}});
    }(shared_from_this(), when, std::move(status)));
}

}  // namespace server
