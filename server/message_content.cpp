// SPDX-License-Identifier: MIT
// What a message carries.
#include "server/message_content.h"

#include <algorithm>

#include "xmpp/namespaces.h"
#include "xmpp/search_text.h"

namespace server {

namespace {

constexpr std::string_view ns_carbons = "urn:xmpp:carbons:2";
constexpr std::string_view ns_chat_states = "http://jabber.org/protocol/chatstates";
constexpr std::string_view ns_event = "http://jabber.org/protocol/pubsub#event";
constexpr std::string_view ns_hints = "urn:xmpp:hints";
constexpr std::string_view ns_markers = "urn:xmpp:chat-markers:0";
constexpr std::string_view ns_receipts = "urn:xmpp:receipts";

constexpr std::string_view ns_companions[] = {
    ns_hints,
    xmpp::ns::stanza_id,
    xmpp::ns::delay,
    xmpp::ns::occupant_id,
    "http://jabber.org/protocol/nick",
    "http://jabber.org/protocol/address",
};

bool is_content(const xmpp::Element& child) {
    return child.ns() != ns_chat_states && child.ns() != ns_hints && child.ns() != xmpp::ns::stanza_id &&
           child.ns() != xmpp::ns::delay && !child.is("thread", xmpp::ns::client);
}

}  // namespace

bool has_content(const xmpp::Stanza& message) { return std::ranges::any_of(message.children(), is_content); }

bool is_companion(const xmpp::Element& child) {
    if (child.is("thread", xmpp::ns::client) || child.is("private", ns_carbons)) return true;
    if (child.is("x", xmpp::ns::muc_user)) return child.child_count() == 0;  // XEP-0045 §7.5: a private message
    return std::ranges::find(ns_companions, child.ns()) != std::end(ns_companions);
}

bool can_wait(const xmpp::Element& child) {
    return child.ns() == ns_chat_states || child.ns() == ns_markers || child.ns() == ns_receipts || child.is("event", ns_event);
}

bool deserves_attention(const xmpp::Stanza& message) {
    // XEP-0333 §4, XEP-0184 §5.1: a message asks for markers and receipts itself; these are nothing to wait for either.
    return !message.is_error() && std::ranges::any_of(message.children(), [](const xmpp::Element& child) { return !is_companion(child) && !can_wait(child); });
}

std::string searchable_text(const xmpp::Stanza& message) {
    if (message.child("encryption", "urn:xmpp:eme:0")) return {};
    return xmpp::search_text(message.child("body", xmpp::ns::client).text());
}

bool has_hint(const xmpp::Stanza& message, std::string_view hint) { return bool{message.child(hint, ns_hints)}; }

}  // namespace server
