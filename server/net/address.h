// SPDX-License-Identifier: MIT
// Addresses of peers, and networks of them.
#pragma once

#include <string_view>
#include <vector>

namespace server::net {

bool is_address(std::string_view text);
// "10.0.0.0/8", "::1"; an IPv4 address mapped into IPv6 counts as the IPv4 address.
bool is_in_network(std::string_view address, std::string_view network);
bool is_network(std::string_view text);
std::vector<std::string_view> networks_in(std::string_view list);   // separated by blanks

}  // namespace server::net
