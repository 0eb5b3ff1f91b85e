// SPDX-License-Identifier: MIT
// XEP-0059: Result Set Management.
#include "xmpp/rsm.h"

#include <charconv>
#include <string_view>

#include "xmpp/namespaces.h"

namespace xmpp {

namespace {

std::optional<std::uint32_t> parse_number(std::string_view text) {
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

// False when the element is there and holds no number.
bool read_number(const Element& element, std::optional<std::uint32_t>& into) {
    if (!element) return true;
    into = parse_number(element.text_view());
    return into.has_value();
}

}  // namespace

Result<RsmRequest, StanzaError> RsmRequest::parse(const Element& set) {
    RsmRequest request;
    if (!set) return request;
    if (!read_number(set.child("max", ns::rsm), request.max) ||
        !read_number(set.child("index", ns::rsm), request.index))
        return Failure{StanzaError{Condition::bad_request, "<max/> and <index/> are numbers"}};
    if (const Element after = set.child("after", ns::rsm)) request.after = after.text();
    if (const Element before = set.child("before", ns::rsm)) request.before = before.text();
    if (int{request.after.has_value()} + int{request.before.has_value()} + int{request.index.has_value()} > 1)
        return Failure{StanzaError{Condition::bad_request, "<after/>, <before/> and <index/> exclude each other"}};
    return request;
}

void RsmAnswer::write(XmlWriter& w) const {
    w.open("set", ns::rsm);
    if (first) {
        w.open("first");
        if (index) w.attr("index", *index);
        w.text(*first).close();
    }
    if (last) w.leaf("last", *last);
    if (count) w.leaf("count", std::to_string(*count));
    w.close();
}

}  // namespace xmpp
