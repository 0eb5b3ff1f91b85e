// SPDX-License-Identifier: MIT
// The walk through X-Forwarded-For.
#include "server/http/proxies.h"

#include <algorithm>

#include "server/net/address.h"

namespace server::http {
namespace {

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

}  // namespace

bool is_among(std::string_view address, const std::vector<std::string>& networks) {
    return std::any_of(networks.begin(), networks.end(), [&](const std::string& network) { return net::is_in_network(address, network); });
}

std::string client_address(const std::string& peer, std::string_view forwarded_for, const std::vector<std::string>& trusted) {
    std::string client = peer;
    while (!forwarded_for.empty() && is_among(client, trusted)) {
        const std::size_t comma = forwarded_for.rfind(',');
        const std::string_view entry = host_of(comma == std::string_view::npos ? forwarded_for : forwarded_for.substr(comma + 1));
        if (!net::is_address(entry)) break;
        client = entry;
        forwarded_for = comma == std::string_view::npos ? std::string_view{} : forwarded_for.substr(0, comma);
    }
    return client;
}

}  // namespace server::http
