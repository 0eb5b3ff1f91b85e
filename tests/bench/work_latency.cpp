// SPDX-License-Identifier: MIT
// Latency at a rate that does not depend on the answers: a slow server meets the same load as a fast one. And
// the storm, where that goes on while all others drop and come back.
#include <cstdlib>
#include <deque>
#include <random>
#include <utility>

#include "tests/bench/meter.h"
#include "tests/bench/pairs.h"
#include "tests/bench/works.h"

namespace bench {

namespace {

// The first `talking` clients send to their partners; a message's id says when it should have left.
class Talk final : public Work {
public:
    Talk(const Options& options, unsigned talking, unsigned clients)
        : options_{options}, partner_{random_pairs(talking)}, unacked_(talking), crowd_{options, *this, clients} {
        greet_as_pairs(crowd_, partner_);
    }

    Crowd& crowd() { return crowd_; }

    void talk_until(const std::function<bool()>& is_done) {
        next_ = Clock::now();
        const auto step =
            std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{1 / options_.rate});
        while (!is_done()) {
            const auto now = Clock::now();
            for (; next_ <= now; next_ += step) say();
            crowd_.turn(std::chrono::milliseconds{0});
        }
    }

    void talk_for(double seconds) {
        const auto end = Clock::now() +
                         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{seconds});
        talk_until([end] { return Clock::now() >= end; });
    }

    // What is on its way arrives, or it is lost.
    std::uint64_t wait_for_the_rest() {
        const auto end = Clock::now() + std::chrono::seconds{20};
        while (arrived_ < sent_ && Clock::now() < end) crowd_.turn(std::chrono::milliseconds{20});
        return sent_ - std::min(sent_, arrived_);   // what an earlier run left may have come as well
    }

    void tag(Client&, Tag tag, std::string_view text) override {
        if (tag != Tag::message) return;
        const std::string_view id = attribute(text, "id");
        if (!id.starts_with('t')) return;
        ++arrived_;
        const Clock::time_point left{Clock::duration{std::strtoll(id.data() + 1, nullptr, 10)}};
        if (!options_.with_acks) latencies.add(Clock::now() - left);
    }

    void acked(Client& client, unsigned stanzas) override {
        auto& unacked = unacked_.at(client.number());
        for (; stanzas > 0 && !unacked.empty(); --stanzas, unacked.pop_front()) latencies.add(Clock::now() - unacked.front());
    }

    Latencies latencies;

private:
    void say() {
        const auto from = static_cast<unsigned>(random_() % partner_.size());
        const std::string id = "t" + std::to_string(next_.time_since_epoch().count());
        const std::string stanza = message(options_, crowd_[partner_[from]].jid(), id);
        ++sent_;
        if (!options_.with_acks) return crowd_[from].send(stanza);
        unacked_[from].push_back(next_);
        crowd_[from].send_stanzas(stanza + "<r xmlns='urn:xmpp:sm:3'/>", 1);
    }

    const Options& options_;
    const std::vector<unsigned> partner_;
    std::vector<std::deque<Clock::time_point>> unacked_;  // when each should have left
    std::minstd_rand random_{7};
    Clock::time_point next_;
    std::uint64_t sent_ = 0, arrived_ = 0;
    Crowd crowd_;
};

}  // namespace

void run_latency(const Options& options) {
    Talk talk{options, options.sessions, options.sessions};
    talk.crowd().connect_all(0, options.sessions);
    talk.crowd().settle(0, options.sessions);
    talk.talk_for(options.warm_up);
    talk.latencies = {};
    const ServerProcess server{options};
    const double cpu = server.cpu_seconds();
    talk.talk_for(options.seconds);
    const double used = server.cpu_seconds() - cpu;
    const Latencies measured = talk.latencies;
    const auto lost = talk.wait_for_the_rest();
    Report{}
        .add("work", "latency")
        .add("rate", options.rate)
        .add("messages", static_cast<double>(measured.count()))
        .add(measured)
        .add("load", used / options.seconds)
        .add("lost", static_cast<double>(lost))
        .print();
}

void run_storm(const Options& options) {
    const unsigned all = options.established + options.sessions;
    Talk talk{options, options.established, all};
    Crowd& crowd = talk.crowd();
    crowd.connect_all(0, all);
    crowd.settle(0, all);
    talk.talk_for(options.warm_up);
    talk.latencies = {};
    talk.talk_for(options.seconds);
    const Latencies calm = std::exchange(talk.latencies, {});

    const ServerProcess server{options};
    const double cpu = server.cpu_seconds();
    const unsigned failures = crowd.failures();
    const auto start = Clock::now();
    for (unsigned i = options.established; i < all; ++i) crowd[i].drop();
    for (unsigned i = options.established; i < all; ++i) crowd.connect(crowd[i]);
    talk.talk_until([&] {
        return crowd.ready_count() + crowd.failures() - failures >= all ||
               Clock::now() - start > std::chrono::minutes{10};
    });
    const double wall = std::chrono::duration<double>{Clock::now() - start}.count();
    const double used = server.cpu_seconds() - cpu;
    const Latencies stormy = talk.latencies;
    const auto lost = talk.wait_for_the_rest();
    Report{}
        .add("work", "storm")
        .add("sessions", options.sessions)
        .add("seconds", wall)
        .add("cpu", used)
        .add("calm_p99_ms", calm.milliseconds_at(0.99))
        .add(stormy)
        .add("errors", crowd.failures() - failures)
        .add("lost", static_cast<double>(lost))
        .print();
}

}  // namespace bench
