// SPDX-License-Identifier: MIT
// What single values of the configuration may look like: durations, sizes, addresses, URLs, and how a wrong
// one is shown in a problem. Knows no key and no file; config.cpp has the table.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace server::values {

// Looks at one value and may put it into its normal form. Returns what would be right, or "" when it is.
using Check = std::string (*)(std::string& value);

std::string any(std::string& value);
std::string domain(std::string& value);   // xmpp::normalise_domainpart
std::string account(std::string& value);  // a bare JID with a localpart
std::string listen_address(std::string& value);
std::string network(std::string& value);  // an address, or one with a prefix length
std::string phone_prefix(std::string& value);  // of E.164
std::string uri(std::string& value);
std::string storage_url(std::string& value);
std::string sms_gateway(std::string& value);
std::string sms_text(std::string& value);
std::string sms_body(std::string& value);
std::string push_show(std::string& value);
std::string http_url(std::string& value);  // or empty
std::string content_type(std::string& value);
std::string header_line(std::string& value);
std::string retention(std::string& value);
std::string archive(std::string& value);
std::string ack(std::string& value);
std::string nobody_to_everybody(std::string& value);
std::string service(std::string& value);  // labels before a domain, or empty
std::string log_level(std::string& value);
std::string log_format(std::string& value);
std::string directory(std::string& value);  // any text but none

std::optional<std::uint64_t> parse_number(std::string_view text);
std::optional<std::uint64_t> parse_size(std::string_view text);  // "4096", "256k", "8M", "1G"
std::optional<bool> parse_switch(std::string_view text);         // true/false, yes/no, on/off, 1/0
std::vector<std::string> parse_list(std::string_view text);      // by commas, or by lines when it has several

std::string show_duration(std::chrono::milliseconds duration);  // "10m"
std::string show_size(std::uint64_t bytes);                     // "256k"
std::string quoted(std::string_view text);                      // "…", escaped and shortened
// A storage URL may hold a password: nothing of it but its scheme is ever shown.
std::string masked_url(std::string_view url);

// The candidate that was probably meant, or "".
std::string_view nearest(std::string_view name, const std::vector<std::string_view>& candidates);

}  // namespace server::values
