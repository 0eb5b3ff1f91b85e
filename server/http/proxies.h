// SPDX-License-Identifier: MIT
// Who is behind a request: the peer itself, or whom a trusted proxy names in X-Forwarded-For.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace server::http {

// "10.0.0.0/8", "::1"; an IPv4 address mapped into IPv6 counts as the IPv4 address.
bool is_in_network(std::string_view address, std::string_view network);

// Goes back through the list as long as it was written by proxies that are trusted; what is no address ends the search.
std::string client_address(const std::string& peer, std::string_view forwarded_for, const std::vector<std::string>& trusted);

}  // namespace server::http
