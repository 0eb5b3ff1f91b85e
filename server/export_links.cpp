// SPDX-License-Identifier: MIT
#include "server/export_links.h"

#include "auth/crypto.h"

namespace server {

namespace {

std::string key_of(std::string_view token) { return auth::digest(storage::Hash::sha256, token); }

}  // namespace

std::string ExportLinks::offer(const xmpp::Jid& account, storage::Time now) {
    std::string token = auth::random_token(32);
    const std::lock_guard lock{mutex_};
    std::erase_if(links_, [&](const auto& link) { return link.second.account == account || link.second.expires <= now; });
    links_.emplace(key_of(token), Link{account, now + lifetime});
    return token;
}

std::optional<xmpp::Jid> ExportLinks::take(std::string_view token, storage::Time now) {
    const std::lock_guard lock{mutex_};
    auto link = links_.extract(key_of(token));
    if (!link || link.mapped().expires <= now) return std::nullopt;
    return std::move(link.mapped().account);
}

bool ExportLinks::is_good(std::string_view token, storage::Time now) const {
    const std::lock_guard lock{mutex_};
    const auto link = links_.find(key_of(token));
    return link != links_.end() && link->second.expires > now;
}

void ExportLinks::forget(const xmpp::Jid& account) {
    const std::lock_guard lock{mutex_};
    std::erase_if(links_, [&](const auto& link) { return link.second.account == account; });
}

}  // namespace server
