// SPDX-License-Identifier: MIT
// Places in an account's log as others see them. XEP-0313 §3 wants ids that nobody can predict, XEP-0359 §6 ids that tell
// nothing: so the account and the place go through a keyed permutation, and come back out of the id alone.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/crypto.h"
#include "storage/storage.h"

namespace server {

class ArchiveIds {
public:
    explicit ArchiveIds(std::string_view secret) : cipher_{secret} {}   // of auth::BlockCipher::key_size bytes

    std::string id(storage::AccountId account, storage::LogId place);
    // nullopt: not an id, or one of another account.
    std::optional<storage::LogId> place(storage::AccountId account, std::string_view id);

private:
    auth::BlockCipher cipher_;
};

}  // namespace server
