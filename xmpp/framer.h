// SPDX-License-Identifier: MIT
// Finds where top-level elements of a stream begin and end, resumably, in a few dozen bytes of state, and enforces the
// limits while reading: an oversized stanza is refused at its first byte too many. Decides nothing else: expat judges.
#pragma once

#include <cstdint>
#include <string_view>

#include "xmpp/error.h"
#include "xmpp/parser.h"

namespace xmpp {

class Framer {
public:
    enum class Found : std::uint8_t {
        nothing,       // all bytes looked at, no frame complete: keep them and come again with more behind them
        header,        // an optional XML declaration and the stream's start tag
        element,       // one complete top-level element
        footer,        // </stream:stream>
        error,         // see error()
    };
    struct Frame {
        Found found = Found::nothing;
        std::string_view bytes;     // the frame, without white space before it
        std::size_t consumed = 0;   // bytes of the input that are done with, the frame included
    };

    explicit Framer(const Limits& limits) : limits_{&limits} {}  // the limits must outlive the framer

    // Looks at `input`, which must begin with the bytes that earlier calls left unconsumed; those are not looked at
    // again, so that a stanza sent byte by byte costs no more than one sent whole.
    Frame next(std::string_view input);
    // White space between elements is consumed at once and counts as a sign of life.
    const StreamError& error() const { return *error_; }
    void expect_header();  // after STARTTLS and SASL (RFC 6120 §4.3.3): forget everything, a new stream begins
    bool is_mid_element() const;

    // For transports where every message is one whole element (RFC 7395): the limits alone.
    void set_limits(const Limits& limits) { limits_ = &limits; }

private:
    enum class State : std::uint8_t;
    struct Step {
        std::size_t at;                // looked at up to here
        Found found = Found::nothing;
        const StreamError* error = nullptr;
    };

    Frame fail(const StreamError& error);
    Frame complete(Found found, std::string_view input, std::size_t start, std::size_t end);
    void enter(State state);
    Step scan(std::string_view input, std::size_t at);
    Step scan_between(char c, std::size_t at);
    Step scan_after_less(char c, std::size_t at);
    Step scan_tag(std::string_view input, std::size_t at);
    Step scan_declaration(std::string_view input, std::size_t at);
    Step scan_footer(char c, std::size_t at);
    Step scan_cdata(std::string_view input, std::size_t at);
    Step end_element(std::size_t at);

    const Limits* limits_;
    const StreamError* error_ = nullptr;
    std::uint32_t scanned_ = 0;  // bytes of the pending frame already looked at
    std::uint32_t depth_ = 0;
    std::uint32_t elements_ = 0;
    std::uint32_t attributes_ = 0;
    std::uint8_t state_ = 0;
    std::uint8_t detail_ = 0;
    bool header_expected_ = true;
    bool has_declaration_ = false;  // the XML declaration was there
};

}  // namespace xmpp
