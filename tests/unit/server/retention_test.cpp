// SPDX-License-Identifier: MIT
// The sweep: what it removes besides messages.
#include <catch2/catch.hpp>

#include "auth/invitations.h"
#include "tests/support/accounts.h"
#include "tests/support/in_process.h"

using namespace std::chrono_literals;

TEST_CASE("invitations go some time after they have expired, whether others are made or not") {
    tests::InProcess stage;
    stage.open(*tests::parse_scene("sweep", "# A sweep\n# (§0)\n\n[Account] romeo@localhost\n\tpassword: secret\n\n-----\n\nafter 1 seconds\n"));
    storage::Invitation invitation;
    invitation.id = invitation.token = "i";
    invitation.address = *xmpp::Jid::parse("localhost");
    invitation.purpose = storage::Invitation::Purpose::account;
    invitation.created = stage.now();
    invitation.expires = stage.now() + 1h;
    REQUIRE(tests::wait_for(stage.storage().invitations().create(invitation)));
    const auto is_there = [&] { return tests::wait_for(stage.storage().invitations().find("i"))->has_value(); };
    stage.pass(1h + auth::Invitations::kept_after_expiry - 2min);
    CHECK(is_there());   // who has shown it in time may use it
    stage.pass(5min);
    CHECK_FALSE(is_there());
}
