// SPDX-License-Identifier: MIT
// The one allocation behind a Stanza, private to xmpp/: counter, addresses, node array, attributes, the
// source bytes and behind them whatever text could not be found in the source as it is (resolved entities,
// normalised addresses).
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "xmpp/stanza.h"

namespace xmpp::detail {

// A piece of the block's bytes.
struct Span {
    std::uint32_t at = 0;
    std::uint32_t size = 0;
};

struct Attribute {
    Span name, ns, value;
};

// An element, or a run of character data. Nodes stand in document order: an element's first child is the node
// behind it.
struct Node {
    Span name;  // the local name; of character data: the text, entities resolved
    Span ns;
    Span outer_default;  // the default namespace where the element stands
    std::uint32_t begin = 0, content = 0, content_end = 0,
                  end = 0;  // in the source: start tag, content, end tag
    std::uint32_t parent = 0;
    std::uint32_t next = 0;  // sibling; 0: none
    std::uint32_t first_attribute = 0;
    std::uint16_t attribute_count = 0;
    bool is_text = false;
    bool has_children = false;
    // What the element needs from around it, itself and all below it considered, to mean the same elsewhere:
    bool needs_prefix = false;   // a prefix that is declared outside
    bool needs_default = false;  // outer_default
};

struct Address {
    Span text;
    std::uint16_t at = 0xffff;
    std::uint16_t slash = 0xffff;
    bool is_present = false;
    bool is_bad = false;  // present, and no JID
};

struct Block {
    std::atomic<std::uint32_t> references{1};
    std::uint32_t node_count = 0;
    std::uint32_t attribute_count = 0;
    std::uint32_t source_size = 0;
    std::uint32_t bytes_size = 0;  // source and resolved text
    Kind kind = Kind::other;
    bool is_stamped = false;           // the root has attributes other than its source
    bool claims_foreign_from = false;  // stamped over a 'from' that was somebody else's
    bool payload_is_portable =
        false;  // the root's content may be copied whole under a root without declarations
    Address to, from;

    Node* nodes() { return reinterpret_cast<Node*>(this + 1); }
    const Node* nodes() const { return reinterpret_cast<const Node*>(this + 1); }
    Attribute* attributes() { return reinterpret_cast<Attribute*>(nodes() + node_count); }
    const Attribute* attributes() const { return reinterpret_cast<const Attribute*>(nodes() + node_count); }
    char* bytes() { return reinterpret_cast<char*>(attributes() + attribute_count); }
    const char* bytes() const { return reinterpret_cast<const char*>(attributes() + attribute_count); }

    std::string_view view(Span span) const { return {bytes() + span.at, span.size}; }
    std::string_view source(std::uint32_t begin, std::uint32_t end) const {
        return {bytes() + begin, end - begin};
    }
    JidView address(const Address& address) const {
        if (!address.is_present || address.is_bad) return {};
        const auto position = [](std::uint16_t p) {
            return p == 0xffff ? std::string_view::npos : std::size_t{p};
        };
        return {view(address.text), position(address.at), position(address.slash)};
    }
};

// Appends an element and all below it as XML for a place where `inherited` is the default namespace.
void append_element(std::string& out, const Block& block, std::uint32_t node, std::string_view inherited);

}  // namespace xmpp::detail
