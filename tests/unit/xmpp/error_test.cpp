// SPDX-License-Identifier: MIT
// RFC 6120 §8.3 and §4.9: conditions, their types and their XML.
#include "xmpp/error.h"

#include <catch2/catch.hpp>

#include "xmpp/namespaces.h"
#include "xmpp/parser.h"

using namespace xmpp;

TEST_CASE("every stanza error condition is spelled as in RFC 6120 and found again") {
    for (int i = 0; i <= static_cast<int>(Condition::unexpected_request); ++i) {
        const auto condition = static_cast<Condition>(i);
        CHECK(parse_condition(to_string(condition)) == condition);
    }
    CHECK(to_string(Condition::service_unavailable) == "service-unavailable");
    CHECK(to_string(Condition::feature_not_implemented) == "feature-not-implemented");
    CHECK(to_string(Condition::unexpected_request) == "unexpected-request");
    CHECK(to_string(ErrorType::continue_) == "continue");
    CHECK(to_string(StreamCondition::bad_format) == "bad-format");
    CHECK(to_string(StreamCondition::restricted_xml) == "restricted-xml");
    CHECK(to_string(StreamCondition::unsupported_version) == "unsupported-version");
    CHECK_FALSE(parse_condition("text"));
}

TEST_CASE("a condition brings the type that RFC 6120 recommends") {
    CHECK(default_type(Condition::bad_request) == ErrorType::modify);
    CHECK(default_type(Condition::forbidden) == ErrorType::auth);
    CHECK(default_type(Condition::item_not_found) == ErrorType::cancel);
    CHECK(default_type(Condition::resource_constraint) == ErrorType::wait);
    CHECK(StanzaError{Condition::not_allowed}.type == ErrorType::cancel);
    CHECK(StanzaError{ErrorType::wait, Condition::not_allowed}.type == ErrorType::wait);
}

TEST_CASE("a stanza error becomes XML") {
    CHECK(StanzaError{Condition::conflict}.xml() ==
          "<error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>");
    StanzaError error{Condition::not_acceptable, "a < b"};
    error.payload = "<too-many xmlns='urn:example'/>";
    error.by = "o'neil@example.com";
    const Stanza parsed = parse_trusted(error.xml());
    CHECK(parsed.element().attr("by") == "o'neil@example.com");
    CHECK(parsed.child("not-acceptable", ns::stanzas));
    CHECK(parsed.element().child_text("text", ns::stanzas) == "a < b");
    CHECK(parsed.child("too-many", "urn:example"));
}

TEST_CASE("a stream error becomes XML") {
    CHECK(StreamError{StreamCondition::not_well_formed}.xml() ==
          "<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
    const Stanza parsed = parse_trusted(StreamError{StreamCondition::conflict, "x & y"}.xml());
    CHECK(parsed.element().is("error", ns::stream));
    CHECK(parsed.element().child_text("text", ns::streams) == "x & y");
}
