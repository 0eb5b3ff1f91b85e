// SPDX-License-Identifier: MIT
// Catching up ends, however fast messages come: what came in while the log was read follows what was read, and is not read
// again. One worker, no sockets; what was read is held until the test lets it go on.
#include <catch2/catch.hpp>

#include "server/account.h"
#include "server/stream.h"
#include "tests/support/one_worker.h"
#include "xmpp/parser.h"

using storage::AccountId;
using storage::LogId;
using xmpp::Jid;

namespace {

using Entries = storage::Result<std::vector<storage::LogEntry>>;

class HeldMessages final : public storage::Messages {
public:
    explicit HeldMessages(storage::Messages& real) : real_{real} {}
    storage::Task<Entries> read_undelivered(AccountId account, std::string device, LogId after, std::size_t limit) override {
        ++reads;
        auto reading = real_.read_undelivered(account, std::move(device), after, limit);
        auto entries = co_await reading;
        const tests::Turn turn{waiting};
        co_await turn;
        co_return std::move(entries);
    }
    void append(storage::LogEntry entry, std::function<void(const storage::Result<void>&)> committed) override { real_.append(std::move(entry), std::move(committed)); }
    void advance_cursor(AccountId account, std::string device, LogId to) override { real_.advance_cursor(account, std::move(device), to); }
    void mark_delivered(AccountId account, std::string device, LogId id) override { real_.mark_delivered(account, std::move(device), id); }
    storage::Task<Entries> read(AccountId account, LogId after, std::size_t limit) override { return real_.read(account, after, limit); }
    storage::Task<storage::Result<storage::ArchivePage>> query(AccountId account, storage::ArchiveQuery query) override { return real_.query(account, std::move(query)); }
    storage::Task<storage::Result<storage::ArchiveEnds>> archive_ends(AccountId account) override { return real_.archive_ends(account); }
    storage::Task<storage::Result<bool>> has_unarchived(AccountId account, LogId from, LogId to) override { return real_.has_unarchived(account, from, to); }
    storage::Task<storage::Result<std::optional<storage::LogEntry>>> find_by_origin(AccountId account, storage::Direction direction, Jid peer, std::string id) override {
        return real_.find_by_origin(account, direction, std::move(peer), std::move(id));
    }
    storage::Task<storage::Result<void>> replace(AccountId account, LogId id, xmpp::Wire xml) override { return real_.replace(account, id, std::move(xml)); }
    storage::Task<storage::Result<LogId>> last_id(AccountId account) override { return real_.last_id(account); }
    storage::Task<storage::Result<std::uint64_t>> count_undelivered(AccountId account, std::string device) override { return real_.count_undelivered(account, std::move(device)); }
    storage::Task<storage::Result<std::size_t>> remove_before(storage::Time before, std::size_t limit) override { return real_.remove_before(before, limit); }
    storage::Task<storage::Result<std::size_t>> remove_delivered(storage::Time unseen, std::size_t limit) override { return real_.remove_delivered(unseen, limit); }
    storage::Task<storage::Result<std::size_t>> remove_delivered_unarchived(storage::Time unseen, std::size_t limit) override { return real_.remove_delivered_unarchived(unseen, limit); }

    int reads = 0;
    tests::Held waiting;

private:
    storage::Messages& real_;
};

class HeldStorage final : public tests::BorrowedStorage {
public:
    explicit HeldStorage(const std::shared_ptr<storage::Storage>& real) : BorrowedStorage{real}, held{real->messages()} {}
    storage::Messages& messages() override { return held; }
    HeldMessages held;
};

// Takes what a stream sends.
class Wall final : public server::Transport {
public:
    void send(xmpp::Wire bytes) override { sent.emplace_back(bytes.bytes()); }
    void close() override {}
    void start_tls() override {}
    void want_input(bool) override {}
    auth::Channel channel() const override { return {}; }
    bool is_encrypted() const override { return true; }
    bool can_start_tls() const override { return false; }
    std::string peer_address() const override { return "127.0.0.1"; }
    std::size_t unsent() const override { return 0; }
    void allow_unsent(std::size_t) override {}
    bool is_peer_gone() const override { return false; }
    void extend_login(server::net::Duration) override {}
    void session_begins() override {}
    void move_to(server::Worker&, std::function<void()>) override {}
    std::vector<std::string> sent;
};

// Juliet has a session whose device lacks one message.
class Stage : public tests::OneWorker<HeldStorage> {
public:
    Stage()
        : OneWorker{[](storage::Storage& storage) {
              storage::Device phone;
              phone.id = "phone";
              tests::add_account(storage, "juliet@localhost", {phone});
          }} {
        say("0");
        on_worker([this] {
            const auto account = worker().find("juliet@localhost")->shared_from_this();
            stream_ = std::make_shared<server::Stream>(worker(), wall_);
            session = std::make_shared<server::Session>(account, *Jid::parse("juliet@localhost/balcony"), "phone", nullptr);
            stream_->take_session(session);
            account->add(session);
            session->set_available(xmpp::parse_trusted("<presence from='juliet@localhost/balcony'/>"), 0);
            account->log.catch_up(*session);
        });
        REQUIRE(messages->waiting.size() == 1);
    }
    ~Stage() {
        on_worker([this] {
            stream_->on_disconnected("the test is over");
            stream_.reset();
        });
    }
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    void say(const std::string& id, std::size_t bytes = 1) {
        on_worker([&] {
            worker().router.send_xml("<message type='chat' id='" + id + "' from='romeo@localhost/orchard' to='juliet@localhost'><body>" + std::string(bytes, 'x') + "</body></message>",
                                     *Jid::parse("juliet@localhost"));
        });
    }
    void let_read_go_on() {
        REQUIRE(messages->waiting.size() == 1);
        let_one_go_on(messages->waiting);
    }
    std::vector<std::string> ids() const {
        std::vector<std::string> ids;
        for (const std::string& xml : wall_.sent) ids.emplace_back(xmpp::parse_trusted(xml).id());
        return ids;
    }

    HeldMessages* const messages = &storage().held;
    std::shared_ptr<server::Session> session;

private:
    Wall wall_;
    std::shared_ptr<server::Stream> stream_;
};

using Ids = std::vector<std::string>;

}  // namespace

TEST_CASE("what comes in while a session catches up follows, and is not read again") {
    Stage stage;
    for (const char* id : {"1", "2", "3"}) stage.say(id);
    CHECK(stage.ids().empty());
    stage.let_read_go_on();
    CHECK(stage.ids() == Ids{"0", "1", "2", "3"});
    CHECK(stage.messages->reads == 1);
    CHECK(stage.session->is_caught_up());
    stage.say("4");
    CHECK(stage.ids() == Ids{"0", "1", "2", "3", "4"});
}

TEST_CASE("more than is kept meanwhile is read") {
    Stage stage;
    Ids all{"0"};
    for (int i = 1; i <= 5; ++i) stage.say(all.emplace_back(std::to_string(i)), 100'000);
    stage.let_read_go_on();
    CHECK(stage.ids() == Ids{"0"});
    stage.say(all.emplace_back("6"));
    stage.let_read_go_on();
    CHECK(stage.ids() == all);
    CHECK(stage.messages->reads == 2);
    CHECK(stage.session->is_caught_up());
}
