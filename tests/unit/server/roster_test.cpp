// SPDX-License-Identifier: MIT
// RFC 6121 §2.6: what a client makes of roster versions and changes is the roster, whatever happened in between; and
// how changes of one account wait for each other. No sockets, no threads: one worker, SQLite in memory.
#include <catch2/catch.hpp>

#include <functional>
#include <map>
#include <random>

#include "server/account.h"
#include "server/server.h"
#include "server/subscription.h"
#include "tests/support/accounts.h"
#include "tests/support/temporary_directory.h"
#include "xmpp/parser.h"

using storage::RosterItem;
using xmpp::Jid;

namespace {

// Rosters in storage that fail as long as they are told to.
class BrokenRosters final : public storage::Rosters {
public:
    explicit BrokenRosters(storage::Rosters& real) : real_{real} {}
    storage::Task<storage::Result<std::vector<RosterItem>>> load(storage::AccountId account) override { return real_.load(account); }
    storage::Task<storage::Result<void>> put(storage::AccountId account, RosterItem item) override {
        return fails ? failure() : real_.put(account, std::move(item));
    }
    storage::Task<storage::Result<void>> forget(storage::AccountId account, Jid jid) override {
        return fails ? failure() : real_.forget(account, std::move(jid));
    }
    bool fails = false;

private:
    static storage::Task<storage::Result<void>> failure() {
        co_return storage::Failure{storage::StorageError{storage::StorageError::Kind::unavailable, "told to fail"}};
    }
    storage::Rosters& real_;
};

class TestStorage final : public storage::Storage {
public:
    explicit TestStorage(std::unique_ptr<storage::Storage> real) : real_{std::move(real)}, rosters_{real_->rosters()} {}
    storage::Accounts& accounts() override { return real_->accounts(); }
    BrokenRosters& rosters() override { return rosters_; }
    storage::Messages& messages() override { return real_->messages(); }
    storage::PrivateXml& private_xml() override { return real_->private_xml(); }
    storage::Vcards& vcards() override { return real_->vcards(); }
    storage::BlockLists& block_lists() override { return real_->block_lists(); }
    storage::ArchivePreferencesOf& archive_preferences() override { return real_->archive_preferences(); }
    storage::Registrations& registrations() override { return real_->registrations(); }
    storage::Invitations& invitations() override { return real_->invitations(); }
    storage::LinkRequests& link_requests() override { return real_->link_requests(); }
    storage::FastTokens& fast_tokens() override { return real_->fast_tokens(); }
    storage::PushRegistrations& push_registrations() override { return real_->push_registrations(); }
    storage::FindableNumbers& findable_numbers() override { return real_->findable_numbers(); }
    storage::Rooms& rooms() override { return real_->rooms(); }
    storage::StoredSessions& stored_sessions() override { return real_->stored_sessions(); }
    storage::ServerSecrets& secrets() override { return real_->secrets(); }
    std::vector<storage::QueueDepth> queues() const override { return real_->queues(); }
    bool is_healthy() const override { return real_->is_healthy(); }
    std::string describe() const override { return real_->describe(); }

private:
    std::unique_ptr<storage::Storage> real_;
    BrokenRosters rosters_;
};

class Stage {
public:
    Stage() {
        server::Config config;
        config.data = directory_.path();
        storage::Options options;
        options.url = "sqlite::memory:";
        options.run_inline = true;
        auto opened = storage::open(options);
        REQUIRE(opened.ok());
        auto owned = std::make_unique<TestStorage>(std::move(*opened));
        storage_ = owned.get();
        storage::Account record;
        record.jid = *Jid::parse("juliet@localhost");
        REQUIRE(tests::wait_for(storage_->accounts().create(std::move(record))).ok());
        server_ = std::make_unique<server::Server>(std::move(config), std::move(owned), clock_, 1);
        REQUIRE(tests::wait_for(server_->prepare()).ok());
    }
    server::Worker& worker() { return *server_->workers().front(); }
    server::Server& server() { return *server_; }
    server::Account& account() { return *account_; }
    server::Roster& roster() { return account_->roster; }
    BrokenRosters& storage() { return storage_->rosters(); }
    void pass(std::chrono::seconds time) { clock_.advance(time); }

    // Forgotten and fetched again, as after a long absence.
    void load() {
        account_.reset();
        on_worker([this] {
            worker().unload("juliet@localhost");
            worker().with_account(Jid::parse("juliet@localhost")->view(), [this](server::Account* found, bool) {
                if (found) account_ = found->shared_from_this();
            });
        });
        REQUIRE(account_);
    }
    // Removed, and made again: somebody else has the address now.
    void make_anew() {
        REQUIRE(tests::wait_for(storage_->accounts().remove(account_->id())).ok());
        storage::Account record;
        record.jid = *Jid::parse("juliet@localhost");
        record.created = clock_.wall();
        REQUIRE(tests::wait_for(storage_->accounts().create(std::move(record))).ok());
        load();
    }
    bool change(RosterItem item) {
        bool changed = false;
        on_worker([&] { worker().spawn("changing the roster", change_in_turn(item, changed)); });
        return changed;
    }
    void on_worker(std::function<void()> work) {
        worker().loop.post([&work] { work(); });
        server_->settle();
    }

private:
    storage::Task<void> change_in_turn(RosterItem item, bool& changed) {
        const server::Roster::Turn turn = co_await roster().turn();
        auto changing = roster().change(std::move(item));
        auto result = co_await changing;
        changed = result.ok();
    }

    tests::TemporaryDirectory directory_;
    server::net::ManualClock clock_;
    TestStorage* storage_ = nullptr;
    std::unique_ptr<server::Server> server_;
    std::shared_ptr<server::Account> account_;
};

RosterItem contact(const std::string& name, bool in_roster = true) {
    RosterItem item;
    item.jid = *Jid::parse(name + "@localhost");
    item.in_roster = in_roster;
    return item;
}

std::string shown(const RosterItem& item) {
    xmpp::XmlWriter w;
    w.open("query", "jabber:iq:roster");
    server::write_roster_item(w, item);
    return w.take();
}

using View = std::map<std::string, std::string>;   // JID → item as the client saw it

View view_of(const server::Roster& roster) {
    View view;
    for (const auto& [jid, item] : roster.items())
        if (item.in_roster) view[jid.text()] = shown(item);
    return view;
}

// A client that keeps its roster between sessions.
struct CachingClient {
    std::string version;
    View view;
    bool sync(const server::Roster& roster) {   // false: it was given the whole roster
        const auto changes = roster.changes_since(version);
        if (!changes) {
            view = view_of(roster);
        } else {
            for (const RosterItem* const item : *changes) {
                if (item->in_roster) view[item->jid.text()] = shown(*item);
                else view.erase(item->jid.text());
            }
        }
        version = std::to_string(roster.version());
        return changes.has_value();
    }
};

}  // namespace

TEST_CASE("a client that catches up by changes sees the roster that others see") {
    const auto seed = std::random_device{}();
    INFO("seed " << seed);
    std::mt19937 random{seed};
    const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    Stage stage;
    stage.load();
    std::vector<CachingClient> clients(5);
    for (int step = 0; step < 1500; ++step) {
        const std::string name = "contact" + std::to_string(below(160));
        RosterItem item = contact(name);
        if (const RosterItem* const known = stage.roster().find(item.jid)) item = *known;
        switch (below(8)) {
            case 0: case 1: case 2: item.in_roster = false; item.pending_in = false; item.request.clear(); break;
            case 3: item.pending_in = !item.pending_in; item.request = item.pending_in ? "<presence/>" : ""; break;
            case 4: item.in_roster = true; item.groups = {"group" + std::to_string(below(3))}; break;
            case 5: item.in_roster = true; item.ask = !item.ask; break;
            default: item.in_roster = true; item.name = "name" + std::to_string(below(5)); break;
        }
        if (below(20) == 0) stage.storage().fails = true;
        const bool changed = stage.change(item);
        CHECK(changed == !stage.storage().fails);
        stage.storage().fails = false;
        if (below(4) == 0) stage.pass(std::chrono::seconds{below(100)});
        if (below(60) == 0) {
            const View before = view_of(stage.roster());
            const auto version = stage.roster().version();
            stage.load();
            CHECK(view_of(stage.roster()) == before);
            CHECK(stage.roster().version() == version);
        }
        // Some clients come often, some seldom.
        const unsigned which = below(5);
        if (below(1 + which * 40) == 0) {
            clients[which].sync(stage.roster());
            REQUIRE(clients[which].view == view_of(stage.roster()));
            REQUIRE(stage.roster().size() == clients[which].view.size());
        }
    }
}

TEST_CASE("removals are remembered for a while, and no longer") {
    Stage stage;
    stage.load();
    for (int i = 0; i < 99; ++i) REQUIRE(stage.change(contact("contact" + std::to_string(i))));
    CachingClient early, late;
    early.sync(stage.roster());
    for (int i = 0; i < 99; ++i) REQUIRE(stage.change(contact("contact" + std::to_string(i), false)));
    CHECK(stage.roster().items().size() == 99);
    CHECK(early.sync(stage.roster()));
    CHECK(early.view.empty());

    for (int i = 0; i < 5; ++i) REQUIRE(stage.change(contact("more" + std::to_string(i))));
    late.sync(stage.roster());
    early.version = "1";
    for (int i = 0; i < 5; ++i) REQUIRE(stage.change(contact("more" + std::to_string(i), false)));
    CHECK(stage.roster().items().size() < 99);
    stage.load();
    CHECK(late.sync(stage.roster()));           // knows all but the last
    CHECK(late.view.empty());
    CHECK_FALSE(early.sync(stage.roster()));    // may have missed a removal that is forgotten
}

TEST_CASE("a contact that was removed and asks again is both a removal and a request") {
    Stage stage;
    stage.load();
    REQUIRE(stage.change(contact("romeo")));
    CachingClient client;
    client.sync(stage.roster());
    REQUIRE(stage.change(contact("romeo", false)));
    CHECK_FALSE(stage.roster().find(contact("romeo").jid));
    RosterItem request = contact("romeo", false);
    request.pending_in = true;
    request.request = "<presence type='subscribe'/>";
    REQUIRE(stage.change(request));
    stage.load();
    REQUIRE(stage.roster().find(request.jid));
    CHECK(stage.roster().find(request.jid)->pending_in);
    CHECK(stage.roster().requests() == 1);
    CHECK(client.sync(stage.roster()));
    CHECK(client.view.empty());
}

TEST_CASE("a change that storage refuses has not happened") {
    Stage stage;
    stage.load();
    REQUIRE(stage.change(contact("romeo")));
    const auto version = stage.roster().version();
    stage.storage().fails = true;
    RosterItem renamed = contact("romeo");
    renamed.name = "Romeo";
    CHECK_FALSE(stage.change(renamed));
    CHECK_FALSE(stage.change(contact("romeo", false)));
    CHECK_FALSE(stage.change(contact("tybalt")));
    CHECK(stage.roster().version() == version);
    CHECK(stage.roster().size() == 1);
    CHECK(stage.roster().find(renamed.jid)->name.empty());
}

TEST_CASE("a contact who could not be stored has not used the invitation up") {
    Stage stage;
    stage.load();
    auth::Invitations& invitations = stage.server().invitations();
    auth::Invitations::Wanted wanted;
    wanted.inviter = stage.account().jid();
    wanted.address = *Jid::parse("localhost");
    wanted.subscribes = true;
    const auto link = tests::wait_for(invitations.invite(std::move(wanted)));
    REQUIRE(link);
    const auto ask = [&] {
        const xmpp::Stanza request = xmpp::parse_trusted("<presence type='subscribe' from='romeo@elsewhere.example' to='juliet@localhost'><preauth xmlns='urn:xmpp:pars:0' token='" + link->token + "'/></presence>");
        stage.on_worker([&] { stage.worker().subscriptions.to_account(stage.account(), request); });
    };
    const auto is_good = [&] { return tests::wait_for(invitations.look(link->token, "test")).ok(); };
    stage.storage().fails = true;
    ask();
    CHECK(stage.roster().size() == 0);
    CHECK(is_good());
    stage.storage().fails = false;
    ask();
    CHECK(stage.roster().size() == 1);
    CHECK_FALSE(is_good());
}

TEST_CASE("versions rise when the account is made anew and when the clock stands still") {
    Stage stage;
    stage.load();
    REQUIRE(stage.change(contact("romeo")));
    const auto first = stage.roster().version();
    REQUIRE(stage.change(contact("tybalt")));
    CHECK(stage.roster().version() > first);
    CHECK(first > 1'000'000'000);   // goes by the clock: a new account does not begin where an old one was
}

TEST_CASE("a client that knows the roster of another account, which had the address before, is given the whole one") {
    Stage stage;
    stage.load();
    REQUIRE(stage.change(contact("romeo")));
    CachingClient client, newcomer;
    client.sync(stage.roster());
    stage.pass(std::chrono::hours{1});
    stage.make_anew();
    newcomer.sync(stage.roster());
    CHECK(newcomer.view.empty());
    REQUIRE(stage.change(contact("tybalt")));
    CHECK_FALSE(client.sync(stage.roster()));
    CHECK(client.view == view_of(stage.roster()));
    CHECK(newcomer.sync(stage.roster()));   // that of an empty roster is a version, too
    CHECK(newcomer.view == client.view);
}

TEST_CASE("a roster takes so many bytes and no more") {
    Stage stage;
    stage.load();
    const auto large = [](int number, std::size_t groups = 4) {
        RosterItem item = contact("contact" + std::to_string(number));
        item.groups.assign(groups, std::string(1000, 'g'));
        return item;
    };
    int count = 0;
    for (; count < 2000 && stage.roster().has_room_for(large(count)); ++count) REQUIRE(stage.change(large(count)));
    CHECK(count > 1000);
    CHECK(count < 1050);
    CHECK_FALSE(stage.roster().has_room_for(large(0, 9)));
    CHECK(stage.roster().has_room_for(large(0, 3)));
    stage.load();
    CHECK_FALSE(stage.roster().has_room_for(large(count)));
    REQUIRE(stage.change(contact("contact0", false)));
    CHECK(stage.roster().has_room_for(large(count)));
}

TEST_CASE("changes of a roster take turns in the order in which they came") {
    Stage stage;
    stage.load();
    std::vector<int> order;
    struct Turns {
        static storage::Task<void> take(std::shared_ptr<server::Account> account, int number, std::vector<int>& order) {
            const server::Roster::Turn turn = co_await account->roster.turn();
            order.push_back(number);
        }
        static storage::Task<void> hold(std::shared_ptr<server::Account> account, std::function<void()> meanwhile) {
            const server::Roster::Turn turn = co_await account->roster.turn();
            meanwhile();
        }
    };
    constexpr int many = 20000;   // so many on the stack would be too many
    const auto account = stage.account().shared_from_this();
    stage.on_worker([&] {
        stage.worker().spawn("holding the turn", Turns::hold(account, [&] {
            for (int i = 0; i < many; ++i) stage.worker().spawn("taking a turn", Turns::take(account, i, order));
            CHECK(order.empty());
            CHECK(stage.roster().is_changing());
            CHECK_FALSE(account->is_idle());
        }));
    });
    REQUIRE(order.size() == many);
    CHECK(std::is_sorted(order.begin(), order.end()));
    CHECK_FALSE(stage.roster().is_changing());
    CHECK(account->busy == 0);
}

TEST_CASE("a roster may change while it is visited") {
    Stage stage;
    stage.load();
    for (int i = 0; i < 50; ++i) {
        RosterItem request = contact("contact" + std::to_string(i), false);
        request.pending_in = true;
        REQUIRE(stage.change(request));
    }
    struct Forget {
        static storage::Task<void> all(std::shared_ptr<server::Account> account) {
            for (int i = 0; i < 50; ++i) {
                auto storing = account->roster.store(contact("contact" + std::to_string(i), false));
                auto stored = co_await storing;
                CHECK(stored.ok());
            }
        }
    };
    int visited = 0;
    stage.on_worker([&] {
        stage.roster().for_each([&](const RosterItem&) {
            if (visited++ == 0) stage.worker().spawn("forgetting", Forget::all(stage.account().shared_from_this()));
        });
    });
    CHECK(visited == 1);
    CHECK(stage.roster().items().empty());
    stage.load();
    CHECK(stage.roster().items().empty());
}
