// SPDX-License-Identifier: MIT
// XML as a client sees it, for tests: a plain tree, and a reader of streams. Uses expat directly and nothing of xmpp/,
// so that what is tested is not judged by itself.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tests {

namespace ns {
inline constexpr std::string_view client = "jabber:client";
inline constexpr std::string_view streams = "http://etherx.jabber.org/streams";
inline constexpr std::string_view scansion = "https://matthewwild.co.uk/projects/scansion";
inline constexpr std::string_view xml = "http://www.w3.org/XML/1998/namespace";
}  // namespace ns

struct Attribute {
    std::string ns, name, value;
};

struct Node {
    std::string ns, name;
    std::vector<Attribute> attributes;
    std::string text;             // directly in this element, joined
    std::vector<Node> children;

    const std::string* attr(std::string_view name, std::string_view ns = {}) const;
    const Node* child(std::string_view name, std::string_view ns) const;
    std::string attr_or_empty(std::string_view attribute) const;
};

std::string trimmed(std::string_view text);
std::string escaped(std::string_view text);                            // for attributes and text
std::string indented(const Node& node, std::string_view inherited = ns::client);   // one element a line, for people

// What a stream brings, one after the other.
struct Event {
    enum class Kind { header, element, footer };
    Kind kind = Kind::element;
    Node node;                    // of a header: its start tag
};
std::string indented(const Event& event);

class StreamReader {
public:
    // behind_success: what comes behind <success/> belongs to a new stream, told or not; the server may have closed it already.
    enum class Restarts { when_told, behind_success };
    explicit StreamReader(Restarts restarts = Restarts::when_told);
    ~StreamReader();
    // Bytes of the stream from its header on. false: not well-formed, see problem().
    bool feed(std::string_view bytes);
    void restart();               // a new stream header comes next (RFC 6120 §4.3.3); what was read and not taken stays
    std::optional<Event> take();
    bool is_empty() const { return events_.empty(); }
    void clear() { events_.clear(); }
    void put_back(Event event) { events_.push_front(std::move(event)); }
    const std::string& problem() const { return problem_; }

private:
    struct State;
    std::unique_ptr<State> state_;
    std::deque<Event> events_;
    std::string problem_;
    bool has_restarted_ = false;  // behind <success/>
};

// Any number of elements as they would stand in a client's stream (with the prefixes stream: and scansion: bound), or a
// stream header, perhaps with elements behind it. nullopt and `problem` when it is not XML.
std::optional<std::vector<Event>> parse_events(std::string_view text, std::string& problem);
std::optional<Node> parse_node(std::string_view xml);

}  // namespace tests
