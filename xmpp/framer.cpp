// SPDX-License-Identifier: MIT
// A scanner of top-level elements. It knows just enough of XML to find their ends: tags, quotes, CDATA. It
// may be wrong about malformed input, since expat parses every frame and accepts exactly one element.
#include "xmpp/framer.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace xmpp {

enum class Framer::State : std::uint8_t {
    between,        // outside of any element: white space, '<'
    content,        // inside an element
    after_less,     // '<'
    after_bang,     // "<!"
    declaration,    // "<?xml …": the XML declaration, until "?>"; detail_: the last byte was '?'
    tag,            // in a start tag, outside of quotes
    tag_slash,      // '/' in a start tag
    single_quoted,  // in an attribute's value
    double_quoted,
    end_tag,      // "</…" inside an element
    footer,       // "</…" outside: detail_ bytes of the stream's name are there
    cdata_start,  // "<![": detail_ bytes of "CDATA[" are there
    cdata,        // detail_: how many ']' stand before, at most two
};

namespace {

constexpr std::string_view stream_name = "stream:stream";
constexpr std::string_view cdata_name = "CDATA[";

// Made once: a framer holds a pointer, since there is one per connection.
namespace errors {
const StreamError markup{StreamCondition::restricted_xml, "no comments and document types"};
const StreamError stray_slash{StreamCondition::not_well_formed, "a stray '/'"};
const StreamError no_cdata{StreamCondition::not_well_formed, "neither CDATA nor an element"};
const StreamError not_utf8{StreamCondition::unsupported_encoding, "not UTF-8"};
const StreamError no_header{StreamCondition::not_well_formed, "not a stream header"};
const StreamError stray_text{StreamCondition::invalid_xml, "character data outside of elements"};
const StreamError instruction{StreamCondition::restricted_xml, "no processing instructions"};
const StreamError no_name{StreamCondition::not_well_formed, "no element name"};
const StreamError too_deep{StreamCondition::policy_violation, "nested too deeply"};
const StreamError too_many_elements{StreamCondition::policy_violation, "too many elements"};
const StreamError too_many_attributes{StreamCondition::policy_violation, "too many attributes"};
const StreamError stray_less{StreamCondition::not_well_formed, "'<' inside a tag"};
const StreamError stray_end{StreamCondition::not_well_formed, "an end tag that ends nothing"};
const StreamError too_long{StreamCondition::policy_violation, "stanza too long"};
}  // namespace errors

constexpr bool is_white(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace

void Framer::expect_header() {
    const Limits* limits = limits_;
    *this = Framer{*limits};
}

bool Framer::is_mid_element() const { return scanned_ > 0; }

Framer::Frame Framer::fail(const StreamError& error) {
    error_ = &error;
    return {Found::error, {}, 0};
}

// The frame ends before `end`; everything is ready for the next one.
Framer::Frame Framer::complete(Found found, std::string_view input, std::size_t start, std::size_t end) {
    scanned_ = 0;
    depth_ = 0;
    elements_ = 0;
    attributes_ = 0;
    detail_ = 0;
    state_ = static_cast<std::uint8_t>(State::between);
    if (found == Found::header) header_expected_ = false;
    return {found, input.substr(start, end - start), end};
}

Framer::Frame Framer::next(std::string_view input) {
    if (error_) return {Found::error, {}, 0};
    std::size_t start = 0;
    if (scanned_ == 0) {
        while (start < input.size() && is_white(input[start])) ++start;
        if (start == input.size()) return {Found::nothing, {}, start};
    }
    const std::size_t allowed = std::min<std::size_t>(input.size(), start + limits_->stanza_bytes);
    std::size_t at = start + scanned_;
    while (at < allowed) {
        Step step = scan(input.substr(0, allowed), at);
        if (step.error) return fail(*step.error);
        at = step.at;
        if (step.found != Found::nothing) return complete(step.found, input, start, at);
    }
    if (input.size() > allowed) return fail(errors::too_long);
    scanned_ = static_cast<std::uint32_t>(at - start);
    return {Found::nothing, {}, start};
}

// Goes on from `at`, as far as the present state reaches.
Framer::Step Framer::scan(std::string_view input, std::size_t at) {
    const auto find = [&](char c) {
        const void* found = std::memchr(input.data() + at, c, input.size() - at);
        return found ? static_cast<std::size_t>(static_cast<const char*>(found) - input.data())
                     : input.size();
    };
    switch (static_cast<State>(state_)) {
        case State::between: return scan_between(input[at], at);
        case State::content:
            at = find('<');
            if (at < input.size()) enter(State::after_less);
            return {std::min(at + 1, input.size())};
        case State::after_less: return scan_after_less(input[at], at);
        case State::after_bang:
            if (input[at] != '[' || depth_ == 0) return {at, Found::nothing, &errors::markup};
            enter(State::cdata_start);
            return {at + 1};
        case State::declaration: return scan_declaration(input, at);
        case State::tag: return scan_tag(input, at);
        case State::tag_slash:
            if (input[at] != '>') return {at, Found::nothing, &errors::stray_slash};
            return end_element(at + 1);
        case State::single_quoted:
        case State::double_quoted:
            at = find(static_cast<State>(state_) == State::single_quoted ? '\'' : '"');
            if (at < input.size()) enter(State::tag);
            return {std::min(at + 1, input.size())};
        case State::end_tag:
            at = find('>');
            if (at == input.size()) return {at};
            --depth_;
            return end_element(at + 1);
        case State::footer: return scan_footer(input[at], at);
        case State::cdata_start:
            if (input[at] != cdata_name[detail_]) return {at, Found::nothing, &errors::no_cdata};
            if (++detail_ == cdata_name.size()) enter(State::cdata);
            return {at + 1};
        case State::cdata: return scan_cdata(input, at);
    }
    assert(false);
    return {input.size()};
}

void Framer::enter(State state) {
    state_ = static_cast<std::uint8_t>(state);
    detail_ = 0;
}

// An element has just ended, or a start tag that has no content; depth_ counts what is still open.
Framer::Step Framer::end_element(std::size_t at) {
    if (header_expected_) return {at, Found::header};
    if (depth_ == 0) return {at, Found::element};
    enter(State::content);
    return {at};
}

Framer::Step Framer::scan_between(char c, std::size_t at) {
    if (c == '<') {
        enter(State::after_less);
        return {at + 1};
    }
    if (is_white(c)) return {at + 1};  // between the XML declaration and the stream header
    // RFC 6120 §11.6: a stream in UTF-16 begins with one of these.
    const bool is_utf16 = header_expected_ && (c == '\xfe' || c == '\xff' || c == '\0');
    if (is_utf16) return {at, Found::nothing, &errors::not_utf8};
    if (header_expected_) return {at, Found::nothing, &errors::no_header};
    return {at, Found::nothing, &errors::stray_text};
}

Framer::Step Framer::scan_after_less(char c, std::size_t at) {
    if (c == '!') {
        enter(State::after_bang);
        return {at + 1};
    }
    if (c == '?') {
        // Only the very first thing in a stream; a second one finds has_declaration_ set.
        if (!header_expected_ || has_declaration_) return {at, Found::nothing, &errors::instruction};
        has_declaration_ = true;
        enter(State::declaration);
        return {at + 1};
    }
    if (c == '/') {
        if (header_expected_) return {at, Found::nothing, &errors::no_header};
        enter(depth_ == 0 ? State::footer : State::end_tag);
        return {at + 1};
    }
    if (c == '\0' && header_expected_) return {at, Found::nothing, &errors::not_utf8};
    const bool starts_name =
        c == ':' || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
    if (!starts_name) return {at, Found::nothing, &errors::no_name};
    if (depth_ >= limits_->depth) return {at, Found::nothing, &errors::too_deep};
    if (++elements_ > limits_->elements) return {at, Found::nothing, &errors::too_many_elements};
    attributes_ = 0;
    enter(State::tag);
    return {at + 1};
}

Framer::Step Framer::scan_tag(std::string_view input, std::size_t at) {
    for (; at < input.size(); ++at) {
        switch (input[at]) {
            case '>':
                if (header_expected_) return {at + 1, Found::header};
                ++depth_;
                enter(State::content);
                return {at + 1};
            case '/': enter(State::tag_slash); return {at + 1};
            case '\'':
            case '"':
                if (++attributes_ > limits_->attributes)
                    return {at, Found::nothing, &errors::too_many_attributes};
                // The value is usually here whole; only when it is not, the state remembers its quote.
                if (const std::size_t closed = input.find(input[at], at + 1); closed != input.npos) {
                    at = closed;
                    break;
                }
                enter(input[at] == '\'' ? State::single_quoted : State::double_quoted);
                return {input.size()};
            case '<': return {at, Found::nothing, &errors::stray_less};
            default: break;
        }
    }
    return {at};
}

Framer::Step Framer::scan_declaration(std::string_view input, std::size_t at) {
    for (; at < input.size(); ++at) {
        if (input[at] == '>' && detail_ == 1) {
            enter(State::between);
            return {at + 1};
        }
        if (input[at] == '<') return {at, Found::nothing, &errors::stray_less};
        detail_ = input[at] == '?' ? 1 : 0;
    }
    return {at};
}

Framer::Step Framer::scan_footer(char c, std::size_t at) {
    if (detail_ < stream_name.size()) {
        if (c != stream_name[detail_]) return {at, Found::nothing, &errors::stray_end};
        ++detail_;
        return {at + 1};
    }
    if (c == '>') return {at + 1, Found::footer};
    if (is_white(c)) return {at + 1};
    return {at, Found::nothing, &errors::stray_end};
}

Framer::Step Framer::scan_cdata(std::string_view input, std::size_t at) {
    while (at < input.size()) {
        if (detail_ == 0) {  // skip to the next ']'
            const void* found = std::memchr(input.data() + at, ']', input.size() - at);
            if (!found) return {input.size()};
            at = static_cast<std::size_t>(static_cast<const char*>(found) - input.data());
        }
        const char c = input[at++];
        if (c == '>' && detail_ == 2) {
            enter(State::content);
            return {at};
        }
        detail_ = c == ']' ? static_cast<std::uint8_t>(std::min(detail_ + 1, 2)) : std::uint8_t{0};
    }
    return {at};
}

}  // namespace xmpp
