// SPDX-License-Identifier: MIT
// XEP-0198: an ack of a subscription means that both rosters which change by it are stored. One worker, no sockets; what is
// stored waits until the test lets it go on.
#include <catch2/catch.hpp>

#include "server/account.h"
#include "server/receipt.h"
#include "tests/support/one_worker.h"
#include "xmpp/parser.h"

using storage::RosterItem;
using storage::Subscription;
using xmpp::Jid;

namespace {

class HeldRosters final : public storage::Rosters {
public:
    explicit HeldRosters(storage::Rosters& real) : real_{real} {}
    storage::Task<storage::Result<std::vector<RosterItem>>> load(storage::AccountId account) override { return real_.load(account); }
    storage::Task<storage::Result<void>> put(storage::AccountId account, RosterItem item) override {
        const tests::Turn turn{waiting};
        co_await turn;
        auto putting = real_.put(account, std::move(item));
        auto stored = co_await putting;
        co_return stored;
    }
    storage::Task<storage::Result<void>> forget(storage::AccountId account, Jid jid) override { return real_.forget(account, std::move(jid)); }

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

RosterItem contact(const std::string& jid, Subscription subscription) {
    RosterItem item;
    item.jid = *Jid::parse(jid);
    item.subscription = subscription;
    return item;
}

// Romeo has a session; Juliet has none.
class Stage : public tests::OneWorker<HeldStorage> {
public:
    Stage(std::vector<RosterItem> romeos, std::vector<RosterItem> juliets)
        : OneWorker{[&](storage::Storage& storage) {
              add(storage, "romeo@localhost", std::move(romeos));
              add(storage, "juliet@localhost", std::move(juliets));
          }} {
        on_worker([this] {
            worker().with_account(Jid::parse("romeo@localhost")->view(), [this](server::Account* found, bool) {
                if (!found) return;
                session_ = std::make_shared<server::Session>(found->shared_from_this(), *Jid::parse("romeo@localhost/orchard"), "phone", nullptr);
                found->add(session_);
            });
        });
        REQUIRE(session_);
    }

    void romeo_says(const std::string& xml) {
        on_worker([&] {
            const server::Receipt::Scope because{std::make_shared<server::Receipt>([this](bool) { is_settled = true; })};
            worker().router.from_client(*session_, xmpp::parse_trusted(xml));
        });
    }
    // How often something was stored until nothing waited for it any more.
    int let_all_go_on() {
        int stored = 0;
        for (tests::Held& waiting = storage().held.waiting; !waiting.empty(); ++stored) {
            INFO("stored: " << stored);
            CHECK_FALSE(is_settled);
            let_one_go_on(waiting);
        }
        return stored;
    }

    bool is_settled = false;

private:
    static void add(storage::Storage& storage, const std::string& jid, std::vector<RosterItem> items) {
        const storage::AccountId id = tests::add_account(storage, jid);
        for (RosterItem& item : items) REQUIRE(tests::wait_for(storage.rosters().put(id, std::move(item))).ok());
    }
    std::shared_ptr<server::Session> session_;
};

constexpr const char* subscribes = "<presence type='subscribe' from='romeo@localhost/orchard' to='juliet@localhost'/>";

}  // namespace

TEST_CASE("a request is settled when the contact's roster has it") {
    Stage stage{{}, {}};
    stage.romeo_says(subscribes);
    CHECK(stage.let_all_go_on() == 2);
    CHECK(stage.is_settled);
}

TEST_CASE("a request that was approved in advance is settled when the approval has arrived") {
    RosterItem romeo = contact("romeo@localhost", Subscription::none);
    romeo.approved = true;
    Stage stage{{}, {romeo}};
    stage.romeo_says(subscribes);
    CHECK(stage.let_all_go_on() == 3);
    CHECK(stage.is_settled);
}

TEST_CASE("the removal of a contact is settled when the contact's roster knows that both subscriptions have ended") {
    Stage stage{{contact("juliet@localhost", Subscription::both)}, {contact("romeo@localhost", Subscription::both)}};
    stage.romeo_says("<iq type='set' id='r1' from='romeo@localhost/orchard'><query xmlns='jabber:iq:roster'>"
                     "<item jid='juliet@localhost' subscription='remove'/></query></iq>");
    CHECK(stage.let_all_go_on() == 3);
    CHECK(stage.is_settled);
}
