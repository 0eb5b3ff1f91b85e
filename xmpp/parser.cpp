// SPDX-License-Identifier: MIT
// expat, driven safely (RFC 6120 §11, RFC 6120 §4.9.3 for the errors). One long-lived parser stands inside a
// synthetic stream header and is fed one whole element a time; whatever leaves it in doubt replaces it. The
// only user of expat.
#include "xmpp/parser.h"

#include <expat.h>

#include <algorithm>
#include <new>

#include "xmpp/namespaces.h"
#include "xmpp/stanza_builder.h"
#include "xmpp/xml_writer.h"

namespace xmpp {

namespace {

constexpr std::string_view white_space = " \t\r\n";
constexpr XML_Char separator = '\x01';  // no XML document can hold it, so no namespace name can forge a split
constexpr std::size_t bytes_per_parser = 1024 * 1024;  // expat interns names for ever
constexpr std::size_t bytes_that_bloat = 16 * 1024;    // and never gives a large buffer back

struct FreeParser {
    void operator()(XML_Parser parser) const { XML_ParserFree(parser); }
};
using ExpatHandle = std::unique_ptr<XML_ParserStruct, FreeParser>;

ExpatHandle make_expat() {
    // The given encoding overrides whatever the document declares; parse_header refuses other declarations.
    ExpatHandle handle{XML_ParserCreate_MM("UTF-8", nullptr, &separator)};
    if (!handle) throw std::bad_alloc{};
    XML_SetReturnNSTriplet(handle.get(), XML_TRUE);
    // A whole element must be parsed when XML_Parse returns, not when it pleases.
    XML_SetReparseDeferralEnabled(handle.get(), XML_FALSE);
    return handle;
}

// namespace SEP local [SEP prefix], or local alone.
detail::QName split(const XML_Char* triplet) {
    const std::string_view whole{triplet};
    const std::size_t first = whole.find(separator);
    if (first == std::string_view::npos) return {{}, whole, {}, false};
    const std::size_t second = whole.find(separator, first + 1);
    if (second == std::string_view::npos) return {whole.substr(0, first), whole.substr(first + 1), {}, false};
    return {whole.substr(0, first), whole.substr(first + 1, second - first - 1), whole.substr(second + 1),
            true};
}

std::string_view or_empty(const XML_Char* text) { return text ? std::string_view{text} : std::string_view{}; }

StreamError error_of(XML_Error code) {
    switch (code) {
        case XML_ERROR_NO_MEMORY: return {StreamCondition::resource_constraint};
        case XML_ERROR_UNKNOWN_ENCODING:
        case XML_ERROR_INCORRECT_ENCODING: return {StreamCondition::unsupported_encoding};
        case XML_ERROR_UNDEFINED_ENTITY:  // RFC 6120 §11.1: entities other than the five predefined
        case XML_ERROR_MISPLACED_XML_PI:
        case XML_ERROR_AMPLIFICATION_LIMIT_BREACH:
            return {StreamCondition::restricted_xml, XML_ErrorString(code)};
        default: return {StreamCondition::not_well_formed, XML_ErrorString(code)};
    }
}

}  // namespace

struct Parser::State {
    // A parser that has seen the start of a stream with these declarations.
    struct Expat {
        ExpatHandle handle;
        std::size_t fed = 0;
        std::vector<std::pair<std::string, std::string>> prefixes;
    };

    explicit State(const Limits& l) : limits{l} {
        // The builder counts in 32 and 16 bits.
        limits.stanza_bytes = std::min(limits.stanza_bytes, std::uint32_t{1} << 28);
        limits.attributes = std::min(limits.attributes, std::uint32_t{0xfffd});  // two more for the stamps
    }

    Expat& expat_for(const StreamHeader* header);
    void start(Expat& expat, const StreamHeader* header);
    std::optional<StreamError> run(Expat& expat, std::string_view bytes);
    void fail(StreamCondition condition, std::string text = {});

    std::uint32_t position() const {
        return static_cast<std::uint32_t>(XML_GetCurrentByteIndex(parser) - base);
    }
    std::uint32_t event_size() const { return static_cast<std::uint32_t>(XML_GetCurrentByteCount(parser)); }

    void on_declaration(const XML_Char* prefix, const XML_Char* ns);
    void on_start(const XML_Char* name, const XML_Char** attributes);
    void on_end();
    void on_text(const XML_Char* text, int size);

    Limits limits;
    Expat plain, special;
    ExpatHandle for_headers;         // reset before each
    detail::StanzaBuilder builder;
    XML_Parser parser = nullptr;     // the one running
    XML_Index base = 0;              // where the stanza begins in all that was fed to it
    std::uint32_t declarations = 0;  // on the element about to start
    bool in_stanza = false;          // the synthetic header is behind us
    std::optional<StreamError> error;
};

namespace {

// The events that no stream may have (RFC 6120 §11.1), for both kinds of run.
template <class Run>
void refuse_restricted(XML_Parser parser) {
    XML_SetCommentHandler(parser, [](void* run, const XML_Char*) {
        static_cast<Run*>(run)->fail(StreamCondition::restricted_xml, "comments are not allowed");
    });
    XML_SetProcessingInstructionHandler(parser, [](void* run, const XML_Char*, const XML_Char*) {
        static_cast<Run*>(run)->fail(StreamCondition::restricted_xml,
                                     "processing instructions are not allowed");
    });
    XML_SetStartDoctypeDeclHandler(
        parser, [](void* run, const XML_Char*, const XML_Char*, const XML_Char*, int) {
            static_cast<Run*>(run)->fail(StreamCondition::restricted_xml, "document types are not allowed");
        });
    XML_SetEntityDeclHandler(parser, [](void* run, const XML_Char*, int, const XML_Char*, int,
                                        const XML_Char*, const XML_Char*, const XML_Char*, const XML_Char*) {
        static_cast<Run*>(run)->fail(StreamCondition::restricted_xml, "entities are not allowed");
    });
    XML_SetSkippedEntityHandler(parser, [](void* run, const XML_Char*, int) {
        static_cast<Run*>(run)->fail(StreamCondition::restricted_xml, "entities are not allowed");
    });
}

}  // namespace

void Parser::State::fail(StreamCondition condition, std::string text) {
    if (!error) error.emplace(condition, std::move(text));
    XML_StopParser(parser, XML_FALSE);
}

void Parser::State::on_declaration(const XML_Char* prefix, const XML_Char* ns) {
    if (!in_stanza || error) return;
    ++declarations;
    if (builder.declarations_in_scope() >= limits.declarations)
        return fail(StreamCondition::policy_violation, "too many namespace declarations");
    builder.declare(or_empty(prefix), or_empty(ns));
}

void Parser::State::on_start(const XML_Char* name, const XML_Char** attributes) {
    if (!in_stanza || error) return;
    if (builder.depth() == 0 && builder.elements() != 0)
        return fail(StreamCondition::not_well_formed, "more than one element");
    if (builder.depth() >= limits.depth) return fail(StreamCondition::policy_violation, "nested too deeply");
    if (builder.elements() >= limits.elements)
        return fail(StreamCondition::policy_violation, "too many elements");
    std::size_t count = declarations;
    for (const XML_Char** each = attributes; *each; each += 2) ++count;
    if (count > limits.attributes) return fail(StreamCondition::policy_violation, "too many attributes");
    const detail::QName element = split(name);
    // It cannot be made the default namespace, as it would have to be where the element is written anew.
    if (element.ns == ns::xml)
        return fail(StreamCondition::policy_violation, "no element is in the namespace of xml:lang");

    const std::uint32_t begin = position();
    builder.start_element(element, begin, begin + event_size());
    for (const XML_Char** each = attributes; *each; each += 2) builder.attribute(split(each[0]), each[1]);
    declarations = 0;
    // A long name declared once and used by many would make a stanza of hundreds of megabytes, written anew.
    if (builder.namespace_bytes() > limits.stanza_bytes)
        fail(StreamCondition::policy_violation, "too much by way of namespaces");
}

void Parser::State::on_end() {
    if (error) return;
    // The synthetic root is never closed by the peer: its end tag here is one that closes nothing.
    if (builder.depth() == 0) return fail(StreamCondition::not_well_formed, "an end tag too many");
    builder.end_element(position(), position() + event_size());
}

void Parser::State::on_text(const XML_Char* text, int size) {
    if (error) return;
    const std::string_view run{text, static_cast<std::size_t>(size)};
    if (builder.depth() > 0) return builder.characters(run, position(), event_size());
    // White space would have been trimmed but before another element, which fails soon enough.
    if (run.find_first_not_of(white_space) != std::string_view::npos)
        fail(StreamCondition::invalid_xml, "character data outside of elements");
}

void Parser::State::start(Expat& expat, const StreamHeader* header) {
    expat.handle = make_expat();
    parser = expat.handle.get();
    XML_SetUserData(parser, this);
    XML_SetElementHandler(
        parser,
        [](void* run, const XML_Char* name, const XML_Char** attributes) {
            static_cast<State*>(run)->on_start(name, attributes);
        },
        [](void* run, const XML_Char*) { static_cast<State*>(run)->on_end(); });
    XML_SetCharacterDataHandler(parser, [](void* run, const XML_Char* text, int size) {
        static_cast<State*>(run)->on_text(text, size);
    });
    XML_SetStartNamespaceDeclHandler(parser, [](void* run, const XML_Char* prefix, const XML_Char* ns) {
        static_cast<State*>(run)->on_declaration(prefix, ns);
    });
    refuse_restricted<State>(parser);

    std::string root = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'";
    expat.prefixes.clear();
    if (header) {
        expat.prefixes = header->extra_prefixes;
        for (const auto& [prefix, ns] : expat.prefixes) {
            root.append(" xmlns:").append(prefix).append("='");
            append_escaped_attribute(root, ns);
            root += '\'';
        }
    }
    root += '>';
    in_stanza = false;
    const XML_Status status = XML_Parse(parser, root.data(), static_cast<int>(root.size()), 0);
    if (status != XML_STATUS_OK) expat.handle.reset();
    expat.fed = root.size();
}

Parser::State::Expat& Parser::State::expat_for(const StreamHeader* header) {
    const bool is_special = header && !header->extra_prefixes.empty();
    Expat& expat = is_special ? special : plain;
    const bool is_other_stream = is_special && expat.prefixes != header->extra_prefixes;
    if (!expat.handle || expat.fed > bytes_per_parser || is_other_stream)
        start(expat, is_special ? header : nullptr);
    return expat;
}

std::optional<StreamError> Parser::State::run(Expat& expat, std::string_view bytes) {
    parser = expat.handle.get();
    base = static_cast<XML_Index>(expat.fed);
    expat.fed += bytes.size();
    error.reset();
    in_stanza = true;
    declarations = 0;
    const XML_Status status = XML_Parse(parser, bytes.data(), static_cast<int>(bytes.size()), 0);
    if (error) return error;
    if (status != XML_STATUS_OK) {
        // In content, where it is no markup at all, expat stops behind the "<!" of a document type.
        const std::uint32_t at = std::max(position(), 2U) - 2;
        if (at < bytes.size() && bytes.substr(at, 3) == "<!D")
            return StreamError{StreamCondition::restricted_xml, "document types are not allowed"};
        return error_of(XML_GetErrorCode(parser));
    }
    // Whatever expat still holds back would become part of the next stanza, perhaps of another stream.
    if (!builder.is_complete()) return StreamError{StreamCondition::not_well_formed, "not one whole element"};
    return std::nullopt;
}

namespace {

std::string_view trim(std::string_view text) {
    const std::size_t first = text.find_first_not_of(white_space);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(white_space) - first + 1);
}

}  // namespace

Parser::Parser(const Limits& limits) : state_{std::make_unique<State>(limits)} {}
Parser::~Parser() = default;
Parser::Parser(Parser&&) noexcept = default;
Parser& Parser::operator=(Parser&&) noexcept = default;

Result<Stanza, StreamError> Parser::parse(std::string_view bytes, const StreamHeader* header,
                                          JidView stamp_from, std::string_view stamp_lang) {
    bytes = trim(bytes);
    if (bytes.empty()) return Failure{StreamError{StreamCondition::not_well_formed, "no element"}};
    if (bytes.size() > state_->limits.stanza_bytes)
        return Failure{StreamError{StreamCondition::policy_violation, "stanza too long"}};

    State::Expat& expat = state_->expat_for(header);
    if (!expat.handle) return Failure{StreamError{StreamCondition::bad_namespace_prefix}};
    state_->builder.begin(bytes);
    for (const auto& [prefix, ns] : expat.prefixes) state_->builder.declare_outside(prefix, ns);
    const std::optional<StreamError> error = state_->run(expat, bytes);
    if (error || bytes.size() > bytes_that_bloat) expat.handle.reset();
    if (error) return Failure{*error};
    return Stanza{state_->builder.finish(stamp_from, stamp_lang)};
}

namespace {

// What is learnt from the one start tag that opens a stream.
struct HeaderRun {
    XML_Parser parser = nullptr;
    std::uint32_t max_attributes = 0;
    StreamHeader header;
    std::string default_ns;
    bool has_started = false, has_ended = false;
    std::size_t end = 0;  // of the start tag
    std::optional<StreamError> error;

    void fail(StreamCondition condition, std::string text = {}) {
        if (!error) error.emplace(condition, std::move(text));
        XML_StopParser(parser, XML_FALSE);
    }

    void on_xml_declaration(const XML_Char* encoding) {
        std::string name{or_empty(encoding)};
        std::transform(name.begin(), name.end(), name.begin(),
                       [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
        // RFC 6120 §11.6
        if (encoding && name != "UTF-8") fail(StreamCondition::unsupported_encoding);
    }

    void on_declaration(std::string_view prefix, std::string_view ns) {
        if (has_started || error) return;
        if (header.extra_prefixes.size() >= max_attributes) return fail(StreamCondition::policy_violation);
        if (prefix.empty())
            default_ns = ns;
        else if (prefix != "stream" && prefix != "xml")
            header.extra_prefixes.emplace_back(prefix, ns);
    }

    void on_start(const detail::QName& name, const XML_Char** attributes) {
        if (error) return;
        if (has_started) return fail(StreamCondition::not_well_formed, "more than a stream header");
        has_started = true;
        end = static_cast<std::size_t>(XML_GetCurrentByteIndex(parser) + XML_GetCurrentByteCount(parser));
        if (name.local != "stream") return fail(StreamCondition::bad_format);        // RFC 6120 §4.9.3.1
        if (name.ns != ns::stream) return fail(StreamCondition::invalid_namespace);  // RFC 6120 §4.8.1
        if (name.prefix != "stream") return fail(StreamCondition::bad_namespace_prefix);  // RFC 6120 §4.8.5
        if (default_ns != ns::client && default_ns != ns::server)
            return fail(StreamCondition::invalid_namespace);  // RFC 6120 §4.8.2
        std::size_t count = header.extra_prefixes.size();
        for (; *attributes; attributes += 2) {
            if (++count > max_attributes)
                return fail(StreamCondition::policy_violation, "too many attributes");
            take(split(attributes[0]), attributes[1]);
        }
    }

    void take(const detail::QName& name, std::string_view value) {
        if (name.has_prefix) {
            if (name.ns == ns::xml && name.local == "lang") header.lang = value;
        } else if (name.local == "to") {
            header.to = value;
        } else if (name.local == "from") {
            header.from = value;
        } else if (name.local == "id") {
            header.id = value;
        } else if (name.local == "version") {
            header.version = value;
        }
    }
};

void set_header_handlers(XML_Parser parser, HeaderRun& run) {
    run.parser = parser;
    XML_SetUserData(parser, &run);
    XML_SetElementHandler(
        parser,
        [](void* data, const XML_Char* name, const XML_Char** attributes) {
            static_cast<HeaderRun*>(data)->on_start(split(name), attributes);
        },
        [](void* data, const XML_Char*) { static_cast<HeaderRun*>(data)->has_ended = true; });
    XML_SetCharacterDataHandler(parser, [](void* data, const XML_Char*, int) {
        static_cast<HeaderRun*>(data)->fail(StreamCondition::not_well_formed, "more than a stream header");
    });
    XML_SetStartNamespaceDeclHandler(parser, [](void* data, const XML_Char* prefix, const XML_Char* ns) {
        static_cast<HeaderRun*>(data)->on_declaration(or_empty(prefix), or_empty(ns));
    });
    XML_SetXmlDeclHandler(parser, [](void* data, const XML_Char*, const XML_Char* encoding, int) {
        static_cast<HeaderRun*>(data)->on_xml_declaration(encoding);
    });
    refuse_restricted<HeaderRun>(parser);
}

}  // namespace

namespace {

// A parser never gives back what it once took.
struct KeptWhenSmall {
    ExpatHandle& expat;
    std::size_t bytes;
    ~KeptWhenSmall() { if (bytes > bytes_that_bloat) expat.reset(); }
};

}  // namespace

Result<StreamHeader, StreamError> Parser::parse_header(std::string_view bytes) {
    bytes = trim(bytes);
    if (bytes.size() > state_->limits.stanza_bytes)
        return Failure{StreamError{StreamCondition::policy_violation, "stream header too long"}};
    // RFC 6120 §11.6: the byte order marks of UTF-16, or ASCII in it.
    const std::string_view start = bytes.substr(0, 2);
    if (start == "\xfe\xff" || start == "\xff\xfe" || start.find('\0') != std::string_view::npos)
        return Failure{StreamError{StreamCondition::unsupported_encoding}};
    // RFC 6120 §11.6: in UTF-8 it marks nothing, so it is character data before the root.
    if (bytes.substr(0, 3) == "\xef\xbb\xbf") return Failure{StreamError{StreamCondition::not_well_formed}};

    HeaderRun run;
    run.max_attributes = state_->limits.attributes;
    ExpatHandle& expat = state_->for_headers;
    if (!expat || XML_ParserReset(expat.get(), "UTF-8") != XML_TRUE) expat = make_expat();
    XML_SetReparseDeferralEnabled(expat.get(), XML_FALSE);   // which a reset forgets
    set_header_handlers(expat.get(), run);
    const KeptWhenSmall kept{expat, bytes.size()};
    const XML_Status status = XML_Parse(expat.get(), bytes.data(), static_cast<int>(bytes.size()), 0);
    if (run.error) return Failure{*run.error};
    if (status != XML_STATUS_OK) {
        const XML_Error code = XML_GetErrorCode(expat.get());
        // RFC 6120 §4.9.3.10: the stream's namespace is not declared at all.
        if (code == XML_ERROR_UNBOUND_PREFIX) return Failure{StreamError{StreamCondition::invalid_namespace}};
        return Failure{error_of(code)};
    }
    if (!run.has_started || run.has_ended || run.end != bytes.size())
        return Failure{StreamError{StreamCondition::not_well_formed, "not a stream header"}};
    return std::move(run.header);
}

namespace {

// A stanza that kept the limits of a stream, which are at most 32 MiB, 1,000 levels, 10,000 attributes and 1,000,000
// elements (limits.* of the configuration), may exceed them when it is wrapped and decorated, its text is escaped anew,
// and each element declares by itself what it needs.
constexpr Limits own_limits{1U << 28, 1024, 0xfffd, 1U << 20, 1U << 20};

Parser& own_parser() {
    thread_local Parser parser{own_limits};
    return parser;
}

}  // namespace

Stanza parse_or_empty(std::string_view xml) {
    auto stanza = own_parser().parse(xml);
    return stanza.ok() ? std::move(stanza.value()) : Stanza{};
}

}  // namespace xmpp
