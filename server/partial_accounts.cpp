// SPDX-License-Identifier: MIT
#include "server/partial_accounts.h"

#include <algorithm>

namespace server {

void PartialAccounts::set(const std::vector<storage::PartialAccount>& all) {
    std::map<std::string, Lacks> fresh;
    for (const storage::PartialAccount& account : all) fresh.emplace(account.jid.text(), account.lacks);
    const std::lock_guard lock{mutex_};
    accounts_ = std::move(fresh);
}

void PartialAccounts::set(const xmpp::Jid& account, Lacks lacks) {
    const std::lock_guard lock{mutex_};
    if (std::ranges::find(lacks, true) == lacks.end()) accounts_.erase(account.text());
    else accounts_[account.text()] = lacks;
}

PartialAccounts::Lacks PartialAccounts::lacks(const xmpp::Jid& account) const {
    const std::lock_guard lock{mutex_};
    if (accounts_.empty()) return {};
    const auto found = accounts_.find(account.text());
    return found == accounts_.end() ? Lacks{} : found->second;
}

PartialAccounts::Lacks lacks_of(const storage::Account& account) {
    PartialAccounts::Lacks lacks{};
    for (const storage::Device& device : account.devices)
        for (std::size_t hash = 0; hash < storage::hash_count; ++hash) lacks[hash] |= device.verifiers[hash].stored_key.empty();
    return lacks;
}

}  // namespace server
