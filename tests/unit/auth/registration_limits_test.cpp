// SPDX-License-Identifier: MIT
// What registration refuses (attack row 29): too often for a number, an address, all; and what it does when
// storage, the SMS gateway or the hash pool cannot.
#include <catch2/catch.hpp>

#include "registration_door.h"

using namespace auth;
using namespace auth_test;
using namespace std::chrono_literals;
using Kind = RegistrationError::Kind;
using storage::StorageError;
using storage::Task;

namespace {

template <class T>
Task<storage::Result<T>> down() {
    co_return xmpp::Failure{StorageError{StorageError::Kind::unavailable, "down"}};
}

// Registrations that fail where they are told to.
struct Failing final : storage::Registrations {
    explicit Failing(storage::Registrations& r) : inner{r} {}
    storage::Registrations& inner;
    std::string at;

    Task<storage::Result<void>> create(storage::PendingRegistration r) override {
        return at == "create" ? down<void>() : inner.create(std::move(r));
    }
    Task<storage::Result<std::optional<storage::PendingRegistration>>> find(std::string id) override {
        return at == "find" ? down<std::optional<storage::PendingRegistration>>() : inner.find(std::move(id));
    }
    Task<storage::Result<std::optional<std::uint32_t>>> take_try(std::string id, storage::Time now) override {
        return at == "take_try" ? down<std::optional<std::uint32_t>>() : inner.take_try(std::move(id), now);
    }
    Task<storage::Result<bool>> use(std::string id) override {
        return at == "use" ? down<bool>() : inner.use(std::move(id));
    }
    Task<storage::Result<Recent>> recent(std::string phone, storage::Time since) override {
        return at == "recent" ? down<Recent>() : inner.recent(std::move(phone), since);
    }
    Task<storage::Result<void>> remove_before(storage::Time before) override {
        removed.push_back(before);
        return at == "remove_before" ? down<void>() : inner.remove_before(before);
    }
    std::vector<storage::Time> removed;
};

// Accounts where somebody else is quicker: `meanwhile` runs after the account was looked for.
struct Raced final : storage::Accounts {
    explicit Raced(storage::Accounts& a) : inner{a} {}
    storage::Accounts& inner;
    std::function<void()> meanwhile;
    bool is_down = false;

    using Found = storage::Result<std::optional<storage::Account>>;
    Task<Found> find(storage::Jid bare) override {
        auto finding = is_down ? down<std::optional<storage::Account>>() : inner.find(std::move(bare));
        auto found = co_await finding;
        if (meanwhile) std::exchange(meanwhile, nullptr)();
        co_return std::move(found);
    }
    Task<storage::Result<storage::AccountId>> create(storage::Account a) override {
        return inner.create(std::move(a));
    }
    Task<storage::Result<std::size_t>> create_all(std::vector<storage::Account> a) override {
        return inner.create_all(std::move(a));
    }
    Task<storage::Result<void>> remove(storage::AccountId id) override { return inner.remove(id); }
    Task<storage::Result<std::vector<storage::Account>>> list(std::string d, std::string a,
                                                              std::size_t n) override {
        return inner.list(std::move(d), std::move(a), n);
    }
    Task<storage::Result<std::uint64_t>> count(std::string d) override { return inner.count(std::move(d)); }
    Task<storage::Result<void>> set_disabled(storage::AccountId id, bool d) override {
        return inner.set_disabled(id, d);
    }
    Task<storage::Result<void>> set_last_logout(storage::AccountId id, storage::Time t,
                                                std::string s) override {
        return inner.set_last_logout(id, t, std::move(s));
    }
    Task<storage::Result<void>> replace_devices(storage::AccountId id, storage::Salt s,
                                                storage::Device d) override {
        return inner.replace_devices(id, std::move(s), std::move(d));
    }
    Task<storage::Result<bool>> add_device(storage::AccountId id, storage::Device d, std::size_t most) override {
        return inner.add_device(id, std::move(d), most);
    }
    Task<storage::Result<void>> remove_device(storage::AccountId id, std::string d) override {
        return inner.remove_device(id, std::move(d));
    }
    Task<storage::Result<void>> set_reads_archive(storage::AccountId id, std::string d, bool reads) override {
        return inner.set_reads_archive(id, std::move(d), reads);
    }
    Task<storage::Result<void>> set_device_seen(storage::AccountId id, std::string d,
                                                storage::Time t) override {
        return inner.set_device_seen(id, std::move(d), t);
    }
    Task<storage::Result<void>> set_device_software(storage::AccountId id, std::string d, std::string s) override {
        return inner.set_device_software(id, std::move(d), std::move(s));
    }
    Task<storage::Result<void>> set_device_networks(storage::AccountId id, std::string d, std::string n) override {
        return inner.set_device_networks(id, std::move(d), std::move(n));
    }
    Task<storage::Result<void>> add_verifier(storage::AccountId id, std::string d, storage::Hash h, storage::Verifier v, std::string wrong) override {
        return inner.add_verifier(id, std::move(d), h, std::move(v), std::move(wrong));
    }
    Task<storage::Result<std::vector<storage::PartialAccount>>> partial() override { return inner.partial(); }
};

RegistrationRules rules_with(const std::function<void(RegistrationRules&)>& change) {
    auto rules = plain_rules();
    change(rules);
    return rules;
}

}  // namespace

TEST_CASE("a PIN is not sent again before resend_after") {
    Door door;
    REQUIRE(door.start());
    for (const auto& [passed, wait] : std::vector<std::pair<std::chrono::milliseconds, std::chrono::seconds>>{
             {0ms, 60s}, {1s, 59s}, {58s, 1s}, {500ms, 1s}}) {
        door.now += passed;
        const auto refused = door.start("+49 151 12345678", "192.0.2.2");
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == Kind::too_many);
        CHECK(refused.error().retry_after == wait);
    }
    CHECK(door.phones.sent().size() == 1);
    door.now += 500ms;
    CHECK(door.start());
    CHECK(door.phones.sent().size() == 2);
}

TEST_CASE("two requests for a number at the same moment send one SMS") {
    Door door;
    // The first waits for a real database when the second comes.
    const TemporaryDirectory directory;
    const auto storage = open_storage("sqlite:" + directory.file("tern.db"), false);
    Registration registration{plain_rules(), *storage, door.hashes, door.phones, [&] { return door.now; },
                              [](const storage::Jid&) {}};
    std::optional<Door::Started> first;
    std::optional<Door::Started> second;
    door.loop.start(registration.start(Door::number, "192.0.2.1"), first);
    CHECK_FALSE(first);
    door.loop.start(registration.start(Door::number, "192.0.2.2"), second);
    REQUIRE(second);
    CHECK(second->error().kind == Kind::too_many);
    door.loop.run_until_idle();
    REQUIRE(first);
    CHECK(first->ok());
    CHECK(door.phones.sent().size() == 1);
}

TEST_CASE("a number gets so many PINs a day, whoever asks") {
    Door door;
    for (int i = 0; i < 5; ++i) {
        REQUIRE(door.start(Door::number, "192.0.2." + std::to_string(i)));
        door.now += 61s;
    }
    const auto refused = door.start(Door::number, "192.0.2.99");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Kind::too_many);
    CHECK(refused.error().retry_after > 0s);
    door.now += 24h;
    CHECK(door.start(Door::number, "192.0.2.99"));
}

TEST_CASE("the limits of a number survive a restart") {
    Door door;
    REQUIRE(door.start());
    Registration restarted{plain_rules(),
                           door.seen,
                           door.hashes,
                           door.phones,
                           [&] { return door.now; },
                           [](const storage::Jid&) {}};
    CHECK(door.loop.run(restarted.start(Door::number, "192.0.2.2")).error().kind == Kind::too_many);
}

TEST_CASE("an address asks for so many PINs an hour, an IPv6 network counting as one") {
    for (const bool six : {false, true}) {
        Door door(rules_with([](auto& rules) { rules.per_address_an_hour = 3; }));
        const auto address = [six](int i) {
            return six ? "2001:db8::" + std::to_string(i + 1) : std::string{"192.0.2.1"};
        };
        for (int i = 0; i < 3; ++i) REQUIRE(door.start(number_of(i), address(i)));
        const auto refused = door.start(number_of(3), address(3));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == Kind::too_many);
        CHECK(refused.error().retry_after == 1200s);
        CHECK(door.start(number_of(4), six ? "2001:db8:0:1::1" : "192.0.2.2"));
        door.now += 1200s;
        CHECK(door.start(number_of(3), address(3)));
    }
}

TEST_CASE("the network around an address asks for five times as many") {
    for (const bool six : {false, true}) {
        Door door(rules_with([](auto& rules) { rules.per_address_an_hour = 2; }));
        const auto address = [six](int i) {
            return six ? "2001:db8:1:" + std::to_string(i) + "::1" : "192.0.2." + std::to_string(i);
        };
        for (int i = 0; i < 10; ++i) REQUIRE(door.start(number_of(i), address(i)));
        const auto refused = door.start(number_of(10), address(10));
        REQUIRE_FALSE(refused);
        CHECK(refused.error().kind == Kind::too_many);
        CHECK(refused.error().retry_after == 360s);
        CHECK(door.start(number_of(10), six ? "2001:db8:2::1" : "192.0.3.1"));
    }
}

TEST_CASE("one address asks for less than half of the PINs that a number has in a day") {
    Door door;
    for (int i = 0; i < 2; ++i) {
        REQUIRE(door.start());
        door.now += 61s;
    }
    const auto refused = door.start();
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Kind::too_many);
    CHECK(refused.error().retry_after > 1h);
    for (int i = 0; i < 3; ++i) {  // its owner is not kept out
        CHECK(door.start(Door::number, "198.51.100." + std::to_string(i)));
        door.now += 61s;
    }
    CHECK(door.start(number_of(1)));
}

TEST_CASE("a number has so many tries a day, over all its PINs, and not all of them for one address") {
    Door door;
    const std::string stranger = "192.0.2.1", owner = "198.51.100.1";
    const auto guess = [&](const Door::Started& started, const std::string& address) {
        return door.confirm(started->id, "wrong", "phone", address).error().kind;
    };
    const auto first = door.start(Door::number, stranger);
    for (int i = 0; i < 5; ++i) CHECK(guess(first, stranger) == Kind::wrong_pin);
    door.now += 61s;
    const auto second = door.start(Door::number, stranger);
    for (int i = 0; i < 3; ++i) CHECK(guess(second, stranger) == Kind::wrong_pin);
    CHECK(guess(second, stranger) == Kind::too_many);

    door.now += 61s;
    const auto third = door.start(Door::number, owner);
    REQUIRE(third);
    for (int i = 0; i < 2; ++i) CHECK(guess(third, owner) == Kind::wrong_pin);
    const auto refused = door.confirm(third->id, door.phones.last_pin(), "phone", owner);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Kind::too_many);
    CHECK(refused.error().retry_after > 1h);
    door.now += 61s;
    CHECK(door.start(Door::number, "203.0.113.1").error().kind == Kind::too_many);
    CHECK(door.phones.sent().size() == 3);
    door.now += 24h;
    const auto next_day = door.start(Door::number, owner);
    REQUIRE(next_day);
    CHECK(door.confirm(next_day->id, door.phones.last_pin(), "phone", owner));
}

TEST_CASE("all together ask for so many PINs a minute") {
    Door door(rules_with([](auto& rules) { rules.per_minute = 3; }));
    for (int i = 0; i < 3; ++i) REQUIRE(door.start(number_of(i), "192.0.2." + std::to_string(i)));
    const auto refused = door.start(number_of(3), "192.0.2.3");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Kind::too_many);
    CHECK(refused.error().retry_after == 20s);
    door.now += 20s;
    CHECK(door.start(number_of(3), "192.0.2.3"));
}

TEST_CASE("all together ask for so many PINs a day, and it is told once that few are left") {
    std::vector<std::uint32_t> told;
    Door door(rules_with([&](auto& rules) {
        rules.per_day = 10;
        rules.few_left = [&](std::uint32_t left) { told.push_back(left); };
    }));
    const auto start = [&](int i) { return door.start(number_of(i), "192.0." + std::to_string(i) + ".1"); };
    for (int i = 0; i < 7; ++i) REQUIRE(start(i));
    CHECK(told.empty());
    for (int i = 7; i < 10; ++i) REQUIRE(start(i));
    CHECK(told == std::vector<std::uint32_t>{2});
    const auto refused = start(10);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Kind::too_many);
    CHECK(refused.error().retry_after == 8640s);
    door.now += 24h;
    for (int i = 10; i < 18; ++i) REQUIRE(start(i));
    CHECK(told == std::vector<std::uint32_t>{2, 2});
}

TEST_CASE("neighbouring numbers and prefixes can be limited") {
    Door door(rules_with([](auto& rules) {
        rules.per_range_an_hour = 2;
        rules.prefixes = {"+49151", "+1"};
    }));
    CHECK(door.start(number_of(1), "192.0.2.1"));
    CHECK(door.start(number_of(2), "192.0.2.2"));
    CHECK(door.start(number_of(3), "192.0.2.3").error().kind == Kind::too_many);
    CHECK(door.start(number_of(4001), "192.0.2.4"));
    CHECK(door.start("+12024561414", "192.0.2.5"));
    CHECK(door.start("+442079460000", "192.0.2.6").error().kind == Kind::disabled);
}

TEST_CASE("what is no number costs its sender nothing and sends nothing") {
    Door door(rules_with([](auto& rules) { rules.per_address_an_hour = 1; }));
    for (const char* text : {"", "12345", "+49", "juliet", "+49 151 12345678 ext. 5"}) {
        CHECK(door.start(text).error().kind == Kind::not_a_number);
    }
    CHECK(door.phones.sent().empty());
    CHECK(door.start());
    CHECK(door.start("nonsense").error().kind == Kind::too_many);
}

TEST_CASE("an address confirms so often a minute") {
    Door door(rules_with([](auto& rules) { rules.confirms_per_address_a_minute = 3; }));
    const auto started = door.start();
    for (int i = 0; i < 3; ++i) CHECK(door.confirm("nothing", "12345").error().kind == Kind::gone);
    const auto refused = door.confirm(started->id, door.phones.last_pin());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Kind::too_many);
    CHECK(refused.error().retry_after == 20s);
    CHECK(door.confirm(started->id, door.phones.last_pin(), "phone", "192.0.2.2"));
}

TEST_CASE("where registration is off, nothing happens") {
    Door door(rules_with([](auto& rules) { rules.enabled = false; }));
    CHECK(door.start().error().kind == Kind::disabled);
    CHECK(door.confirm("id", "12345").error().kind == Kind::disabled);
    CHECK(door.phones.sent().empty());
}

TEST_CASE("a full SMS queue and a storage that is down are said to be unavailable") {
    Door door;
    door.phones.full = true;
    CHECK(door.start(number_of(1)).error().kind == Kind::unavailable);
    door.phones.full = false;

    Failing registrations{door.storage->registrations()};
    door.seen.registrations_instead = &registrations;
    for (const char* at : {"recent", "create"}) {
        registrations.at = at;
        CHECK(door.start(number_of(2)).error().kind == Kind::unavailable);
    }
    CHECK(door.phones.sent().empty());
    registrations.at.clear();
    const auto started = door.start(number_of(2));  // a failure used nothing up
    REQUIRE(started);
    const std::string pin = door.phones.last_pin();
    for (const char* at : {"find", "take_try", "use"}) {
        registrations.at = at;
        CHECK(door.confirm(started->id, pin).error().kind == Kind::unavailable);
    }
    registrations.at.clear();
    CHECK(door.confirm(started->id, pin));

    Raced accounts{door.storage->accounts()};
    accounts.is_down = true;
    door.seen.accounts_instead = &accounts;
    const auto other = door.start(number_of(3));
    CHECK(door.confirm(other->id, door.phones.last_pin()).error().kind == Kind::unavailable);
}

TEST_CASE("a full hash pool does not use the PIN up") {
    Door door;
    HashPool full{1, 0};
    Registration registration{
        plain_rules(), door.seen, full, door.phones, [&] { return door.now; }, [](const storage::Jid&) {}};
    const auto started = door.start();
    CHECK(door.loop.run(registration.confirm(started->id, door.phones.last_pin(), "phone", "192.0.2.1"))
              .error()
              .kind == Kind::unavailable);
    CHECK(door.confirm(started->id, door.phones.last_pin()));
}

TEST_CASE("an account that comes or goes in the same moment is looked for again") {
    Door door;
    Raced accounts{door.storage->accounts()};
    door.seen.accounts_instead = &accounts;
    const auto first = door.start();
    accounts.meanwhile = [&] {
        storage::Account account;
        account.jid = *storage::Jid::parse("4915112345678@localhost");
        account.salt = "salt";
        account.iterations = 1;
        REQUIRE(door.loop.run(door.storage->accounts().create(std::move(account))));
    };
    CHECK(door.confirm(first->id, door.phones.last_pin()));
    CHECK(door.changed.size() == 1);
    CHECK(door.account()->devices.size() == 1);

    door.now += 2min;
    const auto second = door.start();
    accounts.meanwhile = [&] { REQUIRE(door.loop.run(door.storage->accounts().remove(door.account()->id))); };
    CHECK(door.confirm(second->id, door.phones.last_pin()));
    CHECK(door.changed.size() == 1);  // a new account: nobody's keys changed
    CHECK(door.account()->devices.size() == 1);
}

TEST_CASE("old registrations are forgotten once an hour, when no limit needs them") {
    Door door;
    Failing registrations{door.storage->registrations()};
    door.seen.registrations_instead = &registrations;
    const auto old = door.start(number_of(1));
    REQUIRE(door.start(number_of(2)));
    CHECK(registrations.removed.size() == 1);
    door.now += 26h;
    REQUIRE(door.start(number_of(3)));
    CHECK(registrations.removed.size() == 2);
    const auto found = door.loop.run(door.storage->registrations().find(old->id));
    REQUIRE(found);
    CHECK_FALSE(*found);
}
