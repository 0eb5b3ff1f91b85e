// SPDX-License-Identifier: MIT
// Registration: from number to key, wrong and late PINs, registering again. Limits are in
// registration_limits_test.cpp.
#include <catch2/catch.hpp>

#include <set>
#include <thread>

#include "auth/sasl.h"
#include "registration_door.h"

using namespace auth;
using namespace auth_test;
using namespace std::chrono_literals;
using Kind = RegistrationError::Kind;

namespace {

std::string wrong_for(const std::string& pin) { return pin == "00000" ? "00001" : "00000"; }

}  // namespace

TEST_CASE("a number gets a PIN by SMS, and the PIN buys a key that logs in") {
    Door door;
    const auto started = door.start("+49 151 12345678");
    REQUIRE(started);
    CHECK(started->expires_in == 600s);
    CHECK(started->resend_after == 60s);
    const auto sent = door.phones.sent();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].to == "+4915112345678");
    CHECK(sent[0].text.size() == 5);
    CHECK(sent[0].text.find_first_not_of("0123456789") == std::string::npos);

    const auto issued = door.confirm(started->id, sent[0].text);
    REQUIRE(issued);
    CHECK(issued->jid.text() == "4915112345678@localhost");
    CHECK(issued->key.size() >= 27);
    CHECK(door.changed.empty());

    const auto account = door.account();
    REQUIRE(account);
    CHECK(account->phone == "+4915112345678");
    CHECK(account->salt.size() == 16);
    REQUIRE(account->devices.size() == 1);
    const auto& device = account->devices[0];
    CHECK(device.id == issued->device_id);
    CHECK(device.name == "Pixel 9");
    CHECK(device.role == storage::DeviceRole::primary);
    CHECK(device.created == door.now);
    const auto derived = derive_verifiers(issued->key, account->salt, account->iterations);
    for (std::size_t i = 0; i < storage::hash_count; ++i)
        CHECK(derived[i].stored_key == device.verifiers[i].stored_key);
}

TEST_CASE("the PIN is stored as a salted hash only") {
    Door door;
    const auto started = door.start();
    REQUIRE(started);
    const auto found = door.loop.run(door.storage->registrations().find(started->id));
    REQUIRE(found);
    REQUIRE(*found);
    const auto& pending = **found;
    CHECK(pending.pin_hash.size() == 32);
    CHECK(pending.pin_salt.size() == 16);
    CHECK(pending.pin_hash.find(door.phones.last_pin()) == std::string::npos);
    CHECK(pending.tries_left == 5);
}

TEST_CASE("a PIN may be typed with spaces and dashes") {
    Door door;
    const auto started = door.start();
    const std::string pin = door.phones.last_pin();
    CHECK(door.confirm(started->id, " " + pin.substr(0, 2) + "-" + pin.substr(2) + " "));
}

TEST_CASE("attack row 29: after five wrong PINs the right one is worth nothing") {
    Door door;
    const auto started = door.start();
    const std::string pin = door.phones.last_pin();
    for (const std::uint32_t left : {4U, 3U, 2U, 1U, 0U}) {
        const auto refused = door.confirm(started->id, wrong_for(pin));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == Kind::wrong_pin);
        CHECK(refused.error().tries_left == left);
    }
    const auto gone = door.confirm(started->id, pin);
    REQUIRE_FALSE(gone);
    CHECK(gone.error().kind == Kind::gone);
    CHECK_FALSE(door.account());
}

TEST_CASE("no other text passes for a PIN") {
    Door door(([] {
        auto rules = plain_rules();
        rules.tries = 100;
        return rules;
    })());
    const auto started = door.start();
    const std::string pin = door.phones.last_pin();
    for (const std::string& text :
         {std::string{}, pin.substr(1), pin + "0", "0" + pin, std::string("%"), std::string("' OR 1=1"),
          std::string("\0", 1) + pin, pin + std::string("\0", 1), std::string(100'000, '1'),
          std::string("\xff\xfe"), std::string(40, ' ') + pin}) {
        const auto refused = door.confirm(started->id, text);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == Kind::wrong_pin);
    }
    CHECK(door.confirm(started->id, pin));
}

TEST_CASE("a PIN expires and is good once") {
    Door door;
    const auto late = door.start();
    const std::string late_pin = door.phones.last_pin();
    door.now += 601s;
    CHECK(door.confirm(late->id, late_pin).error().kind == Kind::gone);

    const auto started = door.start();
    const std::string pin = door.phones.last_pin();
    door.now += 599s;
    CHECK(door.confirm(started->id, pin));
    CHECK(door.confirm(started->id, pin).error().kind == Kind::gone);
    CHECK(door.confirm(started->id, wrong_for(pin)).error().kind == Kind::gone);
}

TEST_CASE("what was never begun is gone, whatever it is called") {
    Door door;
    for (const std::string& id :
         {std::string{}, std::string("nothing"), std::string(1000, 'a'), std::string("\xff"),
          std::string("a b"), std::string("../x"), std::string("a\0b", 3)}) {
        CHECK(door.confirm(id, "12345").error().kind == Kind::gone);
    }
}

TEST_CASE("the PIN of one number does not confirm another") {
    Door door;
    const auto first = door.start(number_of(1));
    const std::string first_pin = door.phones.last_pin();
    std::optional<Door::Started> second;
    std::string second_pin = first_pin;
    for (int i = 2; second_pin == first_pin; ++i) {
        second.emplace(door.start(number_of(i)));
        second_pin = door.phones.last_pin();
    }
    CHECK(door.confirm((*second)->id, first_pin).error().kind == Kind::wrong_pin);
    CHECK(door.confirm(first->id, first_pin));
}

TEST_CASE("registering again invalidates every old key, keeps the account and its place in the log") {
    Door door;
    const auto first = door.register_now();
    const auto before = door.account();
    storage::Device companion;
    companion.id = "companion";
    companion.role = storage::DeviceRole::companion;
    companion.cursor = 90;
    REQUIRE(door.loop.run(door.storage->accounts().add_device(before->id, companion, 5)));
    door.storage->messages().advance_cursor(before->id, first.device_id, 70);
    CHECK(door.changed.empty());

    door.now += 2min;
    const auto second = door.register_now();
    CHECK(door.changed == std::vector<std::string>{"4915112345678@localhost"});
    const auto after = door.account();
    CHECK(after->id == before->id);
    CHECK(after->salt != before->salt);
    REQUIRE(after->devices.size() == 1);
    CHECK(after->devices[0].id == second.device_id);
    CHECK(after->devices[0].role == storage::DeviceRole::primary);
    CHECK(after->devices[0].cursor == 70);
    CHECK(second.key != first.key);
    CHECK(derive_verifiers(first.key, after->salt, after->iterations)[0].stored_key !=
          after->devices[0].verifiers[0].stored_key);
}

TEST_CASE("attack row 27: start() answers the same for numbers with and without an account") {
    Door door;
    door.register_now(number_of(1));
    door.now += 2min;
    const auto known = door.start(number_of(1));
    const auto unknown = door.start(number_of(2));
    REQUIRE(known);
    REQUIRE(unknown);
    CHECK(known->expires_in == unknown->expires_in);
    CHECK(known->resend_after == unknown->resend_after);
    CHECK(known->id.size() == unknown->id.size());
    CHECK(door.phones.sent().size() == 3);
    const auto known_again = door.start(number_of(1));
    const auto unknown_again = door.start(number_of(2));
    CHECK(known_again.error().kind == unknown_again.error().kind);
    CHECK(known_again.error().retry_after == unknown_again.error().retry_after);
}

TEST_CASE("two confirmations at once buy one key") {
    Door door;
    HashPool pool{2};
    Registration registration{
        plain_rules(), door.seen, pool, door.phones, [&] { return door.now; }, [](const storage::Jid&) {}};
    const auto started = door.loop.run(registration.start(Door::number, "192.0.2.1"));
    std::array<std::optional<Door::Issued>, 3> results;
    for (auto& result : results) {  // each waits for the pool after its PIN was found right
        door.loop.start(registration.confirm(started->id, door.phones.last_pin(), "phone", "192.0.2.1"),
                        result);
    }
    door.loop.run_until_idle();
    const auto issued =
        std::count_if(results.begin(), results.end(), [](const auto& result) { return result->ok(); });
    CHECK(issued == 1);
    for (const auto& result : results) {
        if (!*result) CHECK(result->error().kind == Kind::gone);
    }
    CHECK(door.account()->devices.size() == 1);
}

TEST_CASE("two threads that confirm at once buy one key, and guess no oftener than allowed") {
    const TemporaryDirectory directory;
    const auto storage = open_storage("sqlite:" + directory.file("tern.db"), false);
    HashPool pool{2};
    Phones phones;
    const storage::Time now{std::chrono::hours{500'000}};
    Registration registration{
        plain_rules(), *storage, pool, phones, [&] { return now; }, [](const storage::Jid&) {}};
    std::array<std::string, 2> ids;
    std::array<std::string, 2> pins;
    {
        Loop loop;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            ids[i] = loop.run(registration.start(number_of(static_cast<int>(i)), "192.0.2.1"))->id;
            pins[i] = phones.last_pin();
        }
    }
    std::atomic<int> issued = 0;
    std::atomic<int> wrong = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            Loop loop;
            issued += loop.run(registration.confirm(ids[0], pins[0], "phone", "192.0.2.1")) ? 1 : 0;
            for (int i = 0; i < 4; ++i) {
                const auto refused =
                    loop.run(registration.confirm(ids[1], wrong_for(pins[1]), "phone", "192.0.2.1"));
                wrong += !refused && refused.error().kind == Kind::wrong_pin ? 1 : 0;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(issued == 1);
    CHECK(wrong == 5);
}

TEST_CASE("device names are cleaned: no control characters, not long, never empty") {
    const std::vector<std::pair<std::string, std::string>> names{
        {"Pixel 9", "Pixel 9"},
        {"", "Phone"},
        {"\x01\x02", "Phone"},
        {"\xff", "Phone"},
        {"J\xc3\xb6rg's", "J\xc3\xb6rg's"},
        {std::string(200, 'a'), std::string(64, 'a')},
        {std::string(63, 'a') + "\xc3\xb6", std::string(63, 'a')}};
    Door door(([] {
        auto rules = plain_rules();
        rules.per_address_an_hour = 100;
        return rules;
    })());
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto started = door.start(number_of(static_cast<int>(i)));
        REQUIRE(started);
        const auto issued = door.confirm(started->id, door.phones.last_pin(), names[i].first);
        REQUIRE(issued);
        CHECK(door.account(issued->jid.text())->devices[0].name == names[i].second);
    }
}

TEST_CASE("pins are made of all digits and are not alike") {
    Door door(([] {
        auto rules = plain_rules();
        rules.per_address_an_hour = 1000;
        rules.per_minute = 1000;
        rules.pin_digits = 8;
        return rules;
    })());
    std::set<std::string> pins;
    for (int i = 0; i < 50; ++i) {
        REQUIRE(door.start(number_of(i)));
        CHECK(door.phones.last_pin().size() == 8);
        pins.insert(door.phones.last_pin());
    }
    CHECK(pins.size() >= 49);
}

TEST_CASE("an offered key is the one that the offer's id buys, once, for who expects it") {
    Door door;
    const auto offer = door.registration.offer();
    CHECK(offer.key.size() >= 27);
    CHECK(door.registration.key_offered(offer.id) == offer.key);
    CHECK(door.registration.offer().key != offer.key);
    const auto started = door.loop.run(door.registration.start(Door::number, "192.0.2.1", offer.id));
    REQUIRE(started);
    CHECK(started->id == offer.id);
    CHECK(started->phone == Door::number);
    CHECK(door.loop.run(door.storage->registrations().find(offer.id)).value() ==
          std::nullopt);  // stored as a hash

    const auto confirm = [&](const char* username, const std::string& key) {
        return door.loop.run(door.registration.confirm(offer.id, door.phones.last_pin(), "Pixel 9",
                                                       "192.0.2.1", Registration::Login{username, key}));
    };
    CHECK(confirm("4915112345678", "secret").error().kind == Kind::other_login);
    CHECK(confirm("+4915112345678", offer.key).error().kind == Kind::other_login);
    const auto issued = confirm("4915112345678", offer.key);
    REQUIRE(issued);
    CHECK(issued->key == offer.key);

    door.now += 2min;
    CHECK(door.loop.run(door.registration.start(Door::number, "192.0.2.1", offer.id)).error().kind ==
          Kind::gone);
}

TEST_CASE("the key of a number that came without an offer cannot be asked for") {
    Door door;
    const auto started = door.start();
    REQUIRE(started);
    CHECK(door.registration.key_offered(started->id).empty());
    // An id of one's own making is no offer.
    CHECK(door.loop.run(door.registration.start(number_of(1), "192.0.2.1", "abc")).error().kind ==
          Kind::gone);
}
