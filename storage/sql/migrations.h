// SPDX-License-Identifier: MIT
// The schema, as numbered steps that are applied in order when the database is opened.
#pragma once

#include <optional>

#include "storage/sql/connection.h"

namespace storage::sql {

inline constexpr int schema_version = 12;  // what this program knows

// Brings the database to schema_version. `broken` when it is newer than that: nothing is touched then.
std::optional<StorageError> migrate(Connection& connection);

}  // namespace storage::sql
