// SPDX-License-Identifier: MIT
// Messages for accounts that are away: what it costs to keep one (store), and to hand it over when its
// recipient comes (drain). Recipients are the first --sessions accounts, senders the last hundred.
#include "tests/bench/crowd.h"
#include "tests/bench/meter.h"
#include "tests/bench/pairs.h"
#include "tests/bench/works.h"

namespace bench {

namespace {

using namespace std::chrono_literals;

constexpr unsigned senders = 100;
constexpr unsigned in_a_batch = 10;  // then a ping, whose answer makes room for more

class Senders final : public Work {
public:
    explicit Senders(const Options& options) : options_{options}, crowd_{options, *this, options.accounts} {
        total_ = options.sessions * options.messages;
    }

    void run(const ServerProcess& server, Report& report) {
        const unsigned first = options_.accounts - senders;
        crowd_.connect_all(first, options_.accounts);
        crowd_.settle(first, options_.accounts);
        server.wait_until_quiet();
        const double cpu = server.cpu_seconds();
        const auto start = Clock::now();
        for (unsigned i = first; i < options_.accounts; ++i) say(crowd_[i]);
        crowd_.run_until([&] { return answered_ >= total_; }, 600s, "storing");
        const double wall = std::chrono::duration<double>{Clock::now() - start}.count();
        server.wait_until_quiet();
        const double used = server.cpu_seconds() - cpu;
        report.add("messages", total_)
            .add("store_seconds", wall)
            .add("store_cpu", used)
            .add("store_per_cpu", used > 0 ? total_ / used : 0);
        for (unsigned i = first; i < options_.accounts; ++i) crowd_[i].leave();
        crowd_.run_until([&] { return crowd_.ready_count() == 0; }, 60s, "leaving");
    }

    void tag(Client& client, Tag tag, std::string_view text) override {
        if (tag != Tag::iq || attribute(text, "id") != "batch") return;
        answered_ += in_a_batch;
        say(client);
    }

private:
    void say(Client& client) {
        if (sent_ >= total_) return;
        std::string bytes;
        for (unsigned i = 0; i < in_a_batch; ++i, ++sent_)
            bytes += message(
                options_, options_.user + std::to_string(sent_ % options_.sessions) + "@" + options_.domain,
                "m" + std::to_string(sent_));
        client.send(bytes + "<iq type='get' id='batch' to='" + options_.domain +
                    "'><ping xmlns='urn:xmpp:ping'/></iq>");
    }

    const Options& options_;
    unsigned total_, sent_ = 0, answered_ = 0;
    Crowd crowd_;
};

class Recipients final : public Work {
public:
    Recipients(const Options& options, const Options& silent)
        : options_{options}, crowd_{silent, *this, options.sessions} {}

    void run(const ServerProcess& server, Report& report) {
        crowd_.connect_all(0, options_.sessions);
        crowd_.settle(0, options_.sessions);
        server.wait_until_quiet();
        const unsigned total = options_.sessions * options_.messages;
        const double cpu = server.cpu_seconds();
        const auto start = Clock::now();
        auto last = start;
        for (unsigned i = 0; i < options_.sessions; ++i) crowd_[i].send("<presence/>");
        for (unsigned before = 0; seen_ < total && Clock::now() - last < 15s; before = seen_) {
            crowd_.turn(20ms);
            if (seen_ != before) last = Clock::now();
        }
        const double wall = std::chrono::duration<double>{Clock::now() - start}.count();
        server.wait_until_quiet();
        const double used = server.cpu_seconds() - cpu;
        report.add("drain_seconds", wall)
            .add("drain_cpu", used)
            .add("drain_per_cpu", used > 0 ? seen_ / used : 0)
            .add("lost", total - std::min(total, seen_))
            .add("doubled", seen_ - std::min(total, seen_));
    }

    void tag(Client&, Tag tag, std::string_view) override { seen_ += tag == Tag::message_end; }

private:
    const Options& options_;
    unsigned seen_ = 0;
    Crowd crowd_;
};

}  // namespace

void run_offline(const Options& options) {
    const ServerProcess server{options};
    Report report;
    report.add("work", "offline");
    Senders{options}.run(server, report);
    Options silent = options;
    silent.with_presence = false;
    Recipients{options, silent}.run(server, report);
    report.print();
}

}  // namespace bench
