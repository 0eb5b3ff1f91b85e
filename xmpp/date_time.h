// SPDX-License-Identifier: MIT
// XEP-0082: XMPP Date and Time Profiles.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace xmpp {

using Time = std::chrono::sys_time<std::chrono::microseconds>;

std::string format_date_time(Time time, bool with_milliseconds = false);  // 1969-07-21T02:56:15Z
std::optional<Time> parse_date_time(std::string_view text);               // with any offset and fraction

}  // namespace xmpp
