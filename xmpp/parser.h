// SPDX-License-Identifier: MIT
// Whole top-level elements in, Stanzas out, by expat, which is the judge of every byte (the framer is never trusted).
// One Parser per thread serves all its streams; it is replaced after so many bytes, since expat interns names for ever.
// Refuses comments, processing instructions, DTDs and entities other than the five as restricted-xml (RFC 6120 §11.1).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "xmpp/error.h"
#include "xmpp/result.h"
#include "xmpp/stanza.h"

namespace xmpp {

struct Limits {
    std::uint32_t stanza_bytes = 262144;
    std::uint32_t depth = 64;         // elements inside elements
    std::uint32_t attributes = 64;    // on one element
    std::uint32_t elements = 2048;    // in one stanza
    std::uint32_t declarations = 128; // of namespaces, in scope at one place: on the stream, around it and on it
};

// The start tag that opens a stream (RFC 6120 §4.7).
struct StreamHeader {
    std::string to, from, id, version, lang;
    // Prefixes declared beyond the standard ones (default = content namespace, stream, xml): prefix → namespace.
    std::vector<std::pair<std::string, std::string>> extra_prefixes;
};

class Parser {
public:
    explicit Parser(const Limits& limits);
    ~Parser();
    Parser(Parser&&) noexcept;
    Parser& operator=(Parser&&) noexcept;

    // Exactly one element. `header`: the stream it came on when that declared extra prefixes, else nullptr.
    // `stamp_from`: when not empty, stands in for whatever 'from' the source has (RFC 6120 §8.1.2.1).
    // `stamp_lang`: becomes the xml:lang of an element that has none (RFC 6120 §8.1.5).
    Result<Stanza, StreamError> parse(std::string_view bytes, const StreamHeader* header = nullptr, JidView stamp_from = {},
                                      std::string_view stamp_lang = {});

    // `bytes`: an optional XML declaration and the stream's start tag, up to and including its '>'.
    // Errors: bad-namespace-prefix, invalid-namespace, unsupported-encoding, unsupported-version, not-well-formed, …
    Result<StreamHeader, StreamError> parse_header(std::string_view bytes);

private:
    struct State;
    std::unique_ptr<State> state_;
};

// For XML outside a stream: a Stanza of it, or an empty one when it is not one well-formed element. Uses one Parser per
// thread, whose limits take back whatever a stream's parser has let in.
Stanza parse_or_empty(std::string_view xml);
// The same for XML that we wrote ourselves or keep in our own storage: nobody need ask whether there is a stanza. Clients'
// words are in it, though: should it be no element after all, that stanza is lost, and not the server.
inline Stanza parse_trusted(std::string_view xml) { return parse_or_empty(xml); }

}  // namespace xmpp
