// SPDX-License-Identifier: MIT
// XEP-0059: Result Set Management, the request and the answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "xmpp/error.h"
#include "xmpp/result.h"
#include "xmpp/stanza.h"
#include "xmpp/xml_writer.h"

namespace xmpp {

struct RsmRequest {
    std::optional<std::uint32_t> max;
    std::optional<std::string> after, before;  // an empty `before` asks for the last page (§2.5)
    std::optional<std::uint32_t> index;

    // `set` may be no element: an empty request. bad-request when a number is none, or a page
    // is asked for in two ways.
    static Result<RsmRequest, StanzaError> parse(const Element& set);
};

struct RsmAnswer {
    std::optional<std::string> first, last;
    std::optional<std::uint32_t> index, count;

    void write(XmlWriter& w) const;
};

}  // namespace xmpp
