// SPDX-License-Identifier: MIT
// XEP-0424 0.4.2 §4: what is left in an archive of a message that was taken back.
#pragma once

#include <string>
#include <string_view>

#include "storage/storage.h"
#include "xmpp/stanza.h"

namespace server {

inline constexpr std::string_view ns_retract = "urn:xmpp:message-retract:1";
inline constexpr std::string_view retract_tombstones = "urn:xmpp:message-retract:1#tombstone";

inline bool is_retraction(const xmpp::Stanza& message) { return !message.child("retract", ns_retract).attr("id").empty(); }

// The <retracted/> of it. `retraction`: the id of the message that took it back; `details`: children, in ns_retract.
std::string retracted(std::string_view retraction, storage::Time when, std::string_view details = {});
// The addresses and ids stay, and everything else goes.
std::string tombstone(const xmpp::Stanza& original, std::string_view retracted);
inline bool is_tombstone(const xmpp::Stanza& message) { return bool{message.child("retracted", ns_retract)}; }

}  // namespace server
