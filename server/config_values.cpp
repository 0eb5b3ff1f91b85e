// SPDX-License-Identifier: MIT
// Values of the configuration: see config_values.h.
#include "server/config_values.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <initializer_list>
#include <limits>

#include "server/config.h"
#include "xmpp/jid.h"

namespace server {

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto number = values::parse_number(text.substr(0, digits));
    if (!number) return std::nullopt;
    constexpr std::array<std::pair<std::string_view, std::int64_t>, 6> units{
        {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}, {"w", 604'800'000}}};
    for (const auto& [unit, milliseconds] : units) {
        if (text.substr(digits) != unit) continue;
        constexpr std::int64_t most =
            std::numeric_limits<std::int64_t>::max() / 1'000'000;  // survives nanoseconds
        if (*number > static_cast<std::uint64_t>(most / milliseconds)) return std::nullopt;
        return std::chrono::milliseconds{static_cast<std::int64_t>(*number) * milliseconds};
    }
    return std::nullopt;
}

namespace {

bool is_address(int family, std::string_view text) {
    std::array<unsigned char, sizeof(in6_addr)> bytes;
    return inet_pton(family, std::string{text}.c_str(), bytes.data()) == 1 && text.find('\0') == text.npos;
}

bool is_host_name(std::string_view text) {
    if (text.empty() || text.size() > 253 || text.front() == '-' || text.front() == '.') return false;
    if (text.find_first_not_of("0123456789.") == text.npos) return false;  // meant to be IPv4, and is none
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '.';
    });
}

bool has_control_characters(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

std::string one_of(std::string_view value, std::initializer_list<std::string_view> choices) {
    std::string expected = "one of ";
    for (const std::string_view choice : choices) {
        if (value == choice) return "";
        if (expected.size() > 7) expected += ", ";
        expected.append("\"").append(choice).append("\"");
    }
    if (const auto meant = values::nearest(value, choices); !meant.empty())
        expected.append(" (did you mean \"").append(meant).append("\"?)");
    return expected;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> header_lines(const std::vector<std::string>& lines) {
    std::vector<std::pair<std::string, std::string>> headers;
    for (const std::string& line : lines) {
        const std::size_t colon = line.find(':');
        const std::size_t value = line.find_first_not_of(' ', colon + 1);
        if (colon != std::string::npos) headers.emplace_back(line.substr(0, colon), value == std::string::npos ? "" : line.substr(value));
    }
    return headers;
}

std::optional<ListenAddress> parse_listen_address(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == text.npos) return std::nullopt;
    const auto port = values::parse_number(text.substr(colon + 1));
    if (!port || *port > 65535 || text.size() - colon > 6) return std::nullopt;
    std::string_view host = text.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
        if (!is_address(AF_INET6, host)) return std::nullopt;
    } else if (!is_address(AF_INET, host) && !is_host_name(host)) {
        return std::nullopt;
    }
    return ListenAddress{std::string{host}, static_cast<std::uint16_t>(*port)};
}

}  // namespace server

namespace server::values {

std::string any(std::string&) { return ""; }

std::string domain(std::string& value) {
    auto normal = xmpp::normalise_domainpart(value);
    if (!normal || normal->empty())
        return "a domain name or IP address (RFC 7622 §3.2), e.g. \"chat.example\"";
    value = std::move(*normal);
    return "";
}

std::string account(std::string& value) {
    const auto jid = xmpp::Jid::parse(value);
    if (!jid || jid->is_full() || jid->localpart().empty()) return "a bare JID, e.g. \"admin@chat.example\"";
    value = jid->text();
    return "";
}

std::string listen_address(std::string& value) {
    if (parse_listen_address(value)) return "";
    return "address:port or [v6 address]:port, e.g. \"127.0.0.1:5222\" or \"[::]:5222\"";
}

std::string network(std::string& value) {
    const std::size_t slash = value.find('/');
    const std::string_view address = std::string_view{value}.substr(0, slash);
    const bool v4 = is_address(AF_INET, address);
    bool right = v4 || is_address(AF_INET6, address);
    if (slash != value.npos) {
        const auto prefix = parse_number(std::string_view{value}.substr(slash + 1));
        right = right && prefix && *prefix <= (v4 ? 32u : 128u);
    }
    return right ? "" : "an IP address or network, e.g. \"10.0.0.1\" or \"10.0.0.0/8\"";
}

std::string phone_prefix(std::string& value) {
    const bool right = value.size() > 1 && value.size() <= 16 && value.front() == '+' && value[1] != '0' &&
                       value.find_first_not_of("0123456789", 1) == value.npos;
    return right ? "" : "the beginning of a phone number in international form, e.g. \"+49\"";
}

std::string uri(std::string& value) {
    const std::size_t colon = value.find(':');
    const std::string_view scheme = std::string_view{value}.substr(0, colon);
    const bool right = colon != value.npos && colon > 0 && colon + 1 < value.size() &&
                       !has_control_characters(value) && value.find(' ') == value.npos &&
                       std::all_of(scheme.begin(), scheme.end(), [](unsigned char c) {
                           return std::isalnum(c) || c == '+' || c == '-' || c == '.';
                       });
    return right ? "" : "a URI, e.g. \"mailto:abuse@chat.example\" or \"xmpp:abuse@chat.example\"";
}

std::string storage_url(std::string& value) {
    const std::string_view url = value;
    if (has_control_characters(url)) return "a URL without control characters";
    if (url.starts_with("sqlite:"))
        return url.size() > 7 ? "" : "a path after \"sqlite:\", e.g. \"sqlite:data/tern.db\"";
    if (!url.starts_with("mysql://"))
        return "\"sqlite:PATH\" or \"mysql://USER:PASSWORD@HOST:PORT/DATABASE\"";
    const std::string_view rest = url.substr(8);
    const std::size_t at = rest.rfind('@');  // the last: a password may hold one
    if (at == rest.npos || at == 0 || rest.front() == ':')
        return "a user before \"@HOST\": \"mysql://USER:PASSWORD@HOST:PORT/DATABASE\"";
    const std::string_view place = rest.substr(at + 1, rest.find('?', at) - at - 1);
    const std::size_t slash = place.find('/');
    if (slash == place.npos || slash + 1 == place.size())
        return "a database after the host: \"mysql://USER:PASSWORD@HOST:PORT/DATABASE\"";
    const std::string host{place.substr(0, slash)};
    if (!parse_listen_address(host) && !parse_listen_address(host + ":3306"))
        return "a host, or host:port, after \"@\": \"mysql://USER:PASSWORD@HOST:PORT/DATABASE\"";
    return "";
}

std::string sms_gateway(std::string& value) { return one_of(value, {"console", "http", "file"}); }

std::string push_show(std::string& value) { return one_of(value, {"count", "sender", "body"}); }

std::string sms_text(std::string& value) {
    return value.find("{pin}") != value.npos ? "" : "a text with {pin} in it, e.g. \"Your code is {pin}.\"";
}

std::string sms_body(std::string& value) {
    if (value.empty()) return "";
    const bool right = value.find("{to}") != value.npos && value.find("{text}") != value.npos;
    return right ? "" : "a body with {to} and {text} in it";
}

std::string http_url(std::string& value) {
    if (value.empty()) return "";
    const std::string_view url = value;
    const std::size_t scheme = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
    const bool right = scheme > 0 && url.size() > scheme && url[scheme] != '/' && url.find(' ') == url.npos &&
                       !has_control_characters(url);
    return right ? "" : "a URL that begins with https:// or http://";
}

std::string content_type(std::string& value) {
    return one_of(value, {"application/json", "application/x-www-form-urlencoded"});
}

std::string header_line(std::string& value) {
    const std::size_t colon = value.find(':');
    const std::string_view name = std::string_view{value}.substr(0, colon);
    const bool right = colon != value.npos && colon > 0 && !has_control_characters(value) &&
                       name.find_first_of(" \t()<>@,;\\\"/[]?={}") == name.npos;
    return right ? "" : "a header line, \"Name: value\"";
}

std::string retention(std::string& value) {
    if (value == "forever" || value == "delivered") return "";
    const auto duration = parse_duration(value);
    if (duration && *duration >= std::chrono::seconds{1}) return "";
    return "how long, e.g. \"30d\" or \"12h\", or \"forever\", or \"delivered\"";
}

std::string archive(std::string& value) { return one_of(value, {"always", "never", "roster"}); }
std::string ack(std::string& value) { return one_of(value, {"commit", "receive"}); }
std::string service(std::string& value) {
    const bool right = value.empty() || (domain(value).empty() && value.find_first_of("[:") == value.npos);
    return right ? "" : "the first part of a domain, e.g. \"groups\"";
}
std::string nobody_to_everybody(std::string& value) { return one_of(value, {"nobody", "admins", "everybody"}); }
std::string log_level(std::string& value) { return one_of(value, {"debug", "info", "warn", "error"}); }
std::string log_format(std::string& value) { return one_of(value, {"text", "json"}); }

std::string directory(std::string& value) {
    return !value.empty() && value.find('\0') == value.npos ? "" : "a directory";
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
    unsigned shift = 0;
    if (!text.empty()) {
        switch (text.back()) {
            case 'k':
            case 'K': shift = 10; break;
            case 'M': shift = 20; break;
            case 'G': shift = 30; break;
            default: break;
        }
    }
    if (shift > 0) text.remove_suffix(1);
    const auto number = parse_number(text);
    if (!number || *number > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
    return *number << shift;
}

std::optional<bool> parse_switch(std::string_view text) {
    for (const std::string_view yes : {"true", "yes", "on", "1"})
        if (text == yes) return true;
    for (const std::string_view no : {"false", "no", "off", "0"})
        if (text == no) return false;
    return std::nullopt;
}

std::vector<std::string> parse_list(std::string_view text) {
    const char separator = text.find('\n') == text.npos ? ',' : '\n';
    std::vector<std::string> items;
    while (!text.empty()) {
        std::string_view item = text.substr(0, text.find(separator));
        text.remove_prefix(std::min(item.size() + 1, text.size()));
        while (!item.empty() && std::string_view{" \t\r"}.find(item.front()) != item.npos)
            item.remove_prefix(1);
        while (!item.empty() && std::string_view{" \t\r"}.find(item.back()) != item.npos)
            item.remove_suffix(1);
        if (!item.empty()) items.emplace_back(item);
    }
    return items;
}

std::string show_duration(std::chrono::milliseconds duration) {
    constexpr std::array<std::pair<std::int64_t, std::string_view>, 4> units{
        {{86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}}};
    const std::int64_t count = duration.count();
    for (const auto& [size, unit] : units)
        if (count != 0 && count % size == 0) return std::to_string(count / size).append(unit);
    return std::to_string(count) + "ms";
}

std::string show_size(std::uint64_t bytes) {
    constexpr std::array<std::pair<unsigned, char>, 3> units{{{30, 'G'}, {20, 'M'}, {10, 'k'}}};
    for (const auto& [shift, unit] : units)
        if (bytes != 0 && bytes % (std::uint64_t{1} << shift) == 0)
            return std::to_string(bytes >> shift) + unit;
    return std::to_string(bytes);
}

std::string quoted(std::string_view text) {
    constexpr std::size_t longest = 80;
    constexpr std::string_view hex = "0123456789abcdef";
    std::string shown = "\"";
    for (const char c : text.substr(0, longest)) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') shown += '\\';
        if (byte < 0x20 || byte == 0x7f)
            shown.append("\\x").append(1, hex[byte >> 4]).append(1, hex[byte & 15]);
        else
            shown += c;
    }
    if (text.size() > longest) {
        while ((static_cast<unsigned char>(shown.back()) & 0xc0) == 0x80)
            shown.pop_back();  // half a character
        if (static_cast<unsigned char>(shown.back()) >= 0xc0) shown.pop_back();
        shown += "…";
    }
    return shown + '"';
}

std::string masked_url(std::string_view url) {
    if (url.starts_with("sqlite:")) return quoted(url);
    const std::size_t scheme = url.find("://");
    const bool plain =
        std::all_of(url.begin(), url.begin() + static_cast<std::ptrdiff_t>(std::min(scheme, url.size())),
                    [](unsigned char c) { return std::isalnum(c) != 0; });
    if (scheme == url.npos || !plain) return url.empty() ? "\"\"" : "(not shown)";
    return quoted(std::string{url.substr(0, scheme + 3)} + "…");
}

std::string_view nearest(std::string_view name, const std::vector<std::string_view>& candidates) {
    std::string_view best;
    std::size_t least = std::max<std::size_t>(name.size() / 4, 1) + 1;
    std::vector<std::size_t> before, row;
    for (const std::string_view candidate : candidates) {  // Levenshtein's distance, a row at a time
        before.assign(candidate.size() + 1, 0);
        for (std::size_t j = 0; j < before.size(); ++j) before[j] = j;
        for (std::size_t i = 1; i <= name.size(); ++i) {
            row.assign(1, i);
            for (std::size_t j = 1; j <= candidate.size(); ++j)
                row.push_back(std::min(
                    {before[j] + 1, row[j - 1] + 1, before[j - 1] + (name[i - 1] != candidate[j - 1])}));
            before.swap(row);
        }
        if (before.back() < least) least = before.back(), best = candidate;
    }
    return best;
}

}  // namespace server::values
