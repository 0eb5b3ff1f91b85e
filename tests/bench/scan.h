// SPDX-License-Identifier: MIT
// Finds the tags that a workload counts in what a server sends. No parser: servers escape < and > everywhere
// else, and a generator that judged XML would cost as much as the server it measures.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

namespace bench {

enum class Tag { message, message_end, presence, iq, ack, ack_request, stream_end };

namespace scanning {

template <class F>
void name_tag(std::string_view tag, F&& found) {  // tag: without its angles
    switch (tag.front()) {
        case 'm':
            if (tag.starts_with("message")) found(Tag::message, tag);
            return;
        case 'p':
            if (tag.starts_with("presence")) found(Tag::presence, tag);
            return;
        case 'i':
            if (tag.starts_with("iq")) found(Tag::iq, tag);
            return;
        case 'a':
            if (tag.starts_with("a ")) found(Tag::ack, tag);
            return;
        case 'r':
            if (tag == "r" || tag.starts_with("r ") || tag == "r/") found(Tag::ack_request, tag);
            return;
        case '/':
            if (tag == "/message")
                found(Tag::message_end, tag);
            else if (tag == "/stream:stream")
                found(Tag::stream_end, tag);
            return;
        default: return;
    }
}

// How many bytes are done with; the rest is the beginning of a tag.
template <class F>
std::size_t scan_whole(std::string_view bytes, F&& found) {
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    while ((at = static_cast<const char*>(std::memchr(at, '<', static_cast<std::size_t>(end - at))))) {
        const auto* const close =
            static_cast<const char*>(std::memchr(at, '>', static_cast<std::size_t>(end - at)));
        if (!close) return static_cast<std::size_t>(at - bytes.data());
        if (close > at + 1) name_tag({at + 1, static_cast<std::size_t>(close - at - 1)}, found);
        at = close + 1;
    }
    return bytes.size();
}

}  // namespace scanning

// Calls found(tag, text) for each; tail keeps what is not whole yet.
template <class F>
void scan(std::string& tail, std::string_view bytes, F&& found) {
    if (tail.empty()) {
        tail.assign(bytes.substr(scanning::scan_whole(bytes, found)));
        return;
    }
    std::string all = std::move(tail);
    all.append(bytes);
    tail.assign(std::string_view{all}.substr(scanning::scan_whole(all, found)));
}

// The value of an attribute in a tag; empty where there is none.
inline std::string_view attribute(std::string_view tag, std::string_view name) {
    for (std::size_t at = 0; (at = tag.find(name, at)) != std::string_view::npos; at += name.size()) {
        const std::size_t value = at + name.size() + 2;
        if (at == 0 || tag[at - 1] != ' ' || value > tag.size() || tag[value - 2] != '=') continue;
        const std::size_t end = tag.find(tag[value - 1], value);
        if (end != std::string_view::npos) return tag.substr(value, end - value);
    }
    return {};
}

inline bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

inline std::string between(const std::string& text, std::string_view before, std::string_view after) {
    std::size_t start = text.find(before);
    if (start == std::string::npos) return {};
    start += before.size();
    const std::size_t end = text.find(after, start);
    return end == std::string::npos ? std::string{} : text.substr(start, end - start);
}

// The text of an element, whatever its attributes.
inline std::string content(const std::string& element, const std::string& name) {
    const std::string tagged = between(element, "<" + name, "</" + name + ">");
    return tagged.substr(std::min(tagged.size(), tagged.find('>') + 1));
}

}  // namespace bench
