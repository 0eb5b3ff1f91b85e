// SPDX-License-Identifier: MIT
// What presence costs the database where nobody is there to see it (RFC 6121 §4.2.2, §4.3.1). One worker, no sockets;
// every account's fetching is held until the test lets it go on.
#include <catch2/catch.hpp>

#include "server/account.h"
#include "tests/support/one_worker.h"
#include "xmpp/parser.h"

using storage::RosterItem;
using xmpp::Jid;

namespace {

using Items = storage::Result<std::vector<RosterItem>>;

// Rosters that are read when the test says so: whose account is being fetched.
class HeldRosters final : public storage::Rosters {
public:
    explicit HeldRosters(storage::Rosters& real) : real_{real} {}
    storage::Task<Items> load(storage::AccountId account) override {
        ++begun;
        if (!is_open) {
            const tests::Turn turn{waiting};
            co_await turn;
        }
        auto task = real_.load(account);
        auto items = co_await task;
        co_return std::move(items);
    }
    storage::Task<storage::Result<void>> put(storage::AccountId account, RosterItem item) override { return real_.put(account, std::move(item)); }
    storage::Task<storage::Result<void>> forget(storage::AccountId account, Jid jid) override { return real_.forget(account, std::move(jid)); }

    std::size_t begun = 0;
    bool is_open = false;
    tests::Held waiting;

private:
    storage::Rosters& real_;
};

class HeldStorage final : public tests::BorrowedStorage {
public:
    explicit HeldStorage(const std::shared_ptr<storage::Storage>& real) : BorrowedStorage{real}, held{real->rosters()} {}
    storage::Rosters& rosters() override { return held; }
    HeldRosters held;
};

constexpr int contacts = 40;

class Stage : public tests::OneWorker<HeldStorage> {
public:
    Stage()
        : OneWorker{[](storage::Storage& storage) {
              for (int n = 0; n < contacts; ++n) tests::add_account(storage, contact(n));
              tests::add_account(storage, "juliet@localhost");
          }} {}
    static std::string contact(int n) { return "contact" + std::to_string(n) + "@localhost"; }
    void to_every_contact(const std::string& xml) {
        on_worker([&] {
            for (int n = 0; n < contacts; ++n) worker().router.send(xmpp::parse_trusted(xml), *Jid::parse(contact(n)));
        });
    }
    void let_one_go_on() { OneWorker::let_one_go_on(rosters->waiting); }

    HeldRosters* const rosters = &storage().held;
};

}  // namespace

TEST_CASE("presence to accounts that are not loaded fetches none of them") {
    Stage stage;
    stage.to_every_contact("<presence from='romeo@localhost/orchard'/>");
    stage.to_every_contact("<presence type='unavailable' from='romeo@localhost/orchard'/>");
    stage.to_every_contact("<presence type='error' from='romeo@localhost/orchard'/>");
    CHECK(stage.rosters->begun == 0);
}

TEST_CASE("probes fetch accounts a few at a time, and a login passes them by") {
    Stage stage;
    stage.to_every_contact("<presence type='probe' from='romeo@localhost/orchard'/>");
    stage.to_every_contact("<presence type='probe' from='mercutio@localhost/street'/>");
    CHECK(stage.rosters->begun == 2);
    CHECK(stage.worker().unhurried.depth().depth == 2 * contacts - 4);   // two accounts are being fetched for both

    bool is_there = false;
    stage.on_worker([&] { stage.worker().with_account(Jid::parse("juliet@localhost")->view(), [&](server::Account* found, bool) { is_there = found != nullptr; }); });
    CHECK(stage.rosters->begun == 3);
    CHECK_FALSE(is_there);

    std::size_t most = 0;
    while (!stage.rosters->waiting.empty()) {
        most = std::max(most, stage.rosters->waiting.size());
        stage.let_one_go_on();
    }
    CHECK(is_there);
    CHECK(most == 3);
    CHECK(stage.rosters->begun == contacts + 1);   // the second probe of each found its account there
    CHECK(stage.worker().unhurried.depth().depth == 0);
}

TEST_CASE("an account whose keys change while it is fetched is fetched again") {
    Stage stage;
    std::size_t devices = 99;
    stage.on_worker([&] {
        stage.worker().with_account(Jid::parse("juliet@localhost")->view(), [&](server::Account* found, bool) { devices = found ? found->record().devices.size() : 99; });
    });
    CHECK(stage.rosters->begun == 1);   // its record has been read
    storage::Device device;
    device.id = "new";
    device.created = device.last_seen = storage::Time{};
    const auto account = tests::wait_for(stage.worker().storage().accounts().find(*Jid::parse("juliet@localhost")));
    REQUIRE((account.ok() && *account));
    REQUIRE(tests::wait_for(stage.worker().storage().accounts().replace_devices((*account)->id, storage::Salt{"salt", 4096}, device)).ok());
    stage.on_worker([&] { stage.worker().unload("juliet@localhost"); });   // what Server::keys_changed does
    stage.let_one_go_on();
    CHECK(devices == 99);               // nobody is shown what was
    CHECK(stage.rosters->begun == 2);
    stage.let_one_go_on();
    CHECK(devices == 1);
}

TEST_CASE("what waits for an account that is being fetched has an end") {
    Stage stage;
    const auto say = [&] { stage.to_every_contact("<message type='chat' from='romeo@elsewhere.example/orchard'><body>O</body></message>"); };
    for (int i = 0; i < 1000; ++i) say();
    CHECK(stage.worker().counters.errors_returned == 0);
    CHECK(stage.worker().waiting_for(Stage::contact(0)) == 1000);
    say();
    CHECK(stage.worker().counters.errors_returned == contacts);
    CHECK(stage.worker().waiting_for(Stage::contact(0)) == 1000);
    stage.rosters->is_open = true;
    while (!stage.rosters->waiting.empty()) stage.let_one_go_on();
    CHECK(stage.worker().waiting_for(Stage::contact(0)) == 0);
}
