// SPDX-License-Identifier: MIT
// Compares what a client received with what a scene expects, by the rules of scansion: names, namespaces, attributes and
// text are equal, children in any order, unless the expectation says {any} or scansion:strict='false'. {any as NAME}
// keeps what stood there, {same as NAME} wants it again further on in the same stanza.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/xml.h"

namespace tests {

using Captures = std::map<std::string, std::string, std::less<>>;

// nullopt: it matches, and `captures` has what {any as NAME} stood for. Else the first difference, for people.
std::optional<std::string> difference(const Event& expected, const Event& received, Captures& captures);

// Both texts next to each other, lines that differ marked.
std::string side_by_side(const std::string& expected, const std::string& received);

}  // namespace tests
