// SPDX-License-Identifier: MIT
// Random well-formed elements as peers send them: prefixes declared anywhere, default namespaces changing,
// entities, CDATA, both quotes, odd white space. Test support only.
#pragma once

#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "xmpp/parser.h"
#include "xmpp/stanza.h"

class RandomXml {
public:
    explicit RandomXml(std::mt19937& random) : random_{&random} {}

    // Prefixes that the element may use without declaring them.
    std::vector<std::string> outside;

    std::string element(std::string_view name = {}, std::string_view attributes = {}, int depth = 0) {
        std::vector<std::string> prefixes = depth == 0 ? outside : scope_;
        const std::vector<std::string> before = prefixes;
        std::string declarations;
        if (depth > 0 && one_in(3))
            declarations += " xmlns=" + quoted(pick({"urn:a", "urn:b&amp;c", "jabber:client", "urn:a"}));
        for (const char* prefix : {"p", "q"}) {
            if (!one_in(5)) continue;
            declarations +=
                std::string{" xmlns:"} + prefix + "=" + quoted(pick({"urn:p", "urn:q&lt;", "jabber:client"}));
            prefixes.push_back(prefix);
        }
        std::string tag{name};
        if (tag.empty()) {
            if (!prefixes.empty() && one_in(3)) tag = prefixes[pick_index(prefixes.size())] + ":";
            tag += pick({"body", "x", "item", "a-b.c", "é"});
        }
        std::string start = "<" + tag + std::string{attributes} + declarations;
        if (one_in(3)) start += " n" + space() + "=" + space() + quoted(value());
        if (one_in(4)) start += " m=" + quoted(value());
        if (one_in(8)) start += " xml:lang='de'";
        if (!prefixes.empty() && one_in(4))
            start += " " + prefixes[pick_index(prefixes.size())] + ":k=" + quoted(value());
        if (one_in(6)) start += space();
        if (one_in(4) || depth > 5) return start + "/>";
        start += ">";
        for (auto left = (*random_)() % 4; left > 0; --left) {
            if (one_in(2)) start += text();
            scope_ = prefixes;
            start += element({}, {}, depth + 1);
        }
        if (one_in(2)) start += text();
        scope_ = before;
        return start + "</" + tag + (one_in(9) ? " >" : ">");
    }

    bool one_in(unsigned n) { return (*random_)() % n == 0; }

private:
    std::size_t pick_index(std::size_t size) { return (*random_)() % size; }
    std::string pick(std::vector<std::string> choices) { return choices[pick_index(choices.size())]; }
    std::string space() { return pick({"", "", " ", "\n", "\t ", "  "}); }
    std::string quoted(const std::string& text) { return one_in(2) ? "'" + text + "'" : "\"" + text + "\""; }
    std::string value() {
        return pick({"", "1", "a > b", "&quot;&apos;", "x/y", "&#x20AC;&#10;", "€", "a\nb"});
    }
    std::string text() {
        return pick({"hello", " ", "\n", "a &amp; b", "&lt;tag&gt;", "&#65;", "]]", "€",
                     "<![CDATA[<x> & ]] > ]]>", "<![CDATA[]]>", "one<![CDATA[two]]>three", "a\r\nb", "a > b",
                     "'\""});
    }
    std::mt19937* random_;
    std::vector<std::string> scope_;
};

// A tree spelled out, so that two spellings of the same element compare equal.
inline std::string describe(const xmpp::Element& element) {
    // The public view of an element does not tell which attributes there are; asking for all that RandomXml
    // makes does.
    std::string out = "{" + std::string{element.ns()} + "}" + std::string{element.name()} + "(";
    for (const std::string_view name : {"from", "to", "type", "id", "n", "m"})
        if (const auto value = element.find_attr(name))
            out += std::string{name} + "=" + std::string{*value} + ";";
    for (const std::string_view ns : {"urn:p", "urn:q<", "jabber:client", "urn:outside"})
        if (const auto value = element.find_attr("k", ns))
            out += "{" + std::string{ns} + "}k=" + std::string{*value} + ";";
    out += "lang=" + std::string{element.lang()} + ")[" + element.text() + "]<";
    for (const xmpp::Element child : element.children()) out += describe(child);
    return out + ">";
}
