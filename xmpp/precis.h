// SPDX-License-Identifier: MIT
// RFC 8264/8265 (PRECIS) and IDNA2008 for text that is not plain ASCII, on ICU. Private to xmpp/: jid.cpp
// decides when it is needed.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace xmpp::precis {

// RFC 8265 §3.3; the caller forbids what RFC 7622 §3.3.1 forbids besides.
std::optional<std::string> username_case_mapped(std::string_view text);
// RFC 8265 §4.2.
std::optional<std::string> opaque_string(std::string_view text);
// A domain name of any length as lower-case U-labels (RFC 7622 §3.2): no A-labels, no trailing dot, no IP
// literals.
std::optional<std::string> domain_name(std::string_view text);

}  // namespace xmpp::precis
