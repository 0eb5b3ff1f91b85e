// SPDX-License-Identifier: MIT
// Who is behind a request: the peer itself, or whom a trusted proxy names in X-Forwarded-For.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace server::http {

// Addresses or networks: http.trusted_proxies and the like.
bool is_among(std::string_view address, const std::vector<std::string>& networks);

// Goes back through the list as long as it was written by proxies that are trusted; what is no address ends the search.
std::string client_address(const std::string& peer, std::string_view forwarded_for, const std::vector<std::string>& trusted);

}  // namespace server::http
