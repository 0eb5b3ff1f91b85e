// SPDX-License-Identifier: MIT
// What a message carries.
#include "server/message_content.h"

#include <algorithm>

#include "xmpp/namespaces.h"

namespace server {

namespace {

constexpr std::string_view ns_chat_states = "http://jabber.org/protocol/chatstates";
constexpr std::string_view ns_hints = "urn:xmpp:hints";

bool is_content(const xmpp::Element& child) {
    return child.ns() != ns_chat_states && child.ns() != ns_hints && child.ns() != xmpp::ns::stanza_id &&
           child.ns() != xmpp::ns::delay && !child.is("thread", xmpp::ns::client);
}

}  // namespace

bool has_content(const xmpp::Stanza& message) { return std::ranges::any_of(message.children(), is_content); }

bool has_hint(const xmpp::Stanza& message, std::string_view hint) { return bool{message.child(hint, ns_hints)}; }

}  // namespace server
