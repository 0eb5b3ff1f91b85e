// SPDX-License-Identifier: MIT
#include "server/net/address.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include <arpa/inet.h>

namespace server::net {
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

}  // namespace

bool is_address(std::string_view text) { return parse(text).has_value(); }

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

std::vector<std::string_view> networks_in(std::string_view list) {
    std::vector<std::string_view> networks;
    for (;;) {
        const std::size_t first = list.find_first_not_of(' ');
        if (first == list.npos) return networks;
        list.remove_prefix(first);
        const std::size_t end = std::min(list.find(' '), list.size());
        networks.push_back(list.substr(0, end));
        list.remove_prefix(end);
    }
}

bool is_network(std::string_view text) { return is_in_network(text.substr(0, text.find('/')), text); }

}  // namespace server::net
