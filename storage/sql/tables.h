// SPDX-License-Identifier: MIT
// The interfaces of storage.h in portable SQL, one file each.
#pragma once

#include "storage/sql/database.h"

namespace storage::sql {

std::unique_ptr<Accounts> make_accounts(Database& database);
std::unique_ptr<Rosters> make_rosters(Database& database);
std::unique_ptr<Messages> make_messages(Database& database);
std::unique_ptr<PrivateXml> make_private_xml(Database& database);
std::unique_ptr<Vcards> make_vcards(Database& database);
std::unique_ptr<BlockLists> make_block_lists(Database& database);
std::unique_ptr<ArchivePreferencesOf> make_archive_preferences(Database& database);
std::unique_ptr<Registrations> make_registrations(Database& database);
std::unique_ptr<LinkRequests> make_link_requests(Database& database);
std::unique_ptr<Invitations> make_invitations(Database& database);
std::unique_ptr<FastTokens> make_fast_tokens(Database& database);
std::unique_ptr<PushRegistrations> make_push_registrations(Database& database);
std::unique_ptr<FindableNumbers> make_findable_numbers(Database& database);
std::unique_ptr<StoredSessions> make_stored_sessions(Database& database);
std::unique_ptr<Rooms> make_rooms(Database& database);
std::unique_ptr<ServerSecrets> make_server_secrets(Database& database);

// The marks that are in the database, the highest of each device.
std::map<DeviceKey, LogId> highest_marks(Connection& connection);

// The log of an account that is to go. It may be long: it goes in pieces, and others have their turn in between.
Task<Result<void>> empty_log(Database& database, AccountId account);

inline Failure<StorageError> failure(StorageError::Kind kind, std::string text) {
    return {StorageError{kind, std::move(text)}};
}

}  // namespace storage::sql
