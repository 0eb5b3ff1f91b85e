// SPDX-License-Identifier: MIT
// Phone numbers by libphonenumber, which is included in phone.cpp alone.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace auth {

// E.164 with its '+' ("+4915112345678"), or nullopt when it is no valid number in international form without extension, or
// one for services: premium rate, shared cost, voicemail, pagers.
std::optional<std::string> parse_phone(std::string_view text);
// The localpart of the number's account: its digits.
std::string localpart_of(std::string_view e164);

}  // namespace auth
