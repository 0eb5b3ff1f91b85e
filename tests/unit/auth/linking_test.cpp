// SPDX-License-Identifier: MIT
// Linking a companion: codes, approvals, keys, and everything that voids them.
#include "auth/linking.h"

#include "auth/sasl.h"
#include "registration_door.h"

using namespace std::chrono_literals;

namespace auth_test {
namespace {

using Kind = auth::LinkError::Kind;
using auth::Linking;
using Patience = Linking::Patience;

// An account with a phone, and companions that want to be linked to it.
struct Household : Door {
    std::vector<std::string> added;
    auth::Linking linking;
    auth::Registration::Issued phone;

    explicit Household(auth::LinkRules rules = {})
        : linking{rules, seen, hashes, "secret", [this] { return now; },
                  [this](const storage::Jid& jid, const storage::Device& device) { added.push_back(jid.text() + " " + std::string{device.id}); }},
          phone{register_now()} {}

    Linking::Code ask(const Linking::Companion& companion = {}) {
        auto code = loop.run(linking.ask(companion, "192.0.2.9"));
        REQUIRE(code);
        return *code;
    }
    auto approve(const std::string& code, const std::string& device) { return loop.run(linking.approve(phone.jid, device, code, "")); }
    auto approve(const std::string& code) { return approve(code, phone.device_id); }
    auto collect(const std::string& id) { return loop.run(linking.collect(id)); }
    Linking::Issued link() {
        const auto code = ask();
        REQUIRE(approve(code.code));
        const auto issued = collect(code.id);
        REQUIRE(issued);
        return *issued;
    }
};

Linking::Companion laptop() {
    Linking::Companion companion;
    companion.device_name = "Laptop";
    companion.software = "Gajim";
    companion.identity_key = "a2V5";
    companion.omemo_id = "31415";
    return companion;
}

bool opens(const storage::Account& account, const std::string& device, const std::string& key) {
    const auto derived = auth::derive_verifiers(key, account.salt, account.iterations);
    return std::ranges::any_of(account.devices, [&](const storage::Device& known) {
        return known.id == device && known.verifiers[1].stored_key == derived[1].stored_key;
    });
}

}  // namespace

TEST_CASE("a companion gets a key of its own, once, when a device has approved it") {
    Household home;
    const auto code = home.ask(laptop());
    CHECK(code.code.size() == 9);
    CHECK(code.code[4] == '-');
    CHECK(code.expires_in == 300s);
    CHECK(home.linking.code_of(code.id) == code.code);
    CHECK(home.collect(code.id).error().kind == Kind::waiting);

    const auto shown = home.loop.run(home.linking.look(home.phone.jid, code.code));
    REQUIRE(shown);
    CHECK(shown->device_name == "Laptop");
    CHECK(shown->identity_key == "a2V5");
    const auto approved = home.loop.run(home.linking.approve(home.phone.jid, home.phone.device_id, code.code, "c2ln"));
    REQUIRE(approved);
    CHECK(approved->software == "Gajim");
    CHECK(home.added.empty());   // not before it has its key

    const auto issued = home.collect(code.id);
    REQUIRE(issued);
    CHECK(issued->jid == home.phone.jid);
    CHECK(home.added == std::vector{issued->jid.text() + " " + issued->device_id});
    CHECK(home.collect(code.id).error().kind == Kind::gone);

    const auto account = home.account();
    REQUIRE(account->devices.size() == 2);
    const storage::Device& device = account->devices[0].role == storage::DeviceRole::companion ? account->devices[0] : account->devices[1];
    CHECK(device.role == storage::DeviceRole::companion);
    CHECK(device.name == "Laptop");
    CHECK(device.software == "Gajim");
    CHECK(device.linked_by == home.phone.device_id);
    CHECK(device.identity_key == "a2V5");
    CHECK(device.identity_signature == "c2ln");
    CHECK(device.omemo_id == "31415");
    CHECK(opens(*account, issued->device_id, issued->key));
    CHECK(opens(*account, home.phone.device_id, home.phone.key));   // the other keys stay
    CHECK(home.changed.empty());
}

TEST_CASE("a code is read as people type it") {
    Household home;
    const auto code = home.ask();
    std::string typed = " ";
    for (const char c : code.code) typed += std::string{static_cast<char>(c == '0' ? 'o' : c == '1' ? 'l' : std::tolower(c))} + " ";
    CHECK(home.approve(typed));
}

TEST_CASE("a code is good for one approval, and neither it nor the approval for long") {
    Household home;
    const auto code = home.ask();
    home.now += 299s;
    CHECK(home.approve(code.code));
    CHECK(home.approve(code.code).error().kind == Kind::gone);
    CHECK(home.loop.run(home.linking.look(home.phone.jid, code.code)).error().kind == Kind::gone);
    home.now += 1s;
    CHECK(home.collect(code.id).error().kind == Kind::gone);
    const auto late = home.ask();
    home.now += 300s;
    CHECK(home.approve(late.code).error().kind == Kind::gone);
    CHECK(home.account()->devices.size() == 1);
}

TEST_CASE("who has seen a code cannot collect with it, nor with another's id") {
    Household home;
    const auto code = home.ask();
    const auto other = home.ask();
    REQUIRE(home.approve(code.code));
    CHECK(home.collect(code.code).error().kind == Kind::gone);
    CHECK(home.collect("").error().kind == Kind::gone);
    CHECK(home.collect(other.id).error().kind == Kind::waiting);
    CHECK(home.collect(code.id));
}

TEST_CASE("companions approve nobody") {
    Household home;
    const auto companion = home.link();
    const auto code = home.ask();
    CHECK(home.approve(code.code, companion.device_id).error().kind == Kind::not_allowed);
    CHECK(home.approve(code.code, "unknown").error().kind == Kind::not_allowed);
    CHECK(home.loop.run(home.linking.approve(*storage::Jid::parse("nobody@localhost"), "x", code.code, "")).error().kind == Kind::not_allowed);
    CHECK(home.approve(code.code));
}

TEST_CASE("the fifth companion is refused, at its approval and at the latest when it collects") {
    Household home;
    std::vector<Linking::Code> codes;
    for (int i = 0; i < 5; ++i) codes.push_back(home.ask());
    for (const auto& code : codes) REQUIRE(home.approve(code.code));
    for (int i = 0; i < 4; ++i) CHECK(home.collect(codes[i].id));
    const auto fifth = home.collect(codes[4].id);
    REQUIRE_FALSE(fifth);
    CHECK(fifth.error().kind == Kind::full);
    CHECK(fifth.error().most == 5);
    const auto refused = home.approve(home.ask().code);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Kind::full);
    CHECK(refused.error().most == 5);
    CHECK(home.account()->devices.size() == 5);
}

TEST_CASE("registering again voids what the old phone approved, and its companions") {
    Household home;
    const auto companion = home.link();
    const auto code = home.ask();
    REQUIRE(home.approve(code.code));
    home.now += 61s;
    const auto again = home.register_now();
    CHECK(home.collect(code.id).error().kind == Kind::gone);
    const auto account = home.account();
    CHECK(account->devices.size() == 1);
    CHECK_FALSE(opens(*account, companion.device_id, companion.key));
    CHECK(opens(*account, again.device_id, again.key));
}

TEST_CASE("a number that is registered again while a companion collects its key: the key is of the old salt, and void") {
    std::function<void()> meanwhile;
    auth::LinkRules rules;
    rules.devices = [&] {   // asked for when the account has been looked at
        if (meanwhile) std::exchange(meanwhile, nullptr)();
        return std::size_t{5};
    };
    Household home{rules};
    const auto code = home.ask();
    REQUIRE(home.approve(code.code));
    home.now += 61s;
    meanwhile = [&] { home.register_now(); };
    CHECK(home.collect(code.id).error().kind == Kind::gone);
    CHECK(home.account()->devices.size() == 1);
    CHECK(home.added.empty());
}

TEST_CASE("a companion is not given what came before it was linked") {
    Household home;
    storage::LogEntry entry;
    entry.account = home.account()->id;
    entry.id = 77;
    entry.peer = home.phone.jid;
    entry.xml = xmpp::Wire{"<message/>"};
    home.storage->messages().append(std::move(entry), [](const storage::Result<void>& committed) { CHECK(committed.ok()); });
    const auto companion = home.link();
    CHECK(*home.loop.run(home.storage->messages().count_undelivered(home.account()->id, companion.device_id)) == 0);
    CHECK(*home.loop.run(home.storage->messages().count_undelivered(home.account()->id, home.phone.device_id)) == 1);
}

TEST_CASE("who waits for an approval is woken by it, or when he is told to stop") {
    Household home;
    using Approved = xmpp::Result<bool, auth::LinkError>;
    const auto code = home.ask();
    CHECK_FALSE(*home.loop.run(home.linking.approved(code.id, Patience::none)));
    std::optional<Approved> first, second, stopped, late;
    home.loop.start(home.linking.approved(code.id, Patience::until_stopped), first);
    home.loop.start(home.linking.approved(code.id, Patience::until_stopped), second);
    CHECK_FALSE(first);
    REQUIRE(home.approve(code.code));
    home.loop.run_until_idle();
    REQUIRE(first);
    REQUIRE(second);
    CHECK(**first);
    CHECK(**second);
    REQUIRE(home.collect(code.id));
    CHECK(home.loop.run(home.linking.approved(code.id, Patience::none)).error().kind == Kind::gone);

    const auto other = home.ask();
    home.loop.start(home.linking.approved(other.id, Patience::until_stopped), stopped);
    CHECK_FALSE(stopped);
    home.linking.stop_waiting(other.id);
    home.loop.run_until_idle();
    REQUIRE(stopped);
    CHECK_FALSE(**stopped);
    home.linking.stop_waiting();   // nobody waits any more
    home.loop.start(home.linking.approved(other.id, Patience::until_stopped), late);
    home.loop.run_until_idle();
    REQUIRE(late);
    CHECK_FALSE(**late);
}

TEST_CASE("wrong codes are counted for each account, and codes for each address") {
    auth::LinkRules rules;
    rules.wrong_codes_an_hour = 3;
    rules.per_address_an_hour = 4;
    Household home{rules};
    const auto code = home.ask();
    for (int i = 0; i < 3; ++i) CHECK(home.approve("0000-0000").error().kind == Kind::gone);
    const auto refused = home.approve(code.code);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Kind::too_many);
    CHECK(refused.error().retry_after == 20min);

    for (int i = 0; i < 3; ++i) home.ask();
    const auto too_many = home.loop.run(home.linking.ask({}, "192.0.2.9"));
    REQUIRE_FALSE(too_many);
    CHECK(too_many.error().kind == Kind::too_many);
    CHECK(home.loop.run(home.linking.ask({}, "192.0.2.10")));
}

TEST_CASE("what a companion says of itself is bounded") {
    Household home;
    const auto refused = [&](const std::function<void(Linking::Companion&)>& change) {
        auto companion = laptop();
        change(companion);
        const auto code = home.loop.run(home.linking.ask(companion, "192.0.2.9"));
        return !code && code.error().kind == Kind::malformed;
    };
    CHECK(refused([](auto& c) { c.device_name = std::string(65, 'x'); }));
    CHECK(refused([](auto& c) { c.device_name = "a\nb"; }));
    CHECK(refused([](auto& c) { c.software = std::string{"a\0b", 3}; }));
    CHECK(refused([](auto& c) { c.identity_key = "two words"; }));
    CHECK(refused([](auto& c) { c.identity_key = std::string(1025, 'x'); }));
    CHECK(refused([](auto& c) { c.omemo_id = "\xC3\xA9"; }));
    const auto code = home.ask();
    CHECK(home.loop.run(home.linking.approve(home.phone.jid, home.phone.device_id, code.code, std::string(1025, 'x'))).error().kind == Kind::malformed);
}

}  // namespace auth_test
