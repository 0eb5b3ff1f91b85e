// SPDX-License-Identifier: MIT
// RFC 7622: Address Format. ASCII is settled here with tables; anything else goes to precis.cpp. Text that is
// in normal form already costs one pass and no allocation.
#include "xmpp/jid.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "xmpp/precis.h"

namespace xmpp {

namespace {

constexpr std::size_t max_part = 1023;  // bytes, RFC 7622 §3.1
constexpr std::size_t max_label = 63;   // RFC 1035 §2.3.4

enum : std::uint8_t {
    normal_in_localpart = 1,
    upper_case = 2,
    normal_in_domain = 4,
    normal_in_resource = 8,
    ascii = 16,
};

constexpr std::array<std::uint8_t, 256> make_table() {
    std::array<std::uint8_t, 256> table{};
    for (std::size_t c = 0; c < 0x80; ++c) table[c] = ascii;
    for (std::size_t c = 0x20; c < 0x7f; ++c) table[c] |= normal_in_resource;
    for (std::size_t c = 0x21; c < 0x7f; ++c) table[c] |= normal_in_localpart;
    for (const char c : {'"', '&', '\'', '/', ':', '<', '>', '@'})  // RFC 7622 §3.3.1
        table[static_cast<unsigned char>(c)] &= static_cast<std::uint8_t>(~normal_in_localpart);
    for (std::size_t c = 'A'; c <= 'Z'; ++c)
        table[c] = static_cast<std::uint8_t>((table[c] & ~normal_in_localpart) | upper_case);
    for (std::size_t c = 'a'; c <= 'z'; ++c) table[c] |= normal_in_domain;
    for (std::size_t c = '0'; c <= '9'; ++c) table[c] |= normal_in_domain;
    table['-'] |= normal_in_domain;
    table['.'] |= normal_in_domain;
    return table;
}

constexpr std::array<std::uint8_t, 256> table = make_table();

bool all_are(std::string_view text, std::uint8_t kinds) {
    std::uint8_t common = 0xff;
    for (const char c : text) common &= (table[static_cast<unsigned char>(c)] & kinds) != 0 ? 0xff : 0;
    return common != 0;
}

bool fits(std::string_view part) { return !part.empty() && part.size() <= max_part; }

bool is_normal_localpart(std::string_view text) { return fits(text) && all_are(text, normal_in_localpart); }
// RFC 7622 §3.5, table 2 row 18: no space in front.
bool is_normal_resourcepart(std::string_view text) {
    return fits(text) && all_are(text, normal_in_resource) && text.front() != ' ';
}

// NR-LDH labels (RFC 5890 §2.3.1), lower case. Dotted numbers are of this form, too, and stand for IPv4
// addresses.
bool is_normal_domain(std::string_view text) {
    if (!fits(text) || !all_are(text, normal_in_domain)) return false;
    for (;;) {
        const std::size_t dot = text.find('.');
        const std::string_view label = text.substr(0, dot);
        if (label.empty() || label.size() > max_label || label.front() == '-' || label.back() == '-')
            return false;
        if (label.size() >= 4 && label[2] == '-' && label[3] == '-')
            return false;  // "xn--": not for the fast path
        if (dot == std::string_view::npos) return true;
        text.remove_prefix(dot + 1);
    }
}

std::string lower_case(std::string_view text) {
    std::string lower{text};
    for (char& c : lower)
        if (table[static_cast<unsigned char>(c)] & upper_case) c = static_cast<char>(c + ('a' - 'A'));
    return lower;
}

// RFC 3986 §3.2.2, without zones; one spelling for each address (RFC 5952).
std::optional<std::string> normalise_ip_literal(std::string_view text) {
    if (text.size() < 4 || text.back() != ']') return std::nullopt;
    const std::string address{text.substr(1, text.size() - 2)};
    in6_addr parsed;
    if (address.find('\0') != std::string::npos || inet_pton(AF_INET6, address.c_str(), &parsed) != 1)
        return std::nullopt;
    char canonical[INET6_ADDRSTRLEN];
    if (!inet_ntop(AF_INET6, &parsed, canonical, sizeof canonical)) return std::nullopt;
    return "[" + std::string{canonical} + "]";
}

struct Parts {
    std::string_view localpart, domainpart, resourcepart;
    std::size_t at = std::string_view::npos, slash = std::string_view::npos;
};

// RFC 7622 §3.2: the first '/' begins the resourcepart, the first '@' before it ends the localpart.
Parts split(std::string_view text) {
    Parts parts;
    parts.slash = text.find('/');
    const std::string_view bare = text.substr(0, parts.slash);
    if (parts.slash != std::string_view::npos) parts.resourcepart = text.substr(parts.slash + 1);
    parts.at = bare.find('@');
    if (parts.at != std::string_view::npos) parts.localpart = bare.substr(0, parts.at);
    parts.domainpart = parts.at == std::string_view::npos ? bare : bare.substr(parts.at + 1);
    return parts;
}

}  // namespace

Jid::Jid(JidView view) : text_{view.text()} {
    const auto position = [](bool present, std::size_t p) {
        return present ? static_cast<std::uint16_t>(p) : std::uint16_t{0xffff};
    };
    at_ = position(!view.localpart().empty(), view.localpart().size());
    slash_ = position(view.is_full(), text_.size() - view.resourcepart().size() - 1);
}

JidView Jid::view() const {
    const auto position = [](std::uint16_t p) {
        return p == 0xffff ? std::string_view::npos : std::size_t{p};
    };
    return {text_, position(at_), position(slash_)};
}

std::optional<Jid> Jid::parse(std::string_view text) {
    if (const auto normal = view_if_normal(text)) return Jid{*normal};
    const Parts parts = split(text);
    if (parts.at != std::string_view::npos && parts.localpart.empty()) return std::nullopt;
    if (parts.slash != std::string_view::npos && parts.resourcepart.empty()) return std::nullopt;
    return from_parts(parts.localpart, parts.domainpart, parts.resourcepart);
}

std::optional<Jid> Jid::from_parts(std::string_view localpart, std::string_view domainpart,
                                   std::string_view resourcepart) {
    const auto domain = normalise_domainpart(domainpart);
    if (!domain) return std::nullopt;
    Jid jid;
    if (!localpart.empty()) {
        const auto local = normalise_localpart(localpart);
        if (!local) return std::nullopt;
        jid.text_ = *local;
        jid.at_ = static_cast<std::uint16_t>(jid.text_.size());
        jid.text_ += '@';
    }
    jid.text_ += *domain;
    if (!resourcepart.empty()) {
        const auto resource = normalise_resourcepart(resourcepart);
        if (!resource) return std::nullopt;
        jid.slash_ = static_cast<std::uint16_t>(jid.text_.size());
        jid.text_.append(1, '/').append(*resource);
    }
    return jid;
}

Jid Jid::with_resource(std::string_view normal_resourcepart) const {
    Jid full = bare();
    full.slash_ = static_cast<std::uint16_t>(full.text_.size());
    full.text_.append(1, '/').append(normal_resourcepart);
    return full;
}

std::optional<JidView> view_if_normal(std::string_view text) {
    const Parts parts = split(text);
    const bool is_normal =
        is_normal_domain(parts.domainpart) &&
        (parts.at == std::string_view::npos || is_normal_localpart(parts.localpart)) &&
        (parts.slash == std::string_view::npos || is_normal_resourcepart(parts.resourcepart));
    if (!is_normal) return std::nullopt;
    return JidView{text, parts.at, parts.slash};
}

bool names(std::string_view text, JidView address) {
    if (view_if_normal(text)) return text == address.text();
    const auto parsed = Jid::parse(text);
    return parsed && *parsed == address;
}

std::optional<std::string> normalise_localpart(std::string_view text) {
    if (!fits(text)) return std::nullopt;
    if (all_are(text, normal_in_localpart | upper_case)) return lower_case(text);
    if (all_are(text, ascii)) return std::nullopt;
    auto result = precis::username_case_mapped(text);
    // RFC 7622 §3.3.1, after the mapping: a fullwidth commercial at is one, too.
    const auto is_forbidden = [](char c) {
        const std::uint8_t kinds = table[static_cast<unsigned char>(c)];
        return (kinds & ascii) != 0 && (kinds & normal_in_localpart) == 0;
    };
    if (!result || !fits(*result) || std::any_of(result->begin(), result->end(), is_forbidden))
        return std::nullopt;
    return result;
}

std::optional<std::string> normalise_domainpart(std::string_view text) {
    if (text.size() > 1 && text.back() == '.') text.remove_suffix(1);  // RFC 7622 §3.2
    if (!fits(text)) return std::nullopt;
    if (is_normal_domain(text)) return std::string{text};
    if (text.front() == '[') return normalise_ip_literal(text);
    if (std::string lower = lower_case(text); is_normal_domain(lower)) return lower;
    auto result = precis::domain_name(text);
    if (!result || !fits(*result)) return std::nullopt;
    return result;
}

std::optional<std::string> normalise_resourcepart(std::string_view text) {
    if (is_normal_resourcepart(text)) return std::string{text};
    if (!fits(text) || all_are(text, ascii)) return std::nullopt;
    auto result = precis::opaque_string(text);
    if (!result || !fits(*result) || result->front() == ' ') return std::nullopt;
    return result;
}

std::optional<std::string> opaque_string(std::string_view text) {
    if (text.empty()) return std::nullopt;
    if (all_are(text, normal_in_resource)) return std::string{text};
    return precis::opaque_string(text);
}

}  // namespace xmpp
