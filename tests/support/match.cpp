// SPDX-License-Identifier: MIT
#include "tests/support/match.h"

#include <algorithm>
#include <sstream>

namespace tests {

namespace {

// {any}, {scansion:any}, {any as NAME}, {same as NAME}; either with text around it
bool is_any(std::string_view expected, std::string_view received, Captures& captures) {
    const std::size_t at = std::min(expected.find("{any as "), expected.find("{same as "));
    if (at != expected.npos && (at > 0 || !expected.ends_with('}'))) {
        const std::size_t end = expected.find('}', at);
        if (end == expected.npos) return false;
        const std::string_view before = expected.substr(0, at), behind = expected.substr(end + 1);
        if (received.size() < before.size() + behind.size() || !received.starts_with(before) || !received.ends_with(behind)) return false;
        return is_any(expected.substr(at, end + 1 - at), received.substr(before.size(), received.size() - before.size() - behind.size()), captures);
    }
    if (expected == "{any}" || expected == "{scansion:any}") return true;
    constexpr std::string_view begin = "{any as ", same = "{same as ";
    if (expected.starts_with(same)) {
        const auto captured = captures.find(expected.substr(same.size(), expected.size() - same.size() - 1));
        return captured != captures.end() && captured->second == received;
    }
    if (!expected.starts_with(begin) || !expected.ends_with("}")) return false;
    captures[std::string{expected.substr(begin.size(), expected.size() - begin.size() - 1)}] = std::string{received};
    return true;
}

bool is_strict(const Node& expected) {
    const std::string* strict = expected.attr("strict", ns::scansion);
    return strict == nullptr || *strict != "false";
}

std::string label(const Node& node) {
    return "<" + node.name + (node.ns == ns::client ? "" : " xmlns='" + node.ns + "'") + ">";
}

// The addresses of a stanza and its id are looked at only where the scene names them; so is its language, inside
// <forwarded/> as well: a client's stream may have one that its stanzas inherit.
bool is_optional(const Attribute& attribute, const Node& on, bool is_stanza) {
    if (attribute.ns == ns::xml && attribute.name == "lang")
        return is_stanza || (on.ns == ns::client && (on.name == "message" || on.name == "presence" || on.name == "iq"));
    return is_stanza && attribute.ns.empty() && (attribute.name == "to" || attribute.name == "from" || attribute.name == "id");
}

std::optional<std::string> attribute_difference(const Node& expected, const Node& received, bool is_stanza, Captures& captures) {
    for (const Attribute& wanted : expected.attributes) {
        if (wanted.ns == ns::scansion) continue;
        const std::string* value = received.attr(wanted.name, wanted.ns);
        if (wanted.value == "{none}") {
            if (value != nullptr) return label(received) + " has " + wanted.name + "='" + *value + "', and should have none";
            continue;
        }
        if (value == nullptr) return label(received) + " has no attribute " + wanted.name;
        if (!is_any(wanted.value, *value, captures) && *value != wanted.value)
            return label(received) + " has " + wanted.name + "='" + *value + "' instead of '" + wanted.value + "'";
    }
    if (!is_strict(expected)) return std::nullopt;
    for (const Attribute& got : received.attributes) {
        if (is_optional(got, received, is_stanza)) continue;
        if (expected.attr(got.name, got.ns) == nullptr)
            return label(received) + " has the attribute " + got.name + "='" + got.value + "', which was not expected";
    }
    return std::nullopt;
}

std::optional<std::string> node_difference(const Node& expected, const Node& received, bool is_stanza, Captures& captures);

// An archive's id of a message (XEP-0359) is looked at only where the scene names one.
bool is_unasked_id(const Node& expected, const Node& child) {
    if (child.name != "stanza-id" || child.ns != "urn:xmpp:sid:0" || expected.name != "message") return false;
    return std::ranges::none_of(expected.children, [&](const Node& wanted) { return wanted.name == child.name && wanted.ns == child.ns; });
}

// Pairs each expected child from `next` on with a received one that is not taken, going back where that fails.
bool children_match(const Node& expected, const Node& received, std::size_t next, std::vector<bool>& taken, Captures& captures) {
    if (next == expected.children.size()) return true;
    for (std::size_t i = 0; i < received.children.size(); ++i) {
        if (taken[i]) continue;
        Captures tried = captures;
        if (node_difference(expected.children[next], received.children[i], false, tried)) continue;
        taken[i] = true;
        if (children_match(expected, received, next + 1, taken, tried)) {
            captures = std::move(tried);
            return true;
        }
        taken[i] = false;
    }
    return false;
}

// Why no pairing exists, as well as can be told.
std::string explain_children(const Node& expected, const Node& received) {
    std::vector<bool> taken(received.children.size());
    for (const Node& wanted : expected.children) {
        const Node* like = nullptr;
        std::size_t candidates = 0;
        bool found = false;
        for (std::size_t i = 0; i < received.children.size() && !found; ++i) {
            const Node& got = received.children[i];
            if (taken[i] || got.name != wanted.name || got.ns != wanted.ns) continue;
            Captures ignored;
            found = !node_difference(wanted, got, false, ignored);
            if (found) taken[i] = true;
            like = &got;
            ++candidates;
        }
        if (found) continue;
        Captures ignored;
        if (candidates == 1) return *node_difference(wanted, *like, false, ignored);
        if (candidates == 0) return label(received) + " has no child " + label(wanted);
        return "no child " + label(wanted) + " of " + label(received) + " is as expected: " + indented(wanted);
    }
    for (std::size_t i = 0; i < taken.size(); ++i)
        if (!taken[i]) return label(received) + " has the child " + label(received.children[i]) + ", which was not expected";
    return label(received) + " has other children than expected";
}

std::optional<std::string> node_difference(const Node& expected, const Node& received, bool is_stanza, Captures& captures) {
    if (expected.name != received.name || expected.ns != received.ns)
        return "it is " + label(received) + " instead of " + label(expected);
    if (auto wrong = attribute_difference(expected, received, is_stanza, captures)) return wrong;

    const std::string wanted_text = trimmed(expected.text);
    const std::string got_text = trimmed(received.text);
    const bool strict = is_strict(expected);
    if ((strict || !wanted_text.empty()) && !is_any(wanted_text, got_text, captures) && wanted_text != got_text)
        return label(received) + " has the text '" + got_text + "' instead of '" + wanted_text + "'";

    std::vector<bool> taken(received.children.size());
    std::size_t unasked = 0;
    for (std::size_t i = 0; i < taken.size(); ++i)
        if ((taken[i] = is_unasked_id(expected, received.children[i]))) ++unasked;
    const bool too_many = strict && received.children.size() - unasked > expected.children.size();
    if (too_many || !children_match(expected, received, 0, taken, captures)) return explain_children(expected, received);
    return std::nullopt;
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream{text};
    for (std::string line; std::getline(stream, line);) {
        // Long lines are folded, not cut: the difference may be at their end.
        constexpr std::size_t width = 68;
        for (std::size_t at = 0; at == 0 || at < line.size(); at += width) lines.push_back(line.substr(at, width));
    }
    return lines;
}

}  // namespace

std::optional<std::string> difference(const Event& expected, const Event& received, Captures& captures) {
    if (expected.kind != received.kind) {
        constexpr std::string_view kinds[] = {"a stream header", "an element", "the end of the stream"};
        return "it is " + std::string{kinds[static_cast<int>(received.kind)]} + " instead of " + std::string{kinds[static_cast<int>(expected.kind)]};
    }
    Captures tried = captures;
    if (auto wrong = node_difference(expected.node, received.node, true, tried)) return wrong;
    captures = std::move(tried);
    return std::nullopt;
}

std::string side_by_side(const std::string& expected, const std::string& received) {
    const std::vector<std::string> left = lines_of(expected);
    const std::vector<std::string> right = lines_of(received);
    std::string out = "    expected" + std::string(64, ' ') + "| received\n";
    for (std::size_t i = 0; i < std::max(left.size(), right.size()); ++i) {
        std::string line = i < left.size() ? left[i] : "";
        const std::string other = i < right.size() ? right[i] : "";
        const bool same = line == other;
        line.resize(std::max<std::size_t>(line.size(), 70), ' ');
        out.append(same ? "    " : "  ! ").append(line).append(" | ").append(other).append("\n");
    }
    return out;
}

}  // namespace tests
