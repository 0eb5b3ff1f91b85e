// SPDX-License-Identifier: MIT
// Stanza errors (RFC 6120 §8.3) and stream errors (RFC 6120 §4.9), spelled as in the RFC: enumerator
// service_unavailable is <service-unavailable/>.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace xmpp {

enum class Condition {  // RFC 6120 §8.3.3
    bad_request, conflict, feature_not_implemented, forbidden, gone, internal_server_error, item_not_found,
    jid_malformed, not_acceptable, not_allowed, not_authorized, policy_violation, recipient_unavailable, redirect,
    registration_required, remote_server_not_found, remote_server_timeout, resource_constraint,
    service_unavailable, subscription_required, undefined_condition, unexpected_request,
};
enum class ErrorType { auth, cancel, continue_, modify, wait };  // RFC 6120 §8.3.2

std::string_view to_string(Condition condition);
std::string_view to_string(ErrorType type);
std::optional<Condition> parse_condition(std::string_view element_name);
ErrorType default_type(Condition condition);  // the type that RFC 6120 §8.3.3 recommends

struct StanzaError {
    StanzaError(Condition c) : type{default_type(c)}, condition{c} {}
    StanzaError(Condition c, std::string t) : type{default_type(c)}, condition{c}, text{std::move(t)} {}
    StanzaError(ErrorType e, Condition c, std::string t = {}) : type{e}, condition{c}, text{std::move(t)} {}

    ErrorType type;
    Condition condition;
    std::string text;     // for humans, optional
    std::string payload;  // application-specific condition, as XML, optional
    std::string beside;   // XML to stand before <error/> in the same stanza (a form, XEP-0077 §3.2), optional
    std::string by;       // RFC 6120 §8.3.1: who detected it, where that is not whom the stanza was for; optional

    // [beside]<error type=… [by=…]><condition xmlns=…/>[<text/>][payload]</error>
    std::string xml() const;
};

enum class StreamCondition {  // RFC 6120 §4.9.3
    bad_format, bad_namespace_prefix, conflict, connection_timeout, host_gone, host_unknown, improper_addressing,
    internal_server_error, invalid_from, invalid_namespace, invalid_xml, not_authorized, not_well_formed,
    policy_violation, remote_connection_failed, reset, resource_constraint, restricted_xml, see_other_host,
    system_shutdown, undefined_condition, unsupported_encoding, unsupported_feature, unsupported_stanza_type,
    unsupported_version,
};
std::string_view to_string(StreamCondition condition);

struct StreamError {
    StreamError(StreamCondition c, std::string t = {}) : condition{c}, text{std::move(t)} {}

    StreamCondition condition;
    std::string text;
    std::string payload;  // application-specific condition, as XML

    std::string xml() const;  // <stream:error>…</stream:error>; the prefix is bound by the stream header
};

}  // namespace xmpp
