// SPDX-License-Identifier: MIT
// Links that give an account's data away once, to whoever holds one, within some minutes. An account has one at most, which
// ends with the keys of its devices. In memory alone: after a restart its user asks again. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "storage/storage.h"
#include "xmpp/jid.h"

namespace server {

class ExportLinks {
public:
    static constexpr std::chrono::minutes lifetime{10};

    std::string offer(const xmpp::Jid& account, storage::Time now);                       // a token that nobody guesses
    std::optional<xmpp::Jid> take(std::string_view token, storage::Time now);             // whose data it gives; once
    bool is_good(std::string_view token, storage::Time now) const;
    void forget(const xmpp::Jid& account);

private:
    struct Link { xmpp::Jid account; storage::Time expires; };
    mutable std::mutex mutex_;
    std::map<std::string, Link> links_;   // guarded by mutex_; by a hash, so that the time of a search tells nothing of a token
};

}  // namespace server
