// SPDX-License-Identifier: MIT
// Storage that outlives the Server which thinks it owns it: what is in memory survives `the server restarts`.
#pragma once

#include <memory>

#include "storage/storage.h"

namespace tests {

class BorrowedStorage : public storage::Storage {
public:
    explicit BorrowedStorage(std::shared_ptr<storage::Storage> owner) : owner_{std::move(owner)} {}
    storage::Accounts& accounts() override { return owner_->accounts(); }
    storage::Rosters& rosters() override { return owner_->rosters(); }
    storage::Messages& messages() override { return owner_->messages(); }
    storage::PrivateXml& private_xml() override { return owner_->private_xml(); }
    storage::Vcards& vcards() override { return owner_->vcards(); }
    storage::BlockLists& block_lists() override { return owner_->block_lists(); }
    storage::ArchivePreferencesOf& archive_preferences() override { return owner_->archive_preferences(); }
    storage::Registrations& registrations() override { return owner_->registrations(); }
    storage::Invitations& invitations() override { return owner_->invitations(); }
    storage::LinkRequests& link_requests() override { return owner_->link_requests(); }
    storage::FastTokens& fast_tokens() override { return owner_->fast_tokens(); }
    storage::PushRegistrations& push_registrations() override { return owner_->push_registrations(); }
    storage::FindableNumbers& findable_numbers() override { return owner_->findable_numbers(); }
    storage::Rooms& rooms() override { return owner_->rooms(); }
    storage::StoredSessions& stored_sessions() override { return owner_->stored_sessions(); }
    storage::ServerSecrets& secrets() override { return owner_->secrets(); }
    std::vector<storage::QueueDepth> queues() const override { return owner_->queues(); }
    bool is_healthy() const override { return owner_->is_healthy(); }
    std::string describe() const override { return owner_->describe(); }

private:
    std::shared_ptr<storage::Storage> owner_;
};

}  // namespace tests
