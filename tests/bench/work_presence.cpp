// SPDX-License-Identifier: MIT
// Presence: everybody tells all contacts, and again when everybody has heard. befriend makes the contacts:
// each account has the next ones in a ring, by subscriptions as RFC 6121 §3 has them.
#include "tests/bench/crowd.h"
#include "tests/bench/meter.h"
#include "tests/bench/works.h"

namespace bench {

namespace {

using namespace std::chrono_literals;

class Befriending final : public Work {
public:
    explicit Befriending(const Options& options)
        : options_{options}, crowd_{options, *this, options.accounts} {}

    void run() {
        crowd_.connect_all(0, options_.accounts);
        crowd_.settle(0, options_.accounts);
        for (unsigned distance = 1; distance <= options_.contacts / 2; ++distance) {
            for (unsigned i = 0; i < options_.accounts; ++i) {
                subscribe(i, (i + distance) % options_.accounts);
                subscribe(i, (i + options_.accounts - distance) % options_.accounts);
            }
            wanted_ += 2 * options_.accounts;
            crowd_.run_until([&] { return subscribed_ >= wanted_; }, 300s, "subscriptions");
        }
        crowd_.settle(0, options_.accounts);
        Report{}.add("work", "befriend").add("subscriptions", subscribed_).print();
    }

    // RFC 6121 §3.1.6: only who has asked for the roster is told.
    void ready(Client& client) override {
        client.send("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>");
    }

    void tag(Client& client, Tag tag, std::string_view text) override {
        if (tag != Tag::presence) return;
        const std::string_view type = attribute(text, "type");
        if (type == "subscribed") ++subscribed_;
        if (type == "subscribe")
            client.send("<presence type='subscribed' to='" + std::string{attribute(text, "from")} + "'/>");
    }

private:
    void subscribe(unsigned from, unsigned to) {
        crowd_[from].send("<presence type='subscribe' to='" + options_.user + std::to_string(to) + "@" +
                          options_.domain + "'/>");
    }

    const Options& options_;
    unsigned subscribed_ = 0, wanted_ = 0;
    Crowd crowd_;
};

class Broadcasts final : public Work {
public:
    explicit Broadcasts(const Options& options)
        : options_{options}, crowd_{options, *this, options.sessions} {}

    void run() {
        crowd_.connect_all(0, options_.sessions);
        crowd_.settle(0, options_.sessions);
        // A server may show a session its own presence: the first round tells how many come.
        say();
        count_until_quiet();
        seen_ = 0;
        say();
        count_until_quiet();
        const std::uint64_t in_a_round = seen_;

        const ServerProcess server{options_};
        const double cpu = server.cpu_seconds();
        const auto start = Clock::now();
        std::uint64_t deliveries = 0;
        unsigned rounds = 0;
        for (; Clock::now() - start < std::chrono::duration<double>{options_.seconds}; ++rounds) {
            seen_ = 0;
            say();
            crowd_.run_until([&] { return seen_ >= in_a_round; }, 120s, "presence");
            deliveries += seen_;
        }
        const double wall = std::chrono::duration<double>{Clock::now() - start}.count();
        const double used = server.cpu_seconds() - cpu, count = static_cast<double>(deliveries);
        Report{}
            .add("work", "presence")
            .add("deliveries", count)
            .add("in_a_round", static_cast<double>(in_a_round))
            .add("rounds", rounds)
            .add("seconds", wall)
            .add("cpu", used)
            .add("per_second", count / wall)
            .add("per_cpu", used > 0 ? count / used : 0)
            .print();
    }

    void tag(Client&, Tag tag, std::string_view) override { seen_ += tag == Tag::presence; }

private:
    void say() {
        is_away_ = !is_away_;
        for (unsigned i = 0; i < options_.sessions; ++i)
            crowd_[i].send(is_away_ ? "<presence><show>away</show></presence>" : "<presence/>");
    }

    void count_until_quiet() {
        for (std::uint64_t before = ~0ull; before != seen_;) {
            before = seen_;
            crowd_.run_for(1s);
        }
    }

    const Options& options_;
    std::uint64_t seen_ = 0;
    bool is_away_ = false;
    Crowd crowd_;
};

}  // namespace

void run_befriend(const Options& options) { Befriending{options}.run(); }
void run_presence(const Options& options) { Broadcasts{options}.run(); }

}  // namespace bench
