// SPDX-License-Identifier: MIT
// What a message carries, for modules that decide whether it is worth keeping.
#pragma once

#include "xmpp/stanza.h"

namespace server {

// XEP-0160 §3: chat states (XEP-0085) alone are not worth keeping, nor is what only goes along with a message.
bool has_content(const xmpp::Stanza& message);
// XEP-0334: "store", "no-store", …
bool has_hint(const xmpp::Stanza& message, std::string_view hint);

}  // namespace server
