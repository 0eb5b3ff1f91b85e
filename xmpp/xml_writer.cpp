// SPDX-License-Identifier: MIT
// Writes well-formed XML into a string. Characters that XML 1.0 §2.2 forbids come out as U+FFFD rather than
// end the reader's stream.
#include "xmpp/xml_writer.h"

#include <array>
#include <cassert>
#include <charconv>
#include <cstdint>

namespace xmpp {

namespace {

constexpr std::uint8_t special_in_text = 1;
constexpr std::uint8_t special_in_attribute = 2;

constexpr std::array<std::uint8_t, 256> make_specials() {
    std::array<std::uint8_t, 256> specials{};
    for (std::size_t c = 0; c < 0x20; ++c) specials[c] = special_in_text | special_in_attribute;
    specials['\t'] = specials['\n'] = special_in_attribute;
    specials['&'] = specials['<'] = specials['>'] = special_in_text | special_in_attribute;
    specials['\''] = specials['"'] = special_in_attribute;
    return specials;
}

constexpr std::array<std::uint8_t, 256> specials = make_specials();

std::string_view escaped(char c) {
    switch (c) {
        case '&': return "&amp;";
        case '<': return "&lt;";
        case '>': return "&gt;";
        case '\'': return "&apos;";
        case '"': return "&quot;";
        case '\t': return "&#9;";
        case '\n': return "&#10;";
        case '\r': return "&#13;";
        default: return "\xef\xbf\xbd";
    }
}

void append_escaped(std::string& out, std::string_view text, std::uint8_t where) {
    std::size_t clean = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if ((specials[static_cast<unsigned char>(text[i])] & where) == 0) continue;
        out.append(text, clean, i - clean).append(escaped(text[i]));
        clean = i + 1;
    }
    out.append(text, clean);
}

}  // namespace

void append_escaped_text(std::string& out, std::string_view text) {
    append_escaped(out, text, special_in_text);
}

void append_escaped_attribute(std::string& out, std::string_view text) {
    append_escaped(out, text, special_in_attribute);
}

XmlWriter::XmlWriter(std::string_view inherited) : namespaces_{inherited} {
    open_.push_back({0, 0, 0, inherited.size()});
}

XmlWriter& XmlWriter::open(std::string_view name, std::string_view ns) {
    const Open around = open_.back();
    end_start_tag();
    out_ += '<';
    Open opened{out_.size(), name.size(), around.ns_at, around.ns_size};
    out_.append(name);
    if (ns != std::string_view{namespaces_}.substr(around.ns_at, around.ns_size)) {
        opened.ns_at = namespaces_.size();
        opened.ns_size = ns.size();
        namespaces_.append(ns);
        out_.append(" xmlns='");
        append_escaped_attribute(out_, ns);
        out_ += '\'';
    }
    open_.push_back(opened);
    in_start_tag_ = true;
    return *this;
}

XmlWriter& XmlWriter::open(std::string_view name) {
    const Open around = open_.back();
    end_start_tag();
    out_ += '<';
    open_.push_back({out_.size(), name.size(), around.ns_at, around.ns_size});
    out_.append(name);
    in_start_tag_ = true;
    return *this;
}

XmlWriter& XmlWriter::attr(std::string_view name, std::string_view value) {
    assert(in_start_tag_);
    out_.append(1, ' ').append(name).append("='");
    append_escaped_attribute(out_, value);
    out_ += '\'';
    return *this;
}

XmlWriter& XmlWriter::attr(std::string_view name, std::uint64_t value) {
    char digits[20];
    const auto written = std::to_chars(digits, digits + sizeof digits, value);
    return attr(name, std::string_view{digits, static_cast<std::size_t>(written.ptr - digits)});
}

XmlWriter& XmlWriter::attr_if(std::string_view name, std::string_view value) {
    return value.empty() ? *this : attr(name, value);
}

XmlWriter& XmlWriter::text(std::string_view text) {
    if (text.empty()) return *this;
    end_start_tag();
    append_escaped_text(out_, text);
    return *this;
}

XmlWriter& XmlWriter::raw(std::string_view xml) {
    if (xml.empty()) return *this;
    end_start_tag();
    out_.append(xml);
    return *this;
}

XmlWriter& XmlWriter::close() {
    assert(open_.size() > 1);
    const Open closed = open_.back();
    open_.pop_back();
    if (in_start_tag_) {
        out_.append("/>");
        in_start_tag_ = false;
    } else {
        // The name stands in the start tag already; appending from the string itself survives its growth.
        out_.append("</").append(out_, closed.name_at, closed.name_size).append(1, '>');
    }
    const Open& around = open_.back();
    if (around.ns_at != closed.ns_at) namespaces_.resize(closed.ns_at);
    return *this;
}

std::string XmlWriter::take() {
    while (open_.size() > 1) close();
    return std::move(out_);
}

void XmlWriter::end_start_tag() {
    if (in_start_tag_) out_ += '>';
    in_start_tag_ = false;
}

}  // namespace xmpp
