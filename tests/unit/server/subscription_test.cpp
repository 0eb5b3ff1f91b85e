// SPDX-License-Identifier: MIT
// RFC 6121 appendix A: the tables of subscription states, row by row, and the pre-approval of §3.4.
#include "server/subscription.h"

#include <catch2/catch.hpp>

using server::Request;
using server::SubscriptionState;

namespace {

// "both", "none+out+in", "to+in", … ; "+ok": approved in advance.
SubscriptionState state(std::string_view text) {
    SubscriptionState s;
    const auto has = [&](std::string_view word) { return text.find(word) != std::string_view::npos; };
    s.to = text.starts_with("to") || text.starts_with("both");
    s.from = text.starts_with("from") || text.starts_with("both");
    s.pending_out = has("+out");
    s.pending_in = has("+in");
    s.approved = has("+ok");
    return s;
}

struct Row {
    const char* before;
    bool passes;
    const char* after;
};

void check(server::SubscriptionStep (*step)(SubscriptionState, Request), Request request, std::initializer_list<Row> rows) {
    for (const Row& row : rows) {
        INFO(server::to_string(request) << " in the state " << row.before);
        const auto taken = step(state(row.before), request);
        CHECK(taken.passes == row.passes);
        CHECK(taken.next == state(row.after));
    }
}

}  // namespace

TEST_CASE("RFC 6121 §A.2.1: outbound subscribe") {
    check(server::outbound_step, Request::subscribe, {
        {"none", true, "none+out"}, {"none+out", true, "none+out"}, {"none+in", true, "none+out+in"},
        {"none+out+in", true, "none+out+in"}, {"to", true, "to"}, {"to+in", true, "to+in"}, {"from", true, "from+out"},
        {"from+out", true, "from+out"}, {"both", true, "both"},
    });
}

TEST_CASE("RFC 6121 §A.2.2: outbound unsubscribe") {
    check(server::outbound_step, Request::unsubscribe, {
        {"none", true, "none"}, {"none+out", true, "none"}, {"none+in", true, "none+in"}, {"none+out+in", true, "none+in"},
        {"to", true, "none"}, {"to+in", true, "none+in"}, {"from", true, "from"}, {"from+out", true, "from"}, {"both", true, "from"},
    });
}

TEST_CASE("RFC 6121 §A.2.3: outbound subscribed, and §3.4.2: in advance") {
    check(server::outbound_step, Request::subscribed, {
        {"none", false, "none+ok"}, {"none+out", false, "none+out+ok"}, {"none+in", true, "from"}, {"none+out+in", true, "from+out"},
        {"to", false, "to+ok"}, {"to+in", true, "both"}, {"from", false, "from"}, {"from+out", false, "from+out"}, {"both", false, "both"},
    });
}

TEST_CASE("RFC 6121 §A.2.4: outbound unsubscribed, and §3.4.2: the approval taken back") {
    check(server::outbound_step, Request::unsubscribed, {
        {"none", false, "none"}, {"none+out", false, "none+out"}, {"none+in", true, "none"}, {"none+out+in", true, "none+out"},
        {"to", false, "to"}, {"to+in", true, "to"}, {"from", true, "none"}, {"from+out", true, "none+out"}, {"both", true, "to"},
        {"none+ok", false, "none"}, {"to+ok", false, "to"},
    });
}

TEST_CASE("RFC 6121 §A.3.1: inbound subscribe, and §3.4.2: approved in advance") {
    check(server::inbound_step, Request::subscribe, {
        {"none", true, "none+in"}, {"none+out", true, "none+out+in"}, {"none+in", false, "none+in"},
        {"none+out+in", false, "none+out+in"}, {"to", true, "to+in"}, {"to+in", false, "to+in"}, {"from", false, "from"},
        {"from+out", false, "from+out"}, {"both", false, "both"},
        {"none+ok", false, "from"}, {"none+out+ok", false, "from+out"}, {"to+ok", false, "both"},
    });
}

TEST_CASE("RFC 6121 §A.3.2: inbound unsubscribe") {
    check(server::inbound_step, Request::unsubscribe, {
        {"none", false, "none"}, {"none+out", false, "none+out"}, {"none+in", true, "none"}, {"none+out+in", true, "none+out"},
        {"to", false, "to"}, {"to+in", true, "to"}, {"from", true, "none"}, {"from+out", true, "none+out"}, {"both", true, "to"},
    });
}

TEST_CASE("RFC 6121 §A.3.3: inbound subscribed") {
    check(server::inbound_step, Request::subscribed, {
        {"none", false, "none"}, {"none+out", true, "to"}, {"none+in", false, "none+in"}, {"none+out+in", true, "to+in"},
        {"to", false, "to"}, {"to+in", false, "to+in"}, {"from", false, "from"}, {"from+out", true, "both"}, {"both", false, "both"},
    });
}

TEST_CASE("RFC 6121 §A.3.4: inbound unsubscribed") {
    check(server::inbound_step, Request::unsubscribed, {
        {"none", false, "none"}, {"none+out", true, "none"}, {"none+in", false, "none+in"}, {"none+out+in", true, "none+in"},
        {"to", true, "none"}, {"to+in", true, "none+in"}, {"from", false, "from"}, {"from+out", true, "from"}, {"both", true, "from"},
    });
}

TEST_CASE("a roster item keeps the subscription state it is given") {
    for (int bits = 0; bits < 32; ++bits) {
        SubscriptionState given;
        given.to = bits & 1;
        given.from = bits & 2;
        given.pending_out = bits & 4;
        given.pending_in = bits & 8;
        given.approved = bits & 16;
        storage::RosterItem item;
        item.request = "<presence/>";
        server::set_state(item, given);
        CHECK(server::state_of(item) == given);
        CHECK(item.request.empty() == !given.pending_in);
    }
}
