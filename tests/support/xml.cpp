// SPDX-License-Identifier: MIT
#include "tests/support/xml.h"

#include <expat.h>

#include <algorithm>
#include <utility>

namespace tests {

const std::string* Node::attr(std::string_view wanted, std::string_view wanted_ns) const {
    for (const Attribute& attribute : attributes)
        if (attribute.name == wanted && attribute.ns == wanted_ns) return &attribute.value;
    return nullptr;
}

std::string Node::attr_or_empty(std::string_view attribute) const {
    const std::string* value = attr(attribute);
    return value != nullptr ? *value : std::string{};
}

const Node* Node::child(std::string_view wanted, std::string_view wanted_ns) const {
    for (const Node& node : children)
        if (node.name == wanted && node.ns == wanted_ns) return &node;
    return nullptr;
}

std::string trimmed(std::string_view text) {
    constexpr std::string_view white = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(white);
    if (begin == std::string_view::npos) return {};
    return std::string{text.substr(begin, text.find_last_not_of(white) - begin + 1)};
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '\'': out += "&apos;"; break;
            case '"': out += "&quot;"; break;
            default: out += c;
        }
    }
    return out;
}

namespace {

std::string_view prefix_of(std::string_view ns) {
    if (ns == ns::streams) return "stream:";
    if (ns == ns::scansion) return "scansion:";
    if (ns == ns::xml) return "xml:";
    return "";
}

void write(std::string& out, const Node& node, std::string_view inherited, std::size_t depth) {
    const std::string_view prefix = prefix_of(node.ns);
    const std::string name = std::string{prefix} + node.name;
    out.append(depth * 2, ' ').append("<").append(name);
    std::string_view inside = inherited;
    if (prefix.empty() && node.ns != inherited) {
        out.append(" xmlns='").append(node.ns).append("'");
        inside = node.ns;
    }
    for (const Attribute& attribute : node.attributes)
        out.append(" ").append(prefix_of(attribute.ns)).append(attribute.name).append("='").append(escaped(attribute.value)).append("'");
    const std::string text = trimmed(node.text);
    if (node.children.empty()) {
        if (text.empty()) out += "/>\n";
        else out.append(">").append(escaped(text)).append("</").append(name).append(">\n");
        return;
    }
    out.append(">").append(escaped(text)).append("\n");
    for (const Node& child : node.children) write(out, child, inside, depth + 1);
    out.append(depth * 2, ' ').append("</").append(name).append(">\n");
}

}  // namespace

std::string indented(const Node& node, std::string_view inherited) {
    std::string out;
    write(out, node, inherited, 0);
    return out;
}

std::string indented(const Event& event) {
    switch (event.kind) {
        case Event::Kind::footer: return "</stream:stream>\n";
        case Event::Kind::header: {
            std::string out = indented(event.node);
            return out.replace(out.rfind("/>"), 2, ">");
        }
        case Event::Kind::element: break;
    }
    return indented(event.node);
}

// ---- reading ---------------------------------------------------------------------------------------------------------

namespace {

constexpr std::string_view sasl = "urn:ietf:params:xml:ns:xmpp-sasl";

}  // namespace

struct StreamReader::State {
    XML_Parser parser = nullptr;
    std::deque<Event>* events = nullptr;
    std::vector<Node> open;       // without the stream element
    std::size_t depth = 0;
    Restarts restarts = Restarts::when_told;
    XML_Index fed = 0;            // bytes, before this piece
    XML_Index replaced_at = 0;    // another stream begins behind this byte


    // expat hands out "namespace|name".
    static void split(const char* qualified, std::string& ns, std::string& name) {
        const std::string_view text{qualified};
        const std::size_t bar = text.rfind('|');
        ns = bar == std::string_view::npos ? std::string{} : std::string{text.substr(0, bar)};
        name = text.substr(bar == std::string_view::npos ? 0 : bar + 1);
    }
    static Node node_of(const char* name, const char** attributes) {
        Node node;
        split(name, node.ns, node.name);
        for (; *attributes != nullptr; attributes += 2) {
            Attribute attribute;
            split(attributes[0], attribute.ns, attribute.name);
            attribute.value = attributes[1];
            node.attributes.push_back(std::move(attribute));
        }
        return node;
    }
    static void on_start(void* self, const char* name, const char** attributes) {
        State& state = *static_cast<State*>(self);
        if (state.depth++ == 0) state.events->push_back({Event::Kind::header, node_of(name, attributes)});
        else state.open.push_back(node_of(name, attributes));
    }
    static void on_end(void* self, const char*) {
        State& state = *static_cast<State*>(self);
        if (--state.depth == 0) {
            state.events->push_back({Event::Kind::footer, {}});
            return;
        }
        Node node = std::move(state.open.back());
        state.open.pop_back();
        if (!state.open.empty()) return state.open.back().children.push_back(std::move(node));
        if (state.restarts == Restarts::behind_success && node.name == "success" && node.ns == sasl) {
            state.replaced_at = XML_GetCurrentByteIndex(state.parser) + XML_GetCurrentByteCount(state.parser);
            XML_StopParser(state.parser, XML_FALSE);
        }
        state.events->push_back({Event::Kind::element, std::move(node)});
    }
    static void on_text(void* self, const char* text, int size) {
        State& state = *static_cast<State*>(self);
        if (!state.open.empty()) state.open.back().text.append(text, static_cast<std::size_t>(size));
    }
    void begin() {
        if (parser != nullptr) XML_ParserFree(parser);
        parser = XML_ParserCreateNS("UTF-8", '|');
        XML_SetReparseDeferralEnabled(parser, XML_FALSE);  // else what comes byte by byte is reported late
        open.clear();
        depth = 0;
        fed = replaced_at = 0;
        XML_SetUserData(parser, this);
        XML_SetElementHandler(parser, on_start, on_end);
        XML_SetCharacterDataHandler(parser, on_text);
    }
    ~State() { XML_ParserFree(parser); }
};

StreamReader::StreamReader(Restarts restarts) : state_{std::make_unique<State>()} {
    state_->events = &events_;
    state_->restarts = restarts;
    restart();
}
StreamReader::~StreamReader() = default;

void StreamReader::restart() {
    if (!std::exchange(has_restarted_, false)) state_->begin();
}

bool StreamReader::feed(std::string_view bytes) {
    if (!problem_.empty()) return false;
    if (XML_Parse(state_->parser, bytes.data(), static_cast<int>(bytes.size()), XML_FALSE) == XML_STATUS_OK) {
        state_->fed += static_cast<XML_Index>(bytes.size());
        return true;
    }
    if (state_->replaced_at > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(state_->replaced_at - state_->fed));
        state_->begin();
        has_restarted_ = true;
        return bytes.empty() || feed(bytes);
    }
    problem_ = XML_ErrorString(XML_GetErrorCode(state_->parser));
    problem_.append(" in: ").append(bytes.substr(0, 400));
    return false;
}

std::optional<Event> StreamReader::take() {
    if (events_.empty()) return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
}

std::optional<std::vector<Event>> parse_events(std::string_view text, std::string& problem) {
    const std::string wanted = trimmed(text);
    const bool has_header = wanted.starts_with("<?xml") || wanted.starts_with("<stream:stream");
    StreamReader reader;
    std::string source;
    if (has_header) {
        source = wanted;
        constexpr std::string_view tag = "<stream:stream";
        const std::size_t end = source.find(tag) + tag.size();
        for (const auto& [prefix, name] : {std::pair{"xmlns:stream", ns::streams}, std::pair{"xmlns:scansion", ns::scansion}, std::pair{"xmlns", ns::client}})
            if (source.find(std::string{" "} + prefix + "=") == std::string::npos)
                source.insert(end, " " + std::string{prefix} + "='" + std::string{name} + "'");
    } else {
        source = "<stream:stream xmlns='" + std::string{ns::client} + "' xmlns:stream='" + std::string{ns::streams} +
                 "' xmlns:scansion='" + std::string{ns::scansion} + "'>" + wanted;
    }
    std::vector<Event> events;
    if (!reader.feed(source)) {
        problem = reader.problem();
        return std::nullopt;
    }
    while (auto event = reader.take()) events.push_back(std::move(*event));
    if (!has_header) events.erase(events.begin());
    const bool ends_well = wanted.empty() || reader.feed(has_header && wanted.ends_with("</stream:stream>") ? "" : "</stream:stream>");
    if (!ends_well) {
        problem = reader.problem();
        return std::nullopt;
    }
    return events;
}

std::optional<Node> parse_node(std::string_view xml) {
    std::string problem;
    auto events = parse_events(xml, problem);
    if (!events || events->size() != 1 || events->front().kind != Event::Kind::element) return std::nullopt;
    return std::move(events->front().node);
}

}  // namespace tests
