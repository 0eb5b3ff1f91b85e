// SPDX-License-Identifier: MIT
// Base 64 as RFC 6120 wants it (RFC 4648 §4): strict, padded, no white space.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace xmpp {

std::string base64(std::string_view bytes);
std::optional<std::string> parse_base64(std::string_view text);
std::string hex(std::string_view bytes);

}  // namespace xmpp
