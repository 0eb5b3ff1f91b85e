// SPDX-License-Identifier: MIT
// A secret of the server's own that is kept apart from the database, so that a stolen copy of that does not hold it: 32
// random bytes in a file that its owner alone may read, made when it is missing.
#pragma once

#include <string>

#include "xmpp/result.h"

namespace server {

inline constexpr std::size_t key_file_size = 32;

xmpp::Result<std::string, std::string> key_in_file(const std::string& path);

}  // namespace server
