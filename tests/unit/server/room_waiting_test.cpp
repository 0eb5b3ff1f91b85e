// SPDX-License-Identifier: MIT
// What waits for a room has an end; that somebody is gone is heard all the same.
#include <catch2/catch.hpp>

#include "server/rooms/waiting.h"
#include "server/server.h"
#include "server/worker.h"
#include "tests/support/accounts.h"
#include "tests/support/borrowed_storage.h"
#include "tests/support/temporary_directory.h"
#include "xmpp/parser.h"

namespace {

using server::rooms::WaitingList;
using xmpp::Stanza;

const std::string to = "' to='coven@groups.localhost/hag'";

Stanza message(const std::string& from, std::size_t bytes = 1) {
    return xmpp::parse_trusted("<message from='" + from + to + "><body>" + std::string(bytes, 'x') + "</body></message>");
}
Stanza gone(const std::string& from) { return xmpp::parse_trusted("<presence type='unavailable' from='" + from + to + "/>"); }
Stanza failed(const std::string& from) { return xmpp::parse_trusted("<message type='error' from='" + from + to + "/>"); }

std::size_t fill(WaitingList& list, const Stanza& with) {
    std::size_t count = 0;
    for (; list.has_place_for(with) && count < 10'000; ++count) list.add({with, {}, nullptr});
    return count;
}

// Rooms that are found when the test says so.
class HeldRooms final : public storage::Rooms {
public:
    explicit HeldRooms(storage::Rooms& real) : real_{real} {}
    storage::Task<storage::Result<std::optional<storage::Room>>> find(xmpp::Jid room) override {
        const Turn turn{waiting};
        co_await turn;
        auto finding = real_.find(std::move(room));
        auto found = co_await finding;
        co_return std::move(found);
    }
    storage::Task<storage::Result<storage::AccountId>> put(storage::Room room) override { return real_.put(std::move(room)); }
    storage::Task<storage::Result<void>> change(xmpp::Jid room, storage::RoomChange change) override { return real_.change(std::move(room), std::move(change)); }
    storage::Task<storage::Result<void>> remove(xmpp::Jid room) override { return real_.remove(std::move(room)); }
    storage::Task<storage::Result<std::uint64_t>> count_founded(xmpp::Jid founder) override { return real_.count_founded(std::move(founder)); }
    storage::Task<storage::Result<std::vector<storage::ListedRoom>>> listed(std::string domain) override { return real_.listed(std::move(domain)); }

    std::coroutine_handle<> waiting;

private:
    struct Turn {
        std::coroutine_handle<>& waiting;
        bool await_ready() const { return false; }
        void await_suspend(std::coroutine_handle<> waiter) const { waiting = waiter; }
        void await_resume() const {}
    };
    storage::Rooms& real_;
};

class HeldStorage final : public tests::BorrowedStorage {
public:
    explicit HeldStorage(const std::shared_ptr<storage::Storage>& real) : BorrowedStorage{real}, held{real->rooms()} {}
    storage::Rooms& rooms() override { return held; }
    HeldRooms held;
};

}  // namespace

TEST_CASE("no more than so many stanzas wait for a room, and no more than so many bytes") {
    WaitingList list;
    CHECK(fill(list, message("crone@localhost/0")) == 1000);
    list.take_first();
    CHECK(list.has_place_for(message("crone@localhost/0")));
    while (!list.empty()) list.take_first();
    CHECK(fill(list, message("crone@localhost/0", 1'000'000)) == 4);
    CHECK(list.has_place_for(message("crone@localhost/0")));
    list.put_back(list.take_first());
    CHECK_FALSE(list.has_place_for(message("crone@localhost/0", 1'000'000)));
    while (!list.empty()) list.take_first();
    CHECK(list.has_place_for(message("crone@localhost/0", 10'000'000)));   // that one stanza may be as long as the server allows
}

TEST_CASE("beyond that it waits that an occupant's session is gone, once") {
    WaitingList list;
    CHECK(list.is_needed(gone("hag@localhost/0"), true));
    CHECK(list.is_needed(failed("hag@localhost/0"), true));
    CHECK_FALSE(list.is_needed(gone("hag@localhost/0"), false));
    CHECK_FALSE(list.is_needed(message("hag@localhost/0"), true));
    list.add({message("hag@localhost/0"), {}, nullptr});             // asks to come in, maybe
    CHECK(list.is_needed(gone("hag@localhost/0"), false));
    list.add({gone("hag@localhost/0"), {}, nullptr});
    CHECK_FALSE(list.is_needed(gone("hag@localhost/0"), true));
    CHECK_FALSE(list.is_needed(failed("hag@localhost/0"), true));
    CHECK(list.is_needed(gone("hag@localhost/1"), true));
    list.add({message("hag@localhost/0"), {}, nullptr});
    CHECK(list.is_needed(gone("hag@localhost/0"), true));
}

TEST_CASE("while a room is being looked for, what is too much is refused, and the rest answered afterwards") {
    storage::Options options;
    options.url = "sqlite::memory:";
    options.run_inline = true;
    auto opened = storage::open(options);
    REQUIRE(opened.ok());
    auto held = std::make_unique<HeldStorage>(std::shared_ptr{std::move(*opened)});
    HeldRooms& rooms = held->held;
    tests::TemporaryDirectory directory;
    server::net::ManualClock clock;
    server::Config config;
    config.data = directory.path();
    server::Server server{std::move(config), std::move(held), clock, 1};
    REQUIRE(tests::wait_for(server.prepare()).ok());
    server::Worker& worker = *server.workers().front();
    const auto on_worker = [&](std::function<void()> work) {
        worker.loop.post([&work] { work(); });
        server.settle();
    };
    const auto send = [&](const Stanza& stanza) { worker.router.send(stanza, stanza.to()); };

    on_worker([&] {
        for (int i = 0; i < 1005; ++i) send(message("crone@localhost/0"));
        for (int i = 0; i < 5; ++i) send(gone("hag@localhost/0"));
    });
    CHECK(worker.counters.errors_returned == 5);
    REQUIRE(rooms.waiting);
    on_worker([&rooms] { rooms.waiting.resume(); });
    CHECK(worker.counters.errors_returned == 1005);
}
