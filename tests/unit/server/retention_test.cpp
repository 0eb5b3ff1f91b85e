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

TEST_CASE("one sweep removes all that is kept for devices alone and has arrived, however much it is") {
    tests::InProcess stage;
    stage.open(*tests::parse_scene("sweep", "# A sweep\n# (§0)\n\n[Account] romeo@localhost\n\tpassword: secret\n\n-----\n\nafter 1 seconds\n"));
    storage::Account juliet;
    juliet.jid = *xmpp::Jid::parse("juliet@localhost");
    storage::Device& phone = juliet.devices.emplace_back();
    phone.id = "phone";
    phone.last_seen = stage.now();
    const storage::AccountId id = *tests::wait_for(stage.storage().accounts().create(juliet));
    auto& messages = stage.storage().messages();
    const auto first = static_cast<storage::LogId>(stage.now().time_since_epoch().count());
    constexpr storage::LogId count = 1'200;
    for (storage::LogId n = 0; n < count; ++n) {
        storage::LogEntry entry;
        entry.account = id;
        entry.id = first + n;
        entry.peer = *xmpp::Jid::parse("romeo@localhost");
        entry.xml = xmpp::Wire{std::string_view{"<message/>"}};
        entry.is_archived = false;
        messages.append(entry, {});
    }
    const auto left = [&] { return tests::wait_for(messages.read(id, 0, count))->size(); };
    REQUIRE(left() == count);
    messages.advance_cursor(id, "phone", first + count);
    stage.settle();   // from now on it sweeps once a minute
    stage.pass(61s);
    CHECK(left() == 0);
}
