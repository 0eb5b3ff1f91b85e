// SPDX-License-Identifier: MIT
// Invitations: tokens, what they are good for and for how long, and how many may be made.
#include "auth/invitations.h"

#include <set>

#include "auth/crypto.h"
#include "registration_door.h"

using namespace std::chrono_literals;

namespace auth_test {
namespace {

using Kind = auth::InvitationError::Kind;
using auth::Invitations;

// The account 4915112345678@localhost, which invites.
struct Host : Door {
    auth::Invitations invitations;
    storage::Jid inviter;

    explicit Host(auth::InvitationRules rules = {}) : invitations{rules, seen, [this] { return now; }}, inviter{register_now().jid} {}

    Invitations::Wanted contact() const {
        Invitations::Wanted wanted;
        wanted.inviter = inviter;
        wanted.address = *storage::Jid::parse("localhost");
        wanted.subscribes = true;
        return wanted;
    }
    static Invitations::Wanted for_account(const std::string& address) {
        Invitations::Wanted wanted;
        wanted.address = *storage::Jid::parse(address);
        wanted.purpose = storage::Invitation::Purpose::account;
        wanted.registers = true;
        return wanted;
    }
    auto invite(Invitations::Wanted wanted) { return loop.run(invitations.invite(std::move(wanted))); }
    Invitations::Link link(Invitations::Wanted wanted) {
        auto made = invite(std::move(wanted));
        REQUIRE(made);
        return *made;
    }
    auto look(const std::string& token, const std::string& who = "192.0.2.1") { return loop.run(invitations.look(token, who)); }
    storage::Task<bool> give_back(std::string id) {
        auto giving = invitations.give_back(std::move(id));
        co_await giving;
        co_return true;
    }
    storage::Task<bool> release(storage::Invitation invitation) {
        auto releasing = invitations.release(std::move(invitation));
        co_await releasing;
        co_return true;
    }
    auto use(const std::string& id) { return loop.run(invitations.use(id)); }
};

template <class R>
Kind kind_of(const R& result) {
    REQUIRE_FALSE(result.ok());
    return result.error().kind;
}

}  // namespace

TEST_CASE("a token has 160 random bits, is alphanumeric, and only its hash is stored") {
    Host host;
    std::set<std::string> tokens;
    for (int i = 0; i < 20; ++i) {
        const auto link = host.link(host.contact());
        CHECK(link.token.size() == 32);
        CHECK(link.token.find_first_not_of("abcdefghijkmnpqrstuvwxyz23456789") == std::string::npos);
        CHECK(link.invitation.token == auth::token(auth::digest(storage::Hash::sha256, link.token)));
        CHECK(link.invitation.token.find(link.token) == std::string::npos);
        CHECK_FALSE(host.look(link.invitation.token));   // what is stored opens nothing
        CHECK_FALSE(host.look(link.invitation.id));
        CHECK(link.invitation.id.find_first_not_of("abcdefghijkmnpqrstuvwxyz23456789") == std::string::npos);
        tokens.insert(link.token);
    }
    CHECK(tokens.size() == 20);
}

TEST_CASE("an invitation is good until it expires, is used or revoked") {
    Host host;
    const auto link = host.link(host.contact());
    const auto found = host.look(link.token);
    REQUIRE(found);
    CHECK(found->inviter == host.inviter);
    CHECK(found->subscribes);
    CHECK_FALSE(found->registers);
    CHECK(found->expires == host.now + 7 * 24h);
    CHECK(kind_of(host.look("")) == Kind::gone);
    CHECK(kind_of(host.look(link.token + "2")) == Kind::gone);
    CHECK(kind_of(host.look(std::string(5000, 'a'))) == Kind::gone);

    CHECK(host.use(link.invitation.id));
    CHECK(kind_of(host.use(link.invitation.id)) == Kind::gone);
    CHECK(kind_of(host.look(link.token)) == Kind::gone);
    host.loop.run(host.give_back(link.invitation.id));
    CHECK(host.look(link.token));

    // XEP-0445 §4: who has shown it in time may use it later.
    host.now += 7 * 24h;
    CHECK(kind_of(host.look(link.token)) == Kind::gone);
    CHECK(host.use(link.invitation.id));

    const auto other = host.link(host.contact());
    REQUIRE(host.loop.run(host.invitations.revoke(other.invitation.id)));
    CHECK(kind_of(host.loop.run(host.invitations.revoke(other.invitation.id))) == Kind::gone);
    CHECK(kind_of(host.look(other.token)) == Kind::gone);
    CHECK(kind_of(host.use(other.invitation.id)) == Kind::gone);
}

TEST_CASE("an invitation may be good for several, and goes with its inviter's account") {
    Host host;
    auto wanted = host.contact();
    wanted.uses = 2;
    wanted.lifetime = 1h;
    const auto link = host.link(wanted);
    CHECK(host.use(link.invitation.id));
    CHECK(host.look(link.token)->uses_left == 1);
    CHECK(host.loop.run(host.invitations.list(host.inviter))->size() == 1);
    host.link(Host::for_account("localhost"));
    CHECK(host.loop.run(host.invitations.list())->size() == 2);
    REQUIRE(host.loop.run(host.storage->accounts().remove(host.account()->id)));
    CHECK(kind_of(host.look(link.token)) == Kind::gone);
    CHECK(host.loop.run(host.invitations.list())->size() == 1);
    CHECK(kind_of(host.loop.run(host.invitations.list(host.inviter))) == Kind::no_inviter);
    CHECK(kind_of(host.invite(host.contact())) == Kind::no_inviter);
}

TEST_CASE("a name is promised once, and to nobody when it is taken") {
    Host host;
    const auto juliet = *storage::Jid::parse("juliet@localhost");
    const auto link = host.link(Host::for_account("juliet@localhost"));
    CHECK_FALSE(link.invitation.subscribes);   // to whom?
    CHECK(kind_of(host.invite(Host::for_account("juliet@localhost"))) == Kind::taken);
    CHECK(kind_of(host.invite(Host::for_account(host.inviter.text()))) == Kind::taken);
    CHECK(*host.loop.run(host.invitations.is_kept_from(juliet, "")));
    CHECK_FALSE(*host.loop.run(host.invitations.is_kept_from(juliet, link.invitation.id)));
    host.now += 8 * 24h;
    CHECK_FALSE(*host.loop.run(host.invitations.is_kept_from(juliet, "")));
    host.link(Host::for_account("juliet@localhost"));
}

TEST_CASE("a name stays promised while its account is being made, and is nobody's when that has gone") {
    Host host;
    const auto juliet = *storage::Jid::parse("juliet@localhost");
    const auto link = host.link(Host::for_account("juliet@localhost"));
    REQUIRE(host.use(link.invitation.id));
    CHECK(*host.loop.run(host.invitations.is_kept_from(juliet, "")));
    CHECK(*host.loop.run(host.invitations.is_kept_from(juliet, "another")));
    CHECK(kind_of(host.invite(Host::for_account("juliet@localhost"))) == Kind::taken);
    host.loop.run(host.release(link.invitation));
    CHECK_FALSE(*host.loop.run(host.invitations.is_kept_from(juliet, "")));
    host.link(Host::for_account("juliet@localhost"));

    // One that names nobody goes on with its other uses.
    auto wanted = host.contact();
    wanted.uses = 2;
    const auto contact = host.link(wanted);
    REQUIRE(host.use(contact.invitation.id));
    host.loop.run(host.release(contact.invitation));
    CHECK(host.look(contact.token));
}

TEST_CASE("which names are taken is told so often a day, and costs no invitation") {
    auth::InvitationRules rules;
    rules.per_account_a_day = 2;
    Host host{rules};
    auto taken = host.contact();
    taken.address = host.inviter;
    for (int i = 0; i < 10; ++i) CHECK(kind_of(host.invite(taken)) == Kind::taken);
    CHECK(kind_of(host.invite(taken)) == Kind::too_many);
    taken.address = *storage::Jid::parse("juliet@localhost");
    CHECK(kind_of(host.invite(taken)) == Kind::too_many);
    host.link(host.contact());
    host.link(host.contact());
    CHECK(kind_of(host.invite(host.contact())) == Kind::too_many);
    taken.address = host.inviter;
    taken.is_limited = false;   // an admin's
    CHECK(kind_of(host.invite(taken)) == Kind::taken);
}

TEST_CASE("an account invites so many a day, an admin as many as he likes, and tokens are not tried out") {
    auth::InvitationRules rules;
    rules.per_account_a_day = 2;
    rules.looks_a_minute = 3;
    Host host{rules};
    host.link(host.contact());
    const auto link = host.link(host.contact());
    const auto refused = host.invite(host.contact());
    CHECK(kind_of(refused) == Kind::too_many);
    CHECK(refused.error().retry_after == 12h);
    auto by_admin = host.contact();
    by_admin.is_limited = false;
    host.link(by_admin);
    host.link(Host::for_account("localhost"));
    host.now += 12h;
    host.link(host.contact());

    CHECK(host.look(link.token));
    CHECK(kind_of(host.look("x")) == Kind::gone);
    CHECK(kind_of(host.look("y")) == Kind::gone);
    CHECK(kind_of(host.look(link.token)) == Kind::too_many);
    CHECK(host.look(link.token, "192.0.2.2"));
    host.now += 20s;
    CHECK(host.look(link.token));
}

TEST_CASE("where numbers need an invitation, one that has an account needs none") {
    auto rules = plain_rules();
    bool invited_only = false;
    rules.invited_only = [&] { return invited_only; };
    Door door{rules};
    door.register_now();
    invited_only = true;
    door.now += 2min;
    door.register_now();

    const std::string other = number_of(7);
    const auto started = door.start(other);
    REQUIRE(started);
    const auto refused = door.confirm(started->id, door.phones.last_pin());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Door::Kind::not_invited);
    auth::Registration::Login invited;
    invited.is_invited = true;
    CHECK(door.loop.run(door.registration.confirm(started->id, door.phones.last_pin(), "Pixel 9", "192.0.2.1", invited)));   // the PIN is still good
}

}  // namespace auth_test
