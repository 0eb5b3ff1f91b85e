// SPDX-License-Identifier: MIT
// Writes well-formed XML into a string: escapes, closes, and declares a namespace only where it changes.
//   XmlWriter w; w.open("query", ns::roster).attr("ver", "7"); w.open("item").attr("jid", jid); w.close(); …  w.take()
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace xmpp {

void append_escaped_text(std::string& out, std::string_view text);       // & < >
void append_escaped_attribute(std::string& out, std::string_view text);  // & < > ' "

class XmlWriter {
public:
    // `inherited`: the default namespace at the place where the XML will stand.
    explicit XmlWriter(std::string_view inherited = "jabber:client");

    XmlWriter& open(std::string_view name, std::string_view ns);
    XmlWriter& open(std::string_view name);  // in the namespace of the element around it
    // Only between open() and the first content of the element.
    XmlWriter& attr(std::string_view name, std::string_view value);
    XmlWriter& attr(std::string_view name, std::uint64_t value);
    XmlWriter& attr_if(std::string_view name, std::string_view value);  // left out when empty
    XmlWriter& text(std::string_view text);
    XmlWriter& raw(std::string_view xml);    // XML written elsewhere, trusted
    XmlWriter& close();
    XmlWriter& leaf(std::string_view name, std::string_view text = {}) { return open(name).text(text).close(); }
    XmlWriter& leaf_ns(std::string_view name, std::string_view ns, std::string_view text = {}) { return open(name, ns).text(text).close(); }

    std::string take();  // closes what is open

private:
    void end_start_tag();
    // Where an open element's name stands in out_ and its namespace in namespaces_: no string per element.
    struct Open { std::size_t name_at, name_size, ns_at, ns_size; };
    std::string out_;
    std::string namespaces_;   // of the open elements, innermost last
    std::vector<Open> open_;   // the first one stands for what is around the XML
    bool in_start_tag_ = false;
};

}  // namespace xmpp
