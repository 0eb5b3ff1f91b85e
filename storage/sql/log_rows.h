// SPDX-License-Identifier: MIT
// Entries of the accounts' logs as rows, for everything that reads them; and the SQL behind archive queries (XEP-0313).
#pragma once

#include <vector>

#include "storage/sql/connection.h"

namespace storage::sql {

using Entries = std::vector<LogEntry>;

inline constexpr std::string_view entry_columns =
    "SELECT id, direction, peer_bare, peer_resource, stanza_type, origin_id, xml FROM message_log ";
// Up to and with the entry by which there are so many bytes.
Entries read_entries(AccountId account, Rows rows, std::size_t most_bytes = std::numeric_limits<std::size_t>::max());

// These wait for nothing: the caller sees to it that the log is in the database.
Result<ArchivePage> query_archive(Connection& connection, AccountId account, const ArchiveQuery& query);
ArchiveEnds archive_ends(Connection& connection, AccountId account);

}  // namespace storage::sql
