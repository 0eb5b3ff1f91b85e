// SPDX-License-Identifier: MIT
// Accounts that lack verifiers of some hashes, since they were imported from where there was another hash alone: logins look
// here before they know who comes, and storage is not asked. Any thread.
// What anybody can tell of them without a password, for it is what their clients must be told to log in at all: while they are
// partial, the mechanisms that a stream is offered whose header comes from one of them (XEP-0388 §2.1), and invalid-mechanism
// for a SCRAM of another hash; and until the password is changed, the length of the salt and the iterations in SCRAM's
// challenge. Names that nobody has look like accounts that were made here (auth::fake_credentials). Stand-ins among them that
// look imported would hide it for a while only: their verifiers never become complete.
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
