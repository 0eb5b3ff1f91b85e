// SPDX-License-Identifier: MIT
// Whatever accounts, devices and resources there are, whoever comes, goes, changes priority and writes to whom: each
// message reaches exactly the resources that RFC 6121 §8.5 allows, in order, and what nobody could take reaches each
// device once, in order, when it is next there (XEP-0160). A model of 60 lines plays along and is compared after every step.
// Repeat a run with TERN_SEED=number.
#include <algorithm>
#include <cstdlib>
#include <deque>
#include <map>
#include <random>

#include <catch2/catch.hpp>

#include "tests/support/in_process.h"

using namespace tests;

namespace {

// What a resource is to receive next: id, and whether it was kept meanwhile.
struct Expected {
    std::string id;
    bool is_error = false;
    bool is_delayed = false;
    friend bool operator==(const Expected&, const Expected&) = default;
};
std::ostream& operator<<(std::ostream& out, const Expected& e) {
    return out << e.id << (e.is_error ? " (error)" : "") << (e.is_delayed ? " (delayed)" : "");
}

struct Resource {
    Role role;
    std::string device;                 // account + password
    std::unique_ptr<Actor> actor;
    bool connected = false, available = false;
    int priority = 0;
    std::vector<Expected> expected;     // since the last comparison
    bool takes_messages() const { return connected && available && priority >= 0; }
};

class World {
public:
    explicit World(std::uint64_t seed) : random_{seed} {
        for (int a = 0; a < 2 + pick(3); ++a) {
            const std::string account = "user" + std::to_string(a) + "@localhost";
            for (int d = 0; d < 1 + pick(3); ++d)
                for (int r = 0; r < 1 + pick(2); ++r) {
                    Resource resource;
                    resource.role.name = account + "/" + std::to_string(d) + "-" + std::to_string(r);
                    resource.role.jid = resource.role.name;
                    resource.role.password = "secret" + std::to_string(d);
                    resource.device = account + " " + std::to_string(d);
                    resources_.push_back(std::move(resource));
                }
        }
        Scene scene;
        for (const Resource& resource : resources_) {
            scene.cast.push_back(resource.role);
            waiting_[resource.device];
        }
        stage_.open(scene);
        for (Resource& resource : resources_) resource.actor = stage_.actor(resource.role);
    }
    ~World() { resources_.clear(); }

    void step() {
        Resource& one = resources_[static_cast<std::size_t>(pick(static_cast<int>(resources_.size())))];
        const int what = pick(20);
        if (what == 0 && pick(5) == 0) restart();
        else if (!one.connected) connect(one);
        else if (what < 3) leave(one);
        else if (what < 8) set_presence(one);
        else write(one);
        compare();
    }
    int sent() const { return sent_; }

private:
    int pick(int below) { return std::uniform_int_distribution<int>{0, below - 1}(random_); }
    bool toss() { return pick(2) == 0; }
    void tell(std::string line) { story_.push_back(std::move(line)); }

    // ---- what happens ----

    void connect(Resource& one) {
        tell(one.role.jid + " connects");
        one.actor->connect();
        one.connected = true;
        one.available = false;
    }

    void leave(Resource& one) {
        tell(one.role.jid + " leaves");
        if (toss()) one.actor->disconnect();
        else one.actor->lose_connection();
        one.connected = one.available = false;
    }

    void restart() {
        tell("the server restarts");
        stage_.restart();
        for (Resource& resource : resources_) resource.connected = resource.available = false;
    }

    void set_presence(Resource& one) {
        one.available = pick(4) != 0;
        one.priority = pick(5) - 1;
        const std::string priority = std::to_string(one.priority);
        tell(one.role.jid + (one.available ? " has the priority " + priority : " becomes unavailable"));
        // XEP-0160 §2: what was kept comes when the device can take messages.
        if (one.takes_messages()) {
            auto& waiting = waiting_[one.device];
            for (const std::string& id : waiting) one.expected.push_back({id, false, true});
            waiting.clear();
        }
        one.actor->send(one.available ? "<presence><priority>" + priority + "</priority></presence>" : "<presence type='unavailable'/>");
    }

    // Some messages at once: their order is kept.
    void write(Resource& sender) {
        std::string burst;
        for (int count = 1 + pick(4); count > 0; --count) burst += message(sender);
        sender.actor->send(burst);
    }

    std::string message(Resource& sender) {
        const std::string id = "m" + std::to_string(++sent_);
        const std::string to = recipient();
        const bool kept = toss();
        const std::string type = std::vector<std::string>{"chat", "chat", "normal", "headline", "groupchat"}[static_cast<std::size_t>(pick(5))];
        // What is addressed to one resource and kept also concerns the archive; the rule tested here is the RFC's.
        const bool no_store = !kept || to.find('/') != std::string::npos;
        tell(sender.role.jid + " sends " + type + " " + id + (no_store ? " (no-store)" : "") + " to " + to);
        expect(sender, id, to, type, no_store);
        return "<message to='" + to + "' type='" + type + "' id='" + id + "'><body>" + id + "</body>" + (no_store ? "<no-store xmlns='urn:xmpp:hints'/>" : "") + "</message>";
    }

    std::string recipient() {
        const Resource& one = resources_[static_cast<std::size_t>(pick(static_cast<int>(resources_.size())))];
        switch (pick(10)) {
            case 0: return "nobody@localhost";
            case 1: return one.role.bare_jid() + "/elsewhere";
            case 2:
            case 3: return one.role.jid;
            default: return one.role.bare_jid();
        }
    }

    // ---- the model: RFC 6121 §8.5 ----

    void expect(Resource& sender, const std::string& id, const std::string& to, const std::string& type, bool no_store) {
        const std::string bare = to.substr(0, to.find('/'));
        const bool is_full = to.find('/') != std::string::npos;
        const auto refuse = [&] { sender.expected.push_back({id, true, false}); };
        const bool exists = std::any_of(resources_.begin(), resources_.end(), [&](const Resource& r) { return r.role.bare_jid() == bare; });
        if (!exists) {                                                      // §8.5.1
            if (type != "headline") refuse();
            return;
        }
        if (is_full) {                                                      // §8.5.3.1
            for (Resource& resource : resources_)
                if (resource.role.jid == to && resource.connected) return resource.expected.push_back({id, false, false});
            if (type == "headline") return;                                 // §8.5.3.2.1
        }
        if (type == "groupchat") return refuse();                           // §8.5.2.1.1
        bool taken = false;
        for (Resource& resource : resources_) {
            if (resource.role.bare_jid() != bare || !resource.takes_messages()) continue;
            resource.expected.push_back({id, false, false});
            taken = true;
        }
        if (type == "headline") return;
        if (no_store && !taken) return refuse();                            // §8.5.2.2.1
        if (!no_store) keep(bare, id);
    }

    // For every device of the account that has no resource to take it now.
    void keep(const std::string& bare, const std::string& id) {
        for (auto& [device, waiting] : waiting_) {
            if (!device.starts_with(bare + " ")) continue;
            const bool has_it = std::any_of(resources_.begin(), resources_.end(), [&](const Resource& r) { return r.device == device && r.takes_messages(); });
            if (!has_it) waiting.push_back(id);
        }
    }

    // ---- the comparison ----

    // Errors come from whomever each message was for: only among messages from one sender to one recipient is there an order.
    static void sort_errors(std::vector<Expected>& list) {
        const auto errors = std::stable_partition(list.begin(), list.end(), [](const Expected& one) { return !one.is_error; });
        std::sort(errors, list.end(), [](const Expected& a, const Expected& b) { return a.id < b.id; });
    }

    void compare() {
        for (Resource& resource : resources_) {
            std::vector<Expected> received;
            while (resource.connected) {
                const auto event = resource.actor->next();
                if (!event) break;
                if (event->node.name != "message") continue;   // presence is another matter
                received.push_back({event->node.attr_or_empty("id"), event->node.attr_or_empty("type") == "error",
                                    event->node.child("delay", "urn:xmpp:delay") != nullptr});
            }
            INFO("what " << resource.role.jid << " received");
            sort_errors(received);
            sort_errors(resource.expected);
            if (received != resource.expected) fail(received, resource.expected);
            resource.expected.clear();
        }
    }
    void fail(const std::vector<Expected>& received, const std::vector<Expected>& expected) const {
        std::string story;
        for (const std::string& line : story_) story.append("  ").append(line).append("\n");
        INFO(story);
        REQUIRE(received == expected);
    }

    std::mt19937_64 random_;
    InProcess stage_;
    std::vector<Resource> resources_;
    std::map<std::string, std::deque<std::string>> waiting_;   // by device
    std::vector<std::string> story_;
    int sent_ = 0;
};

std::uint64_t first_seed() {
    if (const char* given = std::getenv("TERN_SEED")) return std::stoull(given);
    return std::random_device{}();
}

}  // namespace

TEST_CASE("each message reaches exactly the resources that RFC 6121 allows, in order, once per device") {
    const std::uint64_t seed = first_seed();
    constexpr std::uint64_t worlds = 150;
    constexpr int steps = 120;
    for (std::uint64_t i = 0; i < worlds; ++i) {
        INFO("TERN_SEED=" << seed + i);
        World world{seed + i};
        for (int step = 0; step < steps; ++step) world.step();
        CHECK(world.sent() > 0);
    }
    WARN("TERN_SEED=" << seed);
}
