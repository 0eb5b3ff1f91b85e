// SPDX-License-Identifier: MIT
// Networks, and the walk through X-Forwarded-For.
#include "server/http/proxies.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>

#include <arpa/inet.h>

namespace server::http {
namespace {

using Bytes = std::array<std::uint8_t, 16>;
constexpr Bytes mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr unsigned mapped_bits = 96;

struct Address {
    Bytes bytes{};      // IPv4 as mapped into IPv6 (RFC 4291 §2.5.5.2)
    bool is_v4 = false; // how it was written
};

std::optional<Address> parse(std::string_view text) {
    const std::string terminated{text};
    Address address;
    if (inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) return address;
    address.bytes = mapped_prefix;
    address.is_v4 = true;
    if (inet_pton(AF_INET, terminated.c_str(), address.bytes.data() + 12) == 1) return address;
    return std::nullopt;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// One entry of the list, without a port: "203.0.113.7", "203.0.113.7:1234", "[2001:db8::1]:1234", "2001:db8::1".
std::string_view host_of(std::string_view entry) {
    entry = trim(entry);
    if (entry.starts_with('[')) return entry.substr(1, std::min(entry.find(']'), entry.size()) - 1);
    if (std::count(entry.begin(), entry.end(), ':') == 1) return entry.substr(0, entry.find(':'));
    return entry;
}

bool is_trusted(std::string_view address, const std::vector<std::string>& trusted) {
    return std::any_of(trusted.begin(), trusted.end(), [&](const std::string& network) { return is_in_network(address, network); });
}

}  // namespace

bool is_in_network(std::string_view address, std::string_view network) {
    const std::size_t slash = network.find('/');
    const auto inside = parse(address);
    const auto of = parse(network.substr(0, slash));
    if (!inside || !of) return false;
    unsigned bits = 128;
    if (slash != std::string_view::npos) {
        const std::string_view length = network.substr(slash + 1);
        const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bits);
        if (error != std::errc{} || end != length.data() + length.size() || bits > (of->is_v4 ? 32U : 128U)) return false;
        if (of->is_v4) bits += mapped_bits;
    }
    const std::size_t whole = bits / 8;
    if (std::memcmp(inside->bytes.data(), of->bytes.data(), whole) != 0) return false;
    if (bits % 8 == 0) return true;
    const auto mask = static_cast<std::uint8_t>(0xff << (8 - bits % 8));
    return ((inside->bytes[whole] ^ of->bytes[whole]) & mask) == 0;
}

std::string client_address(const std::string& peer, std::string_view forwarded_for, const std::vector<std::string>& trusted) {
    std::string client = peer;
    while (!forwarded_for.empty() && is_trusted(client, trusted)) {
        const std::size_t comma = forwarded_for.rfind(',');
        const std::string_view entry = host_of(comma == std::string_view::npos ? forwarded_for : forwarded_for.substr(comma + 1));
        if (!parse(entry)) break;
        client = entry;
        forwarded_for = comma == std::string_view::npos ? std::string_view{} : forwarded_for.substr(0, comma);
    }
    return client;
}

}  // namespace server::http
