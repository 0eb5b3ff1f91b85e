// SPDX-License-Identifier: MIT
// From parser events to a Block. Namespaces are resolved a second time here, by prefix, to learn *where* each
// was declared: that decides whether an element's source bytes can stand elsewhere. expat has judged their
// correctness.
#include "xmpp/stanza_builder.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "xmpp/namespaces.h"

namespace xmpp::detail {

namespace {

constexpr std::uint32_t nowhere = std::numeric_limits<std::uint32_t>::max();  // deeper than any element

// Scratch space above this is given back after the stanza, so that one giant does not stay in memory for
// ever.
constexpr std::size_t scratch_to_keep = 64 * 1024;

template <class Container>
void reuse(Container& container) {
    if (container.capacity() * sizeof(container[0]) > scratch_to_keep)
        Container{}.swap(container);
    else
        container.clear();
}

}  // namespace

void StanzaBuilder::begin(std::string_view source) {
    source_ = source;
    reuse(resolved_);
    reuse(nodes_);
    reuse(attributes_);
    reuse(open_);
    reuse(scope_);
    elements_ = namespace_bytes_ = 0;
    outside_ = pending_ = 0;
    declare_outside({}, ns::client);
    declare_outside("stream", ns::stream);
    declare_outside("xml", ns::xml);
    scope_.back().depth = nowhere;  // declared everywhere, so never missed elsewhere
}

void StanzaBuilder::declare_outside(std::string_view prefix, std::string_view ns) {
    scope_.push_back({prefix, ns, {}, 0, false});
    outside_ = pending_ = scope_.size();
}

void StanzaBuilder::declare(std::string_view prefix, std::string_view ns) {
    scope_.push_back({prefix, {}, copy(ns), depth() + 1, true});
}

void StanzaBuilder::start_element(const QName& name, std::uint32_t begin, std::uint32_t content) {
    ++elements_;
    const Span outer_default = resolve({}, pending_)->ns;  // without the element's own declarations
    const std::uint32_t index = append_node();
    open_.push_back({index, 0, nowhere, nowhere, static_cast<std::uint32_t>(pending_)});
    pending_ = scope_.size();
    const Span ns = namespace_of(name, false);
    Node& node = nodes_[index];
    const std::size_t prefix_size = name.has_prefix ? name.prefix.size() + 1 : 0;
    node.name = {static_cast<std::uint32_t>(begin + 1 + prefix_size),
                 static_cast<std::uint32_t>(name.local.size())};
    assert(view(node.name) == name.local);
    node.ns = ns;
    const bool is_as_around = index != 0 && view(nodes_[node.parent].ns) == view(ns);
    if (!is_as_around) namespace_bytes_ += ns.size;
    node.outer_default = outer_default;
    node.begin = begin;
    node.content = content;
    node.first_attribute = static_cast<std::uint32_t>(attributes_.size());
}

void StanzaBuilder::attribute(const QName& name, std::string_view value) {
    const Span ns = namespace_of(name, true);
    if (name.ns != ns::xml) namespace_bytes_ += ns.size;
    attributes_.push_back({copy(name.local), ns, copy(value)});
    ++nodes_[open_.back().node].attribute_count;
}

void StanzaBuilder::characters(std::string_view text, std::uint32_t at, std::uint32_t size) {
    const bool as_in_source = source_.substr(at, size) == text;
    const bool continues = nodes_.back().is_text && nodes_.size() - 1 == open_.back().last_child;
    if (!continues) {
        const Span run = as_in_source ? Span{at, size} : copy(text);
        Node& node = nodes_[append_node()];
        node.is_text = true;
        node.name = run;
        node.begin = node.content = at;
        node.content_end = node.end = at + size;
        return;
    }
    Node& node = nodes_.back();
    node.content_end = node.end = at + size;
    const bool run_is_in_source = node.name.at < source_.size();
    if (run_is_in_source && as_in_source && node.name.at + node.name.size == at) {
        node.name.size += size;
        return;
    }
    if (run_is_in_source) node.name = copy(source_.substr(node.name.at, node.name.size));
    node.name.size += copy(text).size;  // the run is the last of resolved_: nothing else is copied in between
}

void StanzaBuilder::end_element(std::uint32_t content_end, std::uint32_t end) {
    const Open closed = open_.back();
    Node& node = nodes_[closed.node];
    node.content_end = content_end;
    node.end = end;
    node.needs_prefix = closed.prefix_depth < depth();
    node.needs_default = closed.default_depth < depth();
    open_.pop_back();
    if (!open_.empty()) {
        Open& parent = open_.back();
        parent.prefix_depth = std::min(parent.prefix_depth, closed.prefix_depth);
        parent.default_depth = std::min(parent.default_depth, closed.default_depth);
    }
    scope_.resize(closed.scope);
    pending_ = closed.scope;
}

bool StanzaBuilder::is_complete() const {
    return open_.empty() && !nodes_.empty() && nodes_[0].begin == 0 && nodes_[0].end == source_.size();
}

Block* StanzaBuilder::finish(JidView stamp_from, std::string_view stamp_lang) {
    claims_foreign_from_ = false;
    bool is_stamped = !stamp_from.empty() && stamp(stamp_from);
    if (!stamp_lang.empty() && kind_of_root() != Kind::other) is_stamped |= stamp_language(stamp_lang);
    const Address to = address_of("to");
    const Address from = address_of("from");
    Block* block = allocate();
    block->kind = kind_of_root();
    block->is_stamped = is_stamped;
    block->claims_foreign_from = claims_foreign_from_;
    block->payload_is_portable = payload_is_portable();
    block->to = to;
    block->from = from;
    return block;
}

Span StanzaBuilder::copy(std::string_view text) {
    const Span span{static_cast<std::uint32_t>(source_.size() + resolved_.size()),
                    static_cast<std::uint32_t>(text.size())};
    resolved_.append(text);
    return span;
}

std::string_view StanzaBuilder::view(Span span) const {
    if (span.at < source_.size()) return source_.substr(span.at, span.size);
    return std::string_view{resolved_}.substr(span.at - source_.size(), span.size);
}

const StanzaBuilder::Binding* StanzaBuilder::resolve(std::string_view prefix, std::size_t scope) {
    for (std::size_t i = scope; i-- > 0;) {
        Binding& binding = scope_[i];
        if (binding.prefix != prefix) continue;
        if (!binding.is_copied) {
            binding.ns = copy(binding.outside);
            binding.is_copied = true;
        }
        return &binding;
    }
    return nullptr;
}

Span StanzaBuilder::namespace_of(const QName& name, bool is_attribute) {
    if (is_attribute && !name.has_prefix) return {};
    const Binding* binding = resolve(name.prefix, scope_.size());
    assert(binding && view(binding->ns) == name.ns);
    if (!binding) return copy(name.ns);
    Open& open = open_.back();
    std::uint32_t& outermost = name.has_prefix ? open.prefix_depth : open.default_depth;
    outermost = std::min(outermost, binding->depth);
    return binding->ns;
}

std::uint32_t StanzaBuilder::append_node() {
    const auto index = static_cast<std::uint32_t>(nodes_.size());
    nodes_.emplace_back();
    if (open_.empty()) return index;
    Open& parent = open_.back();
    nodes_[index].parent = parent.node;
    nodes_[parent.node].has_children = true;
    if (parent.last_child != 0) nodes_[parent.last_child].next = index;
    parent.last_child = index;
    return index;
}

// RFC 6120 §8.1.2.1: the server's word for where a stanza comes from stands in for the client's.
// False when they agree.
bool StanzaBuilder::stamp(JidView from) {
    Node& root = nodes_[0];
    const auto first = attributes_.begin() + root.first_attribute;
    const auto last = first + root.attribute_count;
    const auto found = std::find_if(
        first, last, [this](const Attribute& a) { return a.ns.size == 0 && view(a.name) == "from"; });
    if (found != last) {
        if (view(found->value) == from.text()) return false;
        // RFC 6120 §8.1.2.1: a client may write its full or its bare JID, and no other.
        const auto claimed = Jid::parse(view(found->value));
        claims_foreign_from_ = !claimed || (claimed->view() != from && claimed->view() != from.bare());
        found->value = copy(from.text());
        return true;
    }
    const Span name = copy("from");
    add_to_root({name, Span{}, copy(from.text())});
    return true;
}

// False when the root has a language of its own.
bool StanzaBuilder::stamp_language(std::string_view lang) {
    const auto first = attributes_.begin() + nodes_[0].first_attribute;
    const auto last = first + nodes_[0].attribute_count;
    if (std::any_of(first, last,
                    [this](const Attribute& a) { return view(a.name) == "lang" && view(a.ns) == ns::xml; }))
        return false;
    const Span name = copy("lang");
    const Span xml = copy(ns::xml);
    add_to_root({name, xml, copy(lang)});
    return true;
}

void StanzaBuilder::add_to_root(const Attribute& attribute) {
    Node& root = nodes_[0];
    attributes_.insert(attributes_.begin() + root.first_attribute + root.attribute_count, attribute);
    ++root.attribute_count;
    for (std::size_t i = 1; i < nodes_.size(); ++i) ++nodes_[i].first_attribute;
}

Address StanzaBuilder::address_of(std::string_view attribute_name) {
    Address address;
    const Node& root = nodes_[0];
    for (std::uint32_t i = 0; i < root.attribute_count; ++i) {
        const Attribute& attribute = attributes_[root.first_attribute + i];
        if (attribute.ns.size != 0 || view(attribute.name) != attribute_name) continue;
        address.is_present = true;
        const auto set = [&address](Span text, JidView jid) {
            const auto position = [](std::size_t p) {
                return p == std::string_view::npos ? std::uint16_t{0xffff} : static_cast<std::uint16_t>(p);
            };
            address.text = text;
            address.at = position(jid.text().substr(0, jid.text().find('/')).find('@'));
            address.slash = position(jid.text().find('/'));
        };
        if (const auto normal = view_if_normal(view(attribute.value)))
            set(attribute.value, *normal);
        else if (const auto jid = Jid::parse(view(attribute.value)))
            set(copy(jid->text()), *jid);
        else
            address.is_bad = true;
        break;
    }
    return address;
}

Kind StanzaBuilder::kind_of_root() const {
    const std::string_view ns = view(nodes_[0].ns);
    if (ns != ns::client && ns != ns::server) return Kind::other;
    const std::string_view name = view(nodes_[0].name);
    if (name == "message") return Kind::message;
    if (name == "presence") return Kind::presence;
    return name == "iq" ? Kind::iq : Kind::other;
}

bool StanzaBuilder::payload_is_portable() const {
    if (nodes_.size() == 1) return true;
    const std::string_view root_ns = view(nodes_[0].ns);
    for (std::uint32_t i = 1; i != 0; i = nodes_[i].next) {
        const Node& child = nodes_[i];
        if (child.is_text) continue;
        if (child.needs_prefix || (child.needs_default && view(child.outer_default) != root_ns)) return false;
    }
    return true;
}

Block* StanzaBuilder::allocate() const {
    static_assert(alignof(Node) <= alignof(Block) && alignof(Attribute) <= alignof(Node));
    static_assert(sizeof(Block) % alignof(Node) == 0);
    const std::size_t size = sizeof(Block) + nodes_.size() * sizeof(Node) +
                             attributes_.size() * sizeof(Attribute) + source_.size() + resolved_.size();
    void* memory = std::malloc(size);
    if (!memory) throw std::bad_alloc{};
    Block* block = new (memory) Block;
    block->node_count = static_cast<std::uint32_t>(nodes_.size());
    block->attribute_count = static_cast<std::uint32_t>(attributes_.size());
    block->source_size = static_cast<std::uint32_t>(source_.size());
    block->bytes_size = static_cast<std::uint32_t>(source_.size() + resolved_.size());
    std::uninitialized_copy(nodes_.begin(), nodes_.end(), block->nodes());
    std::uninitialized_copy(attributes_.begin(), attributes_.end(), block->attributes());
    std::memcpy(block->bytes(), source_.data(), source_.size());
    std::memcpy(block->bytes() + source_.size(), resolved_.data(), resolved_.size());
    return block;
}

}  // namespace xmpp::detail
