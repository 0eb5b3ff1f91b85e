// SPDX-License-Identifier: MIT
// Archive ids: AES of (account, place), in base 64 without its padding.
#include "server/archive_id.h"

#include <cstring>

#include "xmpp/base64.h"

namespace server {

std::string ArchiveIds::id(storage::AccountId account, storage::LogId place) {
    auth::BlockCipher::Block block;
    std::memcpy(block.data(), &account, sizeof account);
    std::memcpy(block.data() + sizeof account, &place, sizeof place);
    cipher_.encrypt(block);
    std::string text = xmpp::base64({block.data(), block.size()});
    text.resize(text.find('='));
    return text;
}

std::optional<storage::LogId> ArchiveIds::place(storage::AccountId account, std::string_view id) {
    const auto bytes = xmpp::parse_base64(std::string{id} + "==");
    auth::BlockCipher::Block block;
    if (!bytes || bytes->size() != block.size()) return std::nullopt;
    std::memcpy(block.data(), bytes->data(), block.size());
    cipher_.decrypt(block);
    storage::AccountId whose = 0;
    storage::LogId place = 0;
    std::memcpy(&whose, block.data(), sizeof whose);
    std::memcpy(&place, block.data() + sizeof whose, sizeof place);
    return whose == account ? std::optional{place} : std::nullopt;
}

}  // namespace server
