// SPDX-License-Identifier: MIT
// The contract of invitations, held against every backend.
#include "tests/unit/storage/backends.h"

using namespace tests;

TEMPLATE_TEST_CASE("an invitation is used so many times, and goes with who invited", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& invitations = o.storage->invitations();
    const AccountId romeo = o.create("romeo@montague.example"), tybalt = o.create("tybalt@capulet.example");
    storage::Invitation made;
    made.id = "i1";
    made.token = "t1";
    made.inviter_id = romeo;
    made.address = jid("montague.example");
    made.registers = made.subscribes = true;
    made.uses_left = 2;
    made.created = at(100);
    made.expires = at(200);
    must(o.run(invitations.create(made)));
    for (const auto& [id, token] : {std::pair{"i1", "t2"}, std::pair{"i2", "t1"}}) {
        made.id = id;
        made.token = token;
        const auto taken = o.run(invitations.create(made));
        REQUIRE_FALSE(taken.ok());
        CHECK(taken.error().kind == Kind::conflict);
    }
    made.inviter_id = romeo + 99;
    made.id = made.token = "x";
    const auto orphan = o.run(invitations.create(made));
    REQUIRE_FALSE(orphan.ok());
    CHECK(orphan.error().kind == Kind::not_found);

    CHECK_FALSE(o.get(invitations.find("i1")));
    const auto found = o.get(invitations.find("t1"));
    REQUIRE(found);
    CHECK(found->id == "i1");
    CHECK(found->inviter_id == romeo);
    CHECK(found->inviter == jid("romeo@montague.example"));
    CHECK(found->address == jid("montague.example"));
    CHECK(found->purpose == storage::Invitation::Purpose::contact);
    CHECK(found->registers);
    CHECK(found->subscribes);
    CHECK(found->uses_left == 2);
    CHECK(found->created == at(100));
    CHECK(found->expires == at(200));

    CHECK(o.get(invitations.use("i1")));
    CHECK(o.get(invitations.use("i1")));
    CHECK_FALSE(o.get(invitations.use("i1")));
    CHECK(o.get(invitations.list(0, at(150), 10)).empty());
    must(o.run(invitations.give_back("i1")));
    CHECK(o.get(invitations.list(0, at(150), 10)).size() == 1);
    CHECK(o.get(invitations.list(romeo, at(150), 10)).size() == 1);
    CHECK(o.get(invitations.list(tybalt, at(150), 10)).empty());
    CHECK(o.get(invitations.list(0, at(200), 10)).empty());      // expired
    CHECK(o.get(invitations.list(0, at(150), 0)).empty());
    CHECK_FALSE(o.get(invitations.use("unknown")));

    must(o.run(o.storage->accounts().set_disabled(romeo, true)));
    CHECK_FALSE(o.get(invitations.find("t1")));
    CHECK_FALSE(o.get(invitations.use("i1")));
    must(o.run(o.storage->accounts().set_disabled(romeo, false)));
    CHECK(o.get(invitations.find("t1"))->uses_left == 1);
    must(o.run(o.storage->accounts().remove(romeo)));
    CHECK_FALSE(o.get(invitations.find("t1")));
    CHECK_FALSE(o.get(invitations.use("i1")));
}

TEMPLATE_TEST_CASE("an invitation keeps the address that it names until it expires or is removed", "[contract]", TERN_STORAGE_BACKENDS) {
    Opened<TestType> o;
    auto& invitations = o.storage->invitations();
    const Jid juliet = jid("juliet@capulet.example");
    int made = 0;
    const auto invite = [&](const Jid& address, int from, int until) {
        storage::Invitation invitation;
        invitation.id = invitation.token = "n" + std::to_string(++made);
        invitation.address = address;
        invitation.purpose = storage::Invitation::Purpose::account;
        invitation.created = at(from);
        invitation.expires = at(until);
        return o.run(invitations.create(std::move(invitation)));
    };
    must(invite(juliet, 100, 200));
    REQUIRE_FALSE(invite(juliet, 199, 300).ok());
    CHECK_FALSE(invite(juliet, 199, 300).ok());
    must(invite(jid("capulet.example"), 100, 200));   // a domain is kept for nobody
    must(invite(jid("capulet.example"), 100, 200));
    const auto keeping = o.get(invitations.find_keeping(juliet, at(150)));
    REQUIRE(keeping);
    CHECK(keeping->id == "n1");
    CHECK(keeping->inviter_id == 0);
    CHECK(keeping->inviter.empty());
    CHECK(keeping->purpose == storage::Invitation::Purpose::account);
    CHECK_FALSE(o.get(invitations.find_keeping(juliet, at(200))));
    must(invite(juliet, 200, 300));                   // the first has expired
    CHECK(o.get(invitations.find_keeping(juliet, at(250)))->id == "n6");
    CHECK(o.get(invitations.use("n6")));   // nobody's, and of no account that could be disabled
    CHECK(o.get(invitations.find_keeping(juliet, at(250)))->id == "n6");   // its account may be in the making
    CHECK_FALSE(invite(juliet, 250, 300).ok());
    CHECK(o.get(invitations.remove("n6")));
    CHECK_FALSE(o.get(invitations.find_keeping(juliet, at(250))));
    must(invite(juliet, 250, 300));                   // the second was removed
    CHECK(o.get(invitations.remove("n8")));
    CHECK_FALSE(o.get(invitations.remove("n8")));
    must(invite(juliet, 250, 300));                   // the third was removed

    CHECK(o.get(invitations.find("n4")));
    must(o.run(invitations.remove_expired(at(201))));
    CHECK_FALSE(o.get(invitations.find("n4")));
    CHECK(o.get(invitations.find("n9")));
}
