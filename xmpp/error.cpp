// SPDX-License-Identifier: MIT
// Stanza errors (RFC 6120 §8.3) and stream errors (RFC 6120 §4.9) as text and XML.
#include "xmpp/error.h"

#include <array>

#include "xmpp/namespaces.h"
#include "xmpp/xml_writer.h"

namespace xmpp {

namespace {

struct ConditionRow {
    std::string_view name;
    ErrorType type;  // RFC 6120 §8.3.3; the first one where it leaves a choice
};

// In the order of the enumerators.
constexpr std::array<ConditionRow, 22> conditions = {{
    {"bad-request", ErrorType::modify},
    {"conflict", ErrorType::cancel},
    {"feature-not-implemented", ErrorType::cancel},
    {"forbidden", ErrorType::auth},
    {"gone", ErrorType::cancel},
    {"internal-server-error", ErrorType::cancel},
    {"item-not-found", ErrorType::cancel},
    {"jid-malformed", ErrorType::modify},
    {"not-acceptable", ErrorType::modify},
    {"not-allowed", ErrorType::cancel},
    {"not-authorized", ErrorType::auth},
    {"policy-violation", ErrorType::modify},
    {"recipient-unavailable", ErrorType::wait},
    {"redirect", ErrorType::modify},
    {"registration-required", ErrorType::auth},
    {"remote-server-not-found", ErrorType::cancel},
    {"remote-server-timeout", ErrorType::wait},
    {"resource-constraint", ErrorType::wait},
    {"service-unavailable", ErrorType::cancel},
    {"subscription-required", ErrorType::auth},
    {"undefined-condition", ErrorType::cancel},
    {"unexpected-request", ErrorType::wait},
}};
static_assert(conditions.size() == static_cast<std::size_t>(Condition::unexpected_request) + 1);

constexpr std::array<std::string_view, 5> error_types = {"auth", "cancel", "continue", "modify", "wait"};

constexpr std::array<std::string_view, 25> stream_conditions = {"bad-format",
                                                                "bad-namespace-prefix",
                                                                "conflict",
                                                                "connection-timeout",
                                                                "host-gone",
                                                                "host-unknown",
                                                                "improper-addressing",
                                                                "internal-server-error",
                                                                "invalid-from",
                                                                "invalid-namespace",
                                                                "invalid-xml",
                                                                "not-authorized",
                                                                "not-well-formed",
                                                                "policy-violation",
                                                                "remote-connection-failed",
                                                                "reset",
                                                                "resource-constraint",
                                                                "restricted-xml",
                                                                "see-other-host",
                                                                "system-shutdown",
                                                                "undefined-condition",
                                                                "unsupported-encoding",
                                                                "unsupported-feature",
                                                                "unsupported-stanza-type",
                                                                "unsupported-version"};
static_assert(stream_conditions.size() == static_cast<std::size_t>(StreamCondition::unsupported_version) + 1);

const ConditionRow& row(Condition condition) { return conditions[static_cast<std::size_t>(condition)]; }

// The condition and the text, which stanza and stream errors spell alike but for the namespace.
void write_condition(std::string& out, std::string_view name, std::string_view ns, std::string_view text) {
    out.append("<").append(name).append(" xmlns='").append(ns).append("'/>");
    if (text.empty()) return;
    out.append("<text xmlns='").append(ns).append("' xml:lang='en'>");
    append_escaped_text(out, text);
    out.append("</text>");
}

}  // namespace

std::string_view to_string(Condition condition) { return row(condition).name; }

std::string_view to_string(ErrorType type) { return error_types[static_cast<std::size_t>(type)]; }

std::string_view to_string(StreamCondition condition) {
    return stream_conditions[static_cast<std::size_t>(condition)];
}

std::optional<Condition> parse_condition(std::string_view element_name) {
    for (std::size_t i = 0; i < conditions.size(); ++i)
        if (conditions[i].name == element_name) return static_cast<Condition>(i);
    return std::nullopt;
}

ErrorType default_type(Condition condition) { return row(condition).type; }

std::string StanzaError::xml() const {
    std::string out = beside;
    out.append("<error type='").append(to_string(type)).append("'");
    if (!by.empty()) {
        out.append(" by='");
        append_escaped_attribute(out, by);
        out.append("'");
    }
    out.append(">");
    write_condition(out, to_string(condition), ns::stanzas, text);
    return out.append(payload).append("</error>");
}

std::string StreamError::xml() const {
    std::string out = "<stream:error>";
    write_condition(out, to_string(condition), ns::streams, text);
    return out.append(payload).append("</stream:error>");
}

}  // namespace xmpp
