// SPDX-License-Identifier: MIT
// Collects what the parser reports into reused scratch space and makes a Block of it: one allocation a
// stanza. Works out which elements would still mean the same if their source bytes were copied elsewhere.
// Private to xmpp/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "xmpp/jid.h"
#include "xmpp/stanza_block.h"

namespace xmpp::detail {

// A name as expat resolves it; no prefix: the default namespace or, for attributes, none.
struct QName {
    std::string_view ns, local, prefix;
    bool has_prefix = false;
};

class StanzaBuilder {
public:
    // The views must live until finish(): `source`, the prefixes handed to declare().
    void begin(std::string_view source);
    // A declaration outside of the stanza, on the stream header; before any element.
    void declare_outside(std::string_view prefix, std::string_view ns);
    // A declaration on the element that starts next.
    void declare(std::string_view prefix, std::string_view ns);
    void start_element(const QName& name, std::uint32_t begin, std::uint32_t content);
    void attribute(const QName& name, std::string_view value);  // of the element just started
    void characters(std::string_view text, std::uint32_t at, std::uint32_t size);
    void end_element(std::uint32_t content_end, std::uint32_t end);
    Block* finish(JidView stamp_from, std::string_view stamp_lang);

    std::uint32_t depth() const { return static_cast<std::uint32_t>(open_.size()); }
    std::size_t elements() const { return elements_; }
    std::size_t declarations_in_scope() const { return scope_.size(); }
    // Of the namespaces in which elements and attributes differ from what is around them, each time anew.
    std::size_t namespace_bytes() const { return namespace_bytes_; }
    // One element has begun with the source's first byte and ended with its last.
    bool is_complete() const;

private:
    struct Binding {
        std::string_view prefix;
        std::string_view outside;  // the namespace when declared outside; copied when first used
        Span ns;
        std::uint32_t depth;  // of the element that declares it; 0: outside
        bool is_copied;
    };
    struct Open {
        std::uint32_t node;
        std::uint32_t last_child;     // 0: none yet
        std::uint32_t prefix_depth;   // of the outermost prefix declaration used in the element
        std::uint32_t default_depth;  // of the outermost default declaration used
        std::uint32_t scope;          // bindings before the element's own
    };

    Span copy(std::string_view text);
    std::string_view view(Span span) const;
    const Binding* resolve(std::string_view prefix, std::size_t scope);  // among the first so many of scope_
    Span namespace_of(const QName& name, bool is_attribute);
    std::uint32_t append_node();
    void set_addresses(Block& block, JidView stamp_from);
    bool stamp(JidView from);
    bool stamp_language(std::string_view lang);
    void add_to_root(const Attribute& attribute);
    Address address_of(std::string_view attribute_name);
    Kind kind_of_root() const;
    bool payload_is_portable() const;
    Block* allocate() const;

    std::string_view source_;
    std::string resolved_;  // text that the source does not hold as it is; stands behind it
    std::vector<Node> nodes_;
    std::vector<Attribute> attributes_;
    std::vector<Open> open_;
    std::vector<Binding> scope_;
    std::size_t outside_ = 0;  // bindings of scope_ that stand outside
    std::size_t pending_ = 0;  // where the declarations of the element to start begin
    std::size_t elements_ = 0;
    std::size_t namespace_bytes_ = 0;
    bool claims_foreign_from_ = false;
};

}  // namespace xmpp::detail
