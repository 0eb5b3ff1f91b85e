// SPDX-License-Identifier: MIT
// XEP-0352: whatever comes while a client is inactive, what is important arrives at once, what can wait arrives before it
// or when the client is active again, each the newest of its kind, all in the order in which it was sent. The model keeps
// a list of what the client lacks. Repeat a run with TERN_SEED=number.
#include <algorithm>
#include <cstdlib>
#include <random>

#include <catch2/catch.hpp>

#include "tests/support/in_process.h"

using namespace tests;

namespace {

class World {
public:
    explicit World(std::uint64_t seed) : random_{seed} {
        room_ = pick(3) == 0 ? static_cast<std::size_t>(pick(6)) : 250;
        Scene scene;
        scene.settings.emplace_back("limits.held_stanzas", std::to_string(room_));
        for (const char* const name : {"juliet@localhost/phone", "romeo@localhost/a", "romeo@localhost/b", "tybalt@localhost/c"}) {
            Role role;
            role.name = role.jid = name;
            role.password = "secret";
            scene.cast.push_back(role);
        }
        stage_.open(scene);
        for (const Role& role : scene.cast) actors_.push_back(stage_.actor(role));
        for (const auto& actor : actors_) actor->connect();
        juliet().send("<presence/>");
        while (juliet().next()) {}
    }
    ~World() { actors_.clear(); }

    void step() {
        if (pick(8) == 0) turn(pick(3) == 0);
        else write(static_cast<std::size_t>(1 + pick(3)));
        compare();
    }
    int collapsed() const { return collapsed_; }

private:
    int pick(int below) { return std::uniform_int_distribution<int>{0, below - 1}(random_); }
    Actor& juliet() { return *actors_.front(); }

    void turn(bool active) {
        story_ += active ? "  active\n" : "  inactive\n";
        juliet().send(active ? "<active xmlns='urn:xmpp:csi:0'/>" : "<inactive xmlns='urn:xmpp:csi:0'/>");
        active_ = active;
        if (active_) let_go();
    }

    // Some stanzas of one sender at once.
    void write(std::size_t sender) {
        std::string burst;
        for (int count = 1 + pick(4); count > 0; --count) {
            const std::string id = std::to_string(++sent_);
            const auto [about, xml] = stanza(id);
            story_ += "  " + actors_[sender]->full_jid() + ": " + xml + "\n";
            burst += xml;
            expect(id, about.empty() || about == "alone" ? about : about + " of " + actors_[sender]->full_jid());
        }
        actors_[sender]->send(burst);
    }

    // What it is about: empty, it is important; "alone", it is about nothing but itself.
    std::pair<std::string, std::string> stanza(const std::string& id) {
        const std::string to = " to='juliet@localhost/phone' id='" + id + "'";
        const std::string no_store = "<no-store xmlns='urn:xmpp:hints'/></message>";
        const std::string node = std::to_string(pick(2)), item = std::to_string(pick(2));
        switch (pick(10)) {
            case 0: return {"presence", "<presence" + to + "/>"};
            case 1: return {"presence", "<presence type='unavailable'" + to + "/>"};
            case 2:
            case 3: return {"state", "<message type='chat'" + to + "><composing xmlns='http://jabber.org/protocol/chatstates'/>" + no_store};
            case 4: return {"alone", "<message" + to + "><received xmlns='urn:xmpp:receipts' id='x'/>" + no_store};
            case 5: return {"displayed", "<message" + to + "><displayed xmlns='urn:xmpp:chat-markers:0' id='x'/>" + no_store};
            case 6:
            case 7:
                return {"item " + node + item, "<message type='headline'" + to + "><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='" +
                                                   node + "'><item id='" + item + "'/></items></event></message>"};
            case 8: return {"", "<message type='chat'" + to + "><body>x</body></message>"};
            default: return {"", "<message" + to + "><new xmlns='urn:example:new'/>" + no_store};
        }
    }

    void expect(const std::string& id, const std::string& about) {
        if (!active_ && !about.empty()) {
            if (about != "alone") collapsed_ += static_cast<int>(std::erase_if(held_, [&](const Held& held) { return held.about == about; }));
            if (held_.size() < room_) return held_.push_back({id, about});
        }
        let_go();
        expected_.push_back(id);
    }
    void let_go() {
        for (const Held& held : held_) expected_.push_back(held.id);
        held_.clear();
    }

    void compare() {
        std::vector<std::string> received;
        while (const auto event = juliet().next()) received.push_back(event->node.attr_or_empty("id"));
        INFO("room for " << room_ << "\n" << story_);
        REQUIRE(received == expected_);
        expected_.clear();
    }

    struct Held { std::string id, about; };
    std::mt19937_64 random_;
    InProcess stage_;
    std::vector<std::unique_ptr<Actor>> actors_;   // the first is Juliet, who only listens
    std::size_t room_ = 0;
    bool active_ = true;
    std::vector<Held> held_;
    std::vector<std::string> expected_;            // since the last comparison
    std::string story_;
    int sent_ = 0, collapsed_ = 0;
};

}  // namespace

TEST_CASE("what is important arrives at once, and before it, in order, what an inactive client lacks") {
    const char* const given = std::getenv("TERN_SEED");
    const std::uint64_t seed = given ? std::stoull(given) : std::random_device{}();
    int collapsed = 0;
    for (std::uint64_t i = 0; i < 60; ++i) {
        INFO("TERN_SEED=" << seed + i);
        World world{seed + i};
        for (int step = 0; step < 120; ++step) world.step();
        collapsed += world.collapsed();
    }
    CHECK(collapsed > 0);
    WARN("TERN_SEED=" << seed);
}
