// SPDX-License-Identifier: MIT
// SQLite as a database for storage/sql: one file in WAL mode, or memory.
#pragma once

#include "storage/sql/connection.h"

namespace storage::sqlite {

struct Settings {
    std::string path;              // ":memory:" too
    std::uint64_t most_pages = 0;  // of 4096 bytes, 0: no bound
};

std::unique_ptr<sql::Connector> make_connector(Settings settings);

}  // namespace storage::sqlite
