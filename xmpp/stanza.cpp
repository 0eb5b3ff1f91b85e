// SPDX-License-Identifier: MIT
// Reading a stanza's nodes, and writing it out again. Source bytes are passed through wherever they mean the
// same at their new place; what leans on a prefix declared outside is written anew. Nothing here recurses:
// nesting costs no stack.
#include "xmpp/stanza.h"

#include <cstdlib>

#include "xmpp/namespaces.h"
#include "xmpp/stanza_block.h"
#include "xmpp/xml_writer.h"

namespace xmpp {

namespace detail {

void retain(Block* block) { block->references.fetch_add(1, std::memory_order_relaxed); }

void release(Block* block) {
    if (block->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        block->~Block();
        std::free(block);
    }
}

namespace {

void append_attribute(std::string& out, std::string_view name, std::string_view value) {
    out.append(1, ' ').append(name).append("='");
    append_escaped_attribute(out, value);
    out += '\'';
}

// The element's attribute of that number. Those in one namespace share a prefix, which the first of them declares. No
// prefix of the source is relied upon.
void append_attribute(std::string& out, const Block& block, const Node& node, std::uint32_t number) {
    const Attribute* const attributes = block.attributes() + node.first_attribute;
    const Attribute& attribute = attributes[number];
    const std::string_view ns = block.view(attribute.ns);
    const std::string_view name = block.view(attribute.name);
    if (ns.empty()) return append_attribute(out, name, block.view(attribute.value));
    std::string prefix = "xml";
    if (ns != ns::xml) {
        std::uint32_t first = 0;
        while (block.view(attributes[first].ns) != ns) ++first;
        prefix = "ns" + std::to_string(first);
        if (first == number) append_attribute(out, "xmlns:" + prefix, ns);
    }
    append_attribute(out, prefix.append(1, ':').append(name), block.view(attribute.value));
}

// The bytes as they came; when they lean on another default namespace than there is, it is declared on the
// element.
void append_source(std::string& out, const Block& block, const Node& node, std::string_view inherited) {
    const std::string_view outer_default = block.view(node.outer_default);
    if (!node.needs_default || outer_default == inherited) {
        out.append(block.source(node.begin, node.end));
        return;
    }
    const std::uint32_t name_end = node.name.at + node.name.size;
    out.append(block.source(node.begin, name_end));
    append_attribute(out, "xmlns", outer_default);
    out.append(block.source(name_end, node.end));
}

void append_start_tag(std::string& out, const Block& block, const Node& node, std::string_view inherited) {
    out.append(1, '<').append(block.view(node.name));
    if (block.view(node.ns) != inherited) append_attribute(out, "xmlns", block.view(node.ns));
    for (std::uint32_t i = 0; i < node.attribute_count; ++i) append_attribute(out, block, node, i);
}

}  // namespace

void append_element(std::string& out, const Block& block, std::uint32_t top, std::string_view inherited) {
    const Node* const nodes = block.nodes();
    std::uint32_t at = top;
    for (;;) {
        const Node& node = nodes[at];
        if (node.is_text) {
            append_escaped_text(out, block.view(node.name));
        } else {
            // What is written anew carries its own namespace as default, so that is what its children
            // inherit.
            const std::string_view around = at == top ? inherited : block.view(nodes[node.parent].ns);
            const bool as_it_came = !node.needs_prefix && !(at == 0 && block.is_stamped);
            if (as_it_came) {
                append_source(out, block, node, around);
            } else {
                append_start_tag(out, block, node, around);
                out += node.has_children ? ">" : "/>";
                if (node.has_children) {
                    ++at;
                    continue;
                }
            }
        }
        while (at != top && nodes[at].next == 0) {
            at = nodes[at].parent;
            out.append("</").append(block.view(nodes[at].name)).append(1, '>');
        }
        if (at == top) return;
        at = nodes[at].next;
    }
}

}  // namespace detail

using detail::Attribute;
using detail::Block;
using detail::Node;

std::string_view Element::name() const {
    return block_ ? block_->view(block_->nodes()[node_].name) : std::string_view{};
}

std::string_view Element::ns() const {
    return block_ ? block_->view(block_->nodes()[node_].ns) : std::string_view{};
}

bool Element::is(std::string_view name, std::string_view ns) const {
    return block_ && this->name() == name && this->ns() == ns;
}

std::string_view Element::attr(std::string_view name) const {
    return find_attr(name).value_or(std::string_view{});
}

std::optional<std::string_view> Element::find_attr(std::string_view name) const {
    return find_attr(name, {});
}

std::optional<std::string_view> Element::find_attr(std::string_view name, std::string_view ns) const {
    if (!block_) return std::nullopt;
    const Node& node = block_->nodes()[node_];
    const Attribute* const first = block_->attributes() + node.first_attribute;
    for (const Attribute* each = first; each != first + node.attribute_count; ++each)
        if (block_->view(each->name) == name && block_->view(each->ns) == ns)
            return block_->view(each->value);
    return std::nullopt;
}

std::string_view Element::lang() const { return find_attr("lang", ns::xml).value_or(std::string_view{}); }

std::string Element::text() const {
    std::string joined;
    if (!block_ || !block_->nodes()[node_].has_children) return joined;
    for (std::uint32_t at = node_ + 1;;) {
        const Node& node = block_->nodes()[at];
        if (node.is_text) joined.append(block_->view(node.name));
        if (node.next == 0) return joined;
        at = node.next;
    }
}

std::string_view Element::text_view() const {
    if (!block_ || !block_->nodes()[node_].has_children) return {};
    for (std::uint32_t at = node_ + 1;;) {
        const Node& node = block_->nodes()[at];
        if (node.is_text) return block_->view(node.name);
        if (node.next == 0) return {};
        at = node.next;
    }
}

Element::Children Element::children() const { return {first_child()}; }

Element Element::first_child() const {
    if (!block_ || !block_->nodes()[node_].has_children) return {};
    const Element first{block_, node_ + 1};
    return block_->nodes()[node_ + 1].is_text ? first.next_sibling() : first;
}

Element Element::next_sibling() const {
    for (std::uint32_t at = block_->nodes()[node_].next; at != 0; at = block_->nodes()[at].next)
        if (!block_->nodes()[at].is_text) return Element{block_, at};
    return {};
}

Element Element::child(std::string_view name, std::string_view ns) const {
    for (const Element each : children())
        if (each.is(name, ns)) return each;
    return {};
}

Element Element::child_in(std::string_view ns) const {
    for (const Element each : children())
        if (each.ns() == ns) return each;
    return {};
}

std::size_t Element::child_count() const {
    std::size_t count = 0;
    for (Iterator at = children().begin(); at != Iterator{}; ++at) ++count;
    return count;
}

void Element::append_to(std::string& out, std::string_view inherited) const {
    if (block_) detail::append_element(out, *block_, node_, inherited);
}

std::string Element::xml(std::string_view inherited) const {
    std::string out;
    append_to(out, inherited);
    return out;
}

Kind Stanza::kind() const { return block_ ? block_->kind : Kind::other; }

JidView Stanza::from() const { return block_ ? block_->address(block_->from) : JidView{}; }

JidView Stanza::to() const { return block_ ? block_->address(block_->to) : JidView{}; }

bool Stanza::has_bad_to() const { return block_ && block_->to.is_bad; }

bool Stanza::has_bad_from() const { return block_ && (block_->from.is_bad || block_->claims_foreign_from); }

std::size_t Stanza::size() const { return block_ ? block_->source_size : 0; }

namespace {

// One of from, to and type: what the rewrite says, else what the source has; an empty word means none.
void append_rewritten(std::string& out, std::string_view name, bool is_rewritten, std::string_view rewritten,
                      std::optional<std::string_view> original) {
    if (is_rewritten) {
        if (!rewritten.empty()) detail::append_attribute(out, name, rewritten);
    } else if (original) {
        detail::append_attribute(out, name, *original);
    }
}

std::optional<std::string_view> original_address(const Block& block, const detail::Address& address,
                                                 Element root, std::string_view name) {
    if (!address.is_present) return std::nullopt;
    return address.is_bad ? root.attr(name) : block.address(address).text();
}

void append_start_tag(std::string& out, const Block& block, Element root, const Stanza::Rewrite& rewrite,
                      std::string_view declared_ns) {
    const Node& node = block.nodes()[0];
    out.append(1, '<').append(root.name());
    if (!declared_ns.empty()) detail::append_attribute(out, "xmlns", declared_ns);
    append_rewritten(out, "from", rewrite.from.has_value(), rewrite.from.value_or(JidView{}).text(),
                     original_address(block, block.from, root, "from"));
    append_rewritten(out, "to", rewrite.to.has_value(), rewrite.to.value_or(JidView{}).text(),
                     original_address(block, block.to, root, "to"));
    append_rewritten(out, "type", rewrite.type.has_value(), rewrite.type.value_or(std::string_view{}),
                     root.find_attr("type"));
    bool has_lang = false;
    for (std::uint32_t i = 0; i < node.attribute_count; ++i) {
        const Attribute& attribute = block.attributes()[node.first_attribute + i];
        const std::string_view name = block.view(attribute.name);
        const std::string_view ns = block.view(attribute.ns);
        if (ns.empty() && (name == "from" || name == "to" || name == "type")) continue;
        has_lang = has_lang || (name == "lang" && ns == ns::xml);
        detail::append_attribute(out, block, node, i);
    }
    if (!has_lang && !rewrite.lang.empty()) detail::append_attribute(out, "xml:lang", rewrite.lang);
}

}  // namespace

void Stanza::write(std::string& out, const Rewrite& rewrite) const {
    if (!block_) return;
    const Block& block = *block_;
    const Node& root = block.nodes()[0];
    const std::string_view ns = element().ns();
    const bool is_content = ns == ns::client || ns == ns::server;
    append_start_tag(out, block, element(), rewrite, is_content ? std::string_view{} : ns);

    const std::size_t tag_end = out.size();
    out += '>';
    std::uint32_t copied = root.content;  // the source up to here is written or left out
    if (root.has_children && (!block.payload_is_portable || rewrite.strip)) {
        for (std::uint32_t at = 1; at != 0; at = block.nodes()[at].next) {
            const Node& child = block.nodes()[at];
            if (child.is_text) continue;
            const bool is_stripped = rewrite.strip && rewrite.strip(Element{block_, at}, rewrite.context);
            // Source that leans on the content namespace may go through: the recipient's stream has it as
            // default.
            const bool as_it_came =
                !child.needs_prefix && (!child.needs_default || block.view(child.outer_default) == ns);
            if (!is_stripped && as_it_came) continue;
            out.append(block.source(copied, child.begin));
            if (!is_stripped) detail::append_element(out, block, at, ns);
            copied = child.end;
        }
    }
    if (copied < root.content_end) out.append(block.source(copied, root.content_end));
    out.append(rewrite.append);
    if (out.size() == tag_end + 1) {
        out.insert(tag_end, 1, '/');
    } else {
        out.append("</").append(element().name()).append(1, '>');
    }
}

std::string Stanza::xml() const { return element().xml(); }

std::string standing_alone(std::string_view xml) {
    const std::size_t name_end = xml.find_first_of(" />");
    if (xml.substr(name_end).starts_with(" xmlns=")) return std::string{xml};
    std::string alone{xml.substr(0, name_end)};
    alone.append(" xmlns='").append(ns::client).append("'").append(xml.substr(name_end));
    return alone;
}

}  // namespace xmpp
