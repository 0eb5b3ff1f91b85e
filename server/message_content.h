// SPDX-License-Identifier: MIT
// What a message carries, for modules that decide whether it is worth keeping.
#pragma once

#include <string>

#include "xmpp/stanza.h"

namespace server {

// XEP-0160 §3: chat states (XEP-0085) alone are not worth keeping, nor is what only goes along with a message.
bool has_content(const xmpp::Stanza& message);
// What goes along with a message and says nothing by itself: hints, ids, stamps, addresses, the thread.
bool is_companion(const xmpp::Element& child);
// Chat states (XEP-0085), markers (XEP-0333), receipts (XEP-0184) and PEP events (XEP-0163): nobody need look up for them.
bool can_wait(const xmpp::Element& child);
// Something else than these; what we do not know may be important. Errors are for the client, not for its user.
bool deserves_attention(const xmpp::Stanza& message);
// What full-text search looks at: the body, unless it is for those who cannot decrypt (XEP-0380).
std::string searchable_text(const xmpp::Stanza& message);
// XEP-0334: "store", "no-store", …
bool has_hint(const xmpp::Stanza& message, std::string_view hint);

}  // namespace server
