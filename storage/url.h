// SPDX-License-Identifier: MIT
// The storage URL of the configuration: sqlite:PATH or mysql://user:password@host:port/database, with
// ?option=value.
// SQLite's: max_pages. MySQL's: socket, ssl, ssl-ca, ssl-verify, connect-timeout, answer-timeout (seconds).
#pragma once

#include "storage/mysql/connection.h"
#include "storage/sqlite/connection.h"

#include <variant>

namespace storage {

using Place = std::variant<sqlite::Settings, mysql::Settings>;

// The text says what is wrong and never repeats the URL: a password may be in it.
xmpp::Result<Place, std::string> parse_url(std::string_view url);

}  // namespace storage
