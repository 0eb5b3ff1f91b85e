// SPDX-License-Identifier: MIT
// A top-level element of a stream (RFC 6120 §8) in one immutable, reference-counted block: the source bytes as they
// came, and a flat array of nodes with views into the block. Copying a Stanza copies a pointer; blocks may be read by
// any thread. Element is a borrowed look at one node and lives no longer than its Stanza.
#pragma once

#include <atomic>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "xmpp/jid.h"

namespace xmpp {

namespace detail {
struct Block;  // stanza_block.h
void retain(Block* block);
void release(Block* block);
}

class Element {
public:
    Element() = default;  // no element: every question answers empty, so lookups chain
    explicit operator bool() const { return block_ != nullptr; }
    friend bool operator==(const Element& a, const Element& b) {  // the same node of the same stanza
        return a.block_ == b.block_ && a.node_ == b.node_;
    }

    std::string_view name() const;
    std::string_view ns() const;
    bool is(std::string_view name, std::string_view ns) const;

    // Attribute values, entities resolved. attr() answers "" for an absent attribute; find_attr tells them apart.
    std::string_view attr(std::string_view name) const;
    std::optional<std::string_view> find_attr(std::string_view name) const;
    std::optional<std::string_view> find_attr(std::string_view name, std::string_view ns) const;
    std::string_view lang() const;  // xml:lang on this element itself

    // Character data directly in this element, in order; text() joins, and needs no copy when there is one run.
    std::string text() const;
    std::string_view text_view() const;  // the first run of character data

    class Iterator;
    struct Children;
    Children children() const;  // child elements only
    Element first_child() const;
    Element child(std::string_view name, std::string_view ns) const;
    Element child_in(std::string_view ns) const;  // the first child of that namespace, whatever its name
    std::size_t child_count() const;
    std::string_view child_text(std::string_view name, std::string_view ns) const { return child(name, ns).text_view(); }

    // This element as XML that stands alone: where its namespace differs from `inherited`, it is declared. Passes the
    // source bytes through when they are self-contained, else writes the nodes anew. Appends to `out`.
    void append_to(std::string& out, std::string_view inherited = {}) const;
    std::string xml(std::string_view inherited = {}) const;

private:
    friend class Stanza;
    Element(const detail::Block* block, std::uint32_t node) : block_{block}, node_{node} {}
    Element next_sibling() const;

    const detail::Block* block_ = nullptr;
    std::uint32_t node_ = 0;
};

class Element::Iterator {
public:
    using value_type = Element;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;
    Iterator() = default;
    explicit Iterator(Element at) : at_{at} {}
    Element operator*() const { return at_; }
    Iterator& operator++() { at_ = at_.next_sibling(); return *this; }
    Iterator operator++(int) { Iterator old = *this; ++*this; return old; }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.at_ == b.at_; }

private:
    Element at_;
};

struct Element::Children {
    Element first;
    Iterator begin() const { return Iterator{first}; }
    Iterator end() const { return Iterator{}; }
};

enum class Kind : std::uint8_t { message, presence, iq, other };  // other: not a stanza (auth, starttls, r, a, …)

class Stanza {
public:
    Stanza() = default;
    Stanza(const Stanza& other) : block_{other.block_} { if (block_) detail::retain(block_); }
    Stanza(Stanza&& other) noexcept : block_{std::exchange(other.block_, nullptr)} {}
    Stanza& operator=(Stanza other) noexcept { std::swap(block_, other.block_); return *this; }
    ~Stanza() { if (block_) detail::release(block_); }
    explicit operator bool() const { return block_ != nullptr; }

    Element element() const { return Element{block_, 0}; }
    // message, presence or iq in jabber:client or jabber:server; anything else is `other`.
    Kind kind() const;
    std::string_view id() const { return element().attr("id"); }
    std::string_view type() const { return element().attr("type"); }
    std::string_view lang() const { return element().lang(); }
    bool is_error() const { return type() == "error"; }

    // Normalised addresses; empty when absent. has_bad_to(): a 'to' was there and is no JID.
    JidView from() const;
    JidView to() const;
    bool has_bad_to() const;
    bool has_bad_from() const;   // is no JID, or was stamped over one that is not the sender's

    Element child(std::string_view name, std::string_view ns) const { return element().child(name, ns); }
    Element::Children children() const { return element().children(); }

    std::size_t size() const;  // source bytes, a measure of what it costs to keep

    // What a copy of the stanza is to look like on the wire. Views must outlive the call only.
    struct Rewrite {
        std::optional<JidView> from;     // absent: as it is; empty: without
        std::optional<JidView> to;
        std::optional<std::string_view> type;
        std::string_view lang;           // xml:lang to add where the stanza has none (RFC 6120 §8.1.5)
        std::string_view append;         // XML to add as last children
        // Children to leave out; called once per child when set. A plain pointer pair: no allocation.
        bool (*strip)(const Element& child, const void* context) = nullptr;
        const void* context = nullptr;
    };
    // The stanza as XML in jabber:client (no declaration on the root: the stream header declares it). The payload is
    // copied verbatim when nothing is stripped and it needs no namespace from outside it.
    void write(std::string& out, const Rewrite& rewrite) const;
    std::string xml() const;  // as it is, with xmlns on the root: stands alone (archive, logs, tests)

private:
    friend class Parser;
    explicit Stanza(detail::Block* owned) : block_{owned} {}
    detail::Block* block_ = nullptr;
};

// XML of a stanza as Stanza::write makes it, with the declaration that a stream's header would have: for <forwarded/>
// (XEP-0297). What declares its namespace itself is left as it is.
std::string standing_alone(std::string_view xml);

}  // namespace xmpp
