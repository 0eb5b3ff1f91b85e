// SPDX-License-Identifier: MIT
// Rooms while storage takes its time: what waits for one has an end, but that somebody is gone is heard all the same.
#include <catch2/catch.hpp>

#include "server/rooms/rooms.h"
#include "server/rooms/waiting.h"
#include "tests/support/one_worker.h"
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

// Rooms as they were when they were asked for, told when the test says so.
class HeldRooms final : public storage::Rooms {
public:
    explicit HeldRooms(storage::Rooms& real) : real_{real} {}
    storage::Task<storage::Result<std::optional<storage::Room>>> find(xmpp::Jid room) override {
        return told_later(real_.find(std::move(room)));
    }
    storage::Task<storage::Result<std::vector<storage::ListedRoom>>> listed(std::string domain) override {
        return told_later(real_.listed(std::move(domain)));
    }
    storage::Task<storage::Result<storage::AccountId>> put(storage::Room room) override { return real_.put(std::move(room)); }
    storage::Task<storage::Result<void>> change(xmpp::Jid room, storage::RoomChange change) override { return real_.change(std::move(room), std::move(change)); }
    storage::Task<storage::Result<void>> remove(xmpp::Jid room) override { return real_.remove(std::move(room)); }
    storage::Task<storage::Result<std::uint64_t>> count_founded(xmpp::Jid founder) override { return real_.count_founded(std::move(founder)); }

    tests::Held waiting;

private:
    template <class T>
    storage::Task<T> told_later(storage::Task<T> asking) {
        auto answer = co_await asking;
        const tests::Turn turn{waiting};
        co_await turn;
        co_return std::move(answer);
    }
    storage::Rooms& real_;
};

class HeldStorage final : public tests::BorrowedStorage {
public:
    explicit HeldStorage(const std::shared_ptr<storage::Storage>& real) : BorrowedStorage{real}, held{real->rooms()} {}
    storage::Rooms& rooms() override { return held; }
    HeldRooms held;
};

class Stage : public tests::OneWorker<HeldStorage> {
public:
    void let_one_go_on() { OneWorker::let_one_go_on(rooms->waiting); }
    HeldRooms* const rooms = &storage().held;
};

storage::Task<void> ask_for_rooms(server::Worker& worker, server::rooms::Rooms& service, std::vector<std::string>& answers) {
    const Stanza stanza = xmpp::parse_trusted("<iq type='get' id='i' from='hag@localhost/0' to='groups.localhost'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>");
    auto asking = service.items({worker, stanza, stanza.element().first_child(), server::Asked::service, nullptr, nullptr, xmpp::Jid{stanza.from()}, xmpp::Jid{stanza.to()}});
    const server::IqReply reply = co_await asking;
    answers.emplace_back(reply.payload());
}

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
    Stage stage;
    const auto send = [&](const Stanza& stanza) { stage.worker().router.send(stanza, stanza.to()); };
    stage.on_worker([&] {
        for (int i = 0; i < 1005; ++i) send(message("crone@localhost/0"));
        for (int i = 0; i < 5; ++i) send(gone("hag@localhost/0"));
    });
    CHECK(stage.worker().counters.errors_returned == 5);
    stage.let_one_go_on();
    CHECK(stage.worker().counters.errors_returned == 1005);
}

TEST_CASE("§6.3: what rooms tell their service is newer than what it has read, whoever many ask at once") {
    Stage stage;
    storage::Room heath;
    heath.jid = *xmpp::Jid::parse("heath@groups.localhost");
    heath.founder = *xmpp::Jid::parse("hag@localhost");
    heath.listed_as = "heath";
    REQUIRE(tests::wait_for(stage.rooms->put(heath)).ok());
    server::rooms::Histories histories{1024};
    server::rooms::Rooms service{stage.worker(), "groups.localhost", histories};
    const auto tell = [&](const std::string& room, const std::string& name) {
        const Stanza told = xmpp::parse_trusted("<message from='" + room + "@groups.localhost' to='groups.localhost'><listing xmlns='urn:tern:rooms:listing:0'" + name + "/></message>");
        stage.on_worker([&] { service.take(told, told.to()); });
    };
    std::vector<std::string> answers;
    const auto ask = [&] { stage.on_worker([&] { stage.worker().spawn("asking", ask_for_rooms(stage.worker(), service, answers)); }); };
    const auto names = [&](const std::string& room) { return answers.back().find(room + "@groups.localhost") != std::string::npos; };

    tell("coven", " name='coven'");
    ask();
    ask();
    REQUIRE(stage.rooms->waiting.size() == 2);
    tell("cave", " name='cave'");
    stage.let_one_go_on();
    REQUIRE(answers.size() == 1);
    CHECK((names("heath") && names("coven") && names("cave")));
    tell("heath", "");
    stage.let_one_go_on();
    REQUIRE(answers.size() == 2);
    CHECK((!names("heath") && names("coven") && names("cave")));
}
