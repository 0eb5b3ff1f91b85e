// SPDX-License-Identifier: MIT
// What MySQL's and MariaDB's error numbers mean for us.
#pragma once

#include "storage/sql/connection.h"

namespace storage::mysql {

bool is_lost(int code);
// `doing` is the SQL with its question marks. The server's own text is repeated only where it cannot hold
// values.
sql::Error error_of(int code, const std::string& state, std::string_view text, std::string_view doing);

}  // namespace storage::mysql
