// SPDX-License-Identifier: MIT
// Accounts that lack verifiers of some hashes, since they were imported from where there was another hash alone: logins look
// here before they know who comes, and storage is not asked. Any thread.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "storage/storage.h"
#include "xmpp/jid.h"

namespace server {

class PartialAccounts {
public:
    using Lacks = std::array<bool, storage::hash_count>;   // by Hash

    void set(const std::vector<storage::PartialAccount>& all);
    void set(const xmpp::Jid& account, Lacks lacks);
    Lacks lacks(const xmpp::Jid& account) const;

private:
    mutable std::mutex mutex_;
    std::map<std::string, Lacks> accounts_;   // guarded by mutex_; by bare JID
};

PartialAccounts::Lacks lacks_of(const storage::Account& account);

}  // namespace server
