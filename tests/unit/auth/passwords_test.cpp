// SPDX-License-Identifier: MIT
// Accounts with passwords: made, changed, and what is refused.
#include <catch2/catch.hpp>

#include "auth/passwords.h"
#include "auth/sasl.h"
#include "registration_door.h"

using namespace auth;
using namespace auth_test;
using Kind = PasswordError::Kind;

namespace {

struct House {
    Loop loop;
    std::unique_ptr<storage::Storage> storage = open_storage();
    HashPool hashes{0};

    xmpp::Result<storage::AccountId, PasswordError> make(const std::string& jid,
                                                         const std::string& password) {
        return loop.run(make_password_account(*storage, hashes, *storage::Jid::parse(jid), password, 10));
    }
    xmpp::Result<void, PasswordError> change(storage::AccountId account, const std::string& password) {
        return loop.run(change_password(*storage, hashes, account, password, 10));
    }
    storage::Account account(const std::string& jid) {
        return loop.run(storage->accounts().find(*storage::Jid::parse(jid)))->value();
    }
};

bool opens(const storage::Account& account, const std::string& password) {
    const auto derived = derive_verifiers(password, account.salt, account.iterations);
    for (const auto& device : account.devices) {
        if (device.verifiers[1].stored_key == derived[1].stored_key) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("an account with a password is one device under a salt of its own") {
    House house;
    REQUIRE(house.make("romeo@localhost", "secret"));
    REQUIRE(house.make("juliet@localhost", "secret"));
    const auto romeo = house.account("romeo@localhost");
    const auto juliet = house.account("juliet@localhost");
    CHECK(romeo.salt.size() == 16);
    CHECK(romeo.salt != juliet.salt);
    CHECK(romeo.phone.empty());
    REQUIRE(romeo.devices.size() == 1);
    CHECK(romeo.devices[0].name == "password");
    CHECK(romeo.devices[0].role == storage::DeviceRole::password);
    CHECK(opens(romeo, "secret"));
    CHECK_FALSE(opens(romeo, "Secret"));
}

TEST_CASE("what cannot be an account or a password is refused") {
    House house;
    REQUIRE(house.make("romeo@localhost", "secret"));
    CHECK(house.make("romeo@localhost", "other").error().kind == Kind::conflict);
    CHECK(opens(house.account("romeo@localhost"), "secret"));
    CHECK(house.make("localhost", "secret").error().kind == Kind::not_allowed);
    CHECK(house.make("tybalt@localhost/street", "secret").error().kind == Kind::not_allowed);
    for (const std::string& password : {std::string{}, std::string("a\x07"), std::string("\xff"),
                                        std::string("a\0b", 3), std::string(5000, 'a')}) {
        CHECK(house.make("tybalt@localhost", password).error().kind == Kind::not_allowed);
        CHECK(house.change(house.account("romeo@localhost").id, password).error().kind == Kind::not_allowed);
    }
    CHECK(house.change(4711, "secret").error().kind == Kind::not_found);
    HashPool full{1, 0};
    const auto jid = *storage::Jid::parse("mercutio@localhost");
    CHECK(house.loop.run(make_password_account(*house.storage, full, jid, "secret", 10)).error().kind ==
          Kind::busy);
}

TEST_CASE("a changed password invalidates the old one and keeps the place in the log") {
    House house;
    const auto id = house.make("romeo@localhost", "secret");
    REQUIRE(id);
    const auto before = house.account("romeo@localhost");
    house.storage->messages().advance_cursor(*id, before.devices[0].id, 12);
    REQUIRE(house.change(*id, "better"));
    const auto after = house.account("romeo@localhost");
    CHECK(after.salt != before.salt);
    REQUIRE(after.devices.size() == 1);
    CHECK(after.devices[0].id != before.devices[0].id);
    CHECK(after.devices[0].cursor == 12);
    CHECK(opens(after, "better"));
    CHECK_FALSE(opens(after, "secret"));
}
