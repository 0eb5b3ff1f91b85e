// SPDX-License-Identifier: MIT
// The namespaces of the RFCs. A XEP's namespace stands in the file of its module.
#pragma once

#include <string_view>

namespace xmpp::ns {

inline constexpr std::string_view client = "jabber:client";
inline constexpr std::string_view server = "jabber:server";
inline constexpr std::string_view stream = "http://etherx.jabber.org/streams";
inline constexpr std::string_view tls = "urn:ietf:params:xml:ns:xmpp-tls";
inline constexpr std::string_view sasl2 = "urn:xmpp:sasl:2";
inline constexpr std::string_view sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
inline constexpr std::string_view bind = "urn:ietf:params:xml:ns:xmpp-bind";
inline constexpr std::string_view session = "urn:ietf:params:xml:ns:xmpp-session";  // RFC 3921, optional
inline constexpr std::string_view stanzas = "urn:ietf:params:xml:ns:xmpp-stanzas";
inline constexpr std::string_view streams = "urn:ietf:params:xml:ns:xmpp-streams";
inline constexpr std::string_view roster = "jabber:iq:roster";
inline constexpr std::string_view roster_versioning = "urn:xmpp:features:rosterver";
inline constexpr std::string_view pre_approval = "urn:xmpp:features:pre-approval";
inline constexpr std::string_view xml = "http://www.w3.org/XML/1998/namespace";

// Shared by modules and core alike.
inline constexpr std::string_view data_form = "jabber:x:data";            // XEP-0004
inline constexpr std::string_view rsm = "http://jabber.org/protocol/rsm"; // XEP-0059
inline constexpr std::string_view disco_info = "http://jabber.org/protocol/disco#info";     // XEP-0030
inline constexpr std::string_view disco_items = "http://jabber.org/protocol/disco#items";
inline constexpr std::string_view muc_user = "http://jabber.org/protocol/muc#user";         // XEP-0045
inline constexpr std::string_view delay = "urn:xmpp:delay";               // XEP-0203
inline constexpr std::string_view stanza_id = "urn:xmpp:sid:0";           // XEP-0359
inline constexpr std::string_view occupant_id = "urn:xmpp:occupant-id:0"; // XEP-0421

}  // namespace xmpp::ns
