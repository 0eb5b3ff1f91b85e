// SPDX-License-Identifier: MIT
// One-to-one messages between random pairs. The counted unit is one message in and the same message
// delivered. Without
// --acks, whoever receives a message answers it, so that --window are always on their way in each pair. With
// --acks every session has --window messages that the server has not acked (XEP-0198), and an acked one makes
// room for the next.
#include <utility>

#include "tests/bench/meter.h"
#include "tests/bench/pairs.h"
#include "tests/bench/works.h"

namespace bench {

namespace {

using namespace std::chrono_literals;

class Chat final : public Work {
public:
    explicit Chat(const Options& options)
        : options_{options},
          partner_{random_pairs(options.sessions)},
          sent_at_(options.sessions),
          crowd_{options, *this, options.sessions} {
        greet_as_pairs(crowd_, partner_);
    }

    void run() {
        crowd_.connect_all(0, options_.sessions);
        crowd_.settle(0, options_.sessions);
        for (unsigned i = 0; i < options_.sessions; ++i)
            messages_.push_back(message(options_, crowd_[partner_[i]].jid(), "m" + std::to_string(i)));
        const ServerProcess server{options_};
        for (unsigned i = 0; i < options_.sessions; ++i)
            if (partner_[i] != i && (options_.with_acks || i < partner_[i])) say(crowd_[i], options_.window);
        crowd_.run_for(std::chrono::duration<double>{options_.warm_up});
        measure(server);
    }

    void tag(Client&, Tag tag, std::string_view text) override {
        if (tag == Tag::message_end) ++here_;
        if (tag == Tag::message && text.find("type='error'") != text.npos) ++errors_;
        if (tag == Tag::message && text.find("type=\"error\"") != text.npos) ++errors_;
    }

    void acked(Client& client, unsigned stanzas) override {
        acked_ += stanzas;
        latencies_.add(Clock::now() - sent_at_[client.number()]);
        if (!is_over_ && stanzas > 0) say(client, stanzas);
    }

    void turn(Client& client) override {
        const unsigned count = std::exchange(here_, 0);
        if (messages_.empty()) return;  // what a work before this one left behind
        delivered_ += count;
        if (count > 0 && !options_.with_acks && !is_over_) say(client, count);
    }

private:
    void say(Client& client, unsigned count) {
        buffer_.clear();
        for (unsigned i = 0; i < count; ++i) buffer_ += messages_[client.number()];
        if (options_.with_acks) {
            buffer_ += "<r xmlns='urn:xmpp:sm:3'/>";
            sent_at_[client.number()] = Clock::now();
        }
        sent_ += count;
        client.send_stanzas(buffer_, count);
    }

    void measure(const ServerProcess& server) {
        latencies_ = {};
        server.profile(true);
        const double cpu = server.cpu_seconds(), own = own_cpu_seconds();
        const std::uint64_t delivered = delivered_, acked = acked_;
        const auto start = Clock::now();
        crowd_.run_for(std::chrono::duration<double>{options_.seconds});
        const double wall = std::chrono::duration<double>{Clock::now() - start}.count();
        const double used = server.cpu_seconds() - cpu, own_used = own_cpu_seconds() - own;
        const double count =
            static_cast<double>(options_.with_acks ? acked_ - acked : delivered_ - delivered);
        server.profile(false);
        Report report;
        report.add("work", "chat")
            .add("messages", count)
            .add("seconds", wall)
            .add("cpu", used)
            .add("own_cpu", own_used);
        report.add("per_second", count / wall).add("per_cpu", used > 0 ? count / used : 0);
        if (options_.with_acks) report.add(latencies_);
        is_over_ = true;
        // What is on its way arrives, or it is lost.
        const auto end = Clock::now() + 20s;
        while (delivered_ < sent_ && Clock::now() < end) crowd_.turn(20ms);
        report.add("lost", static_cast<double>(sent_ - std::min(sent_, delivered_)))
            .add("errors", static_cast<double>(errors_))
            .print();
    }

    const Options& options_;
    const std::vector<unsigned> partner_;
    std::vector<std::string> messages_;
    std::vector<Clock::time_point> sent_at_;
    std::string buffer_;
    std::uint64_t sent_ = 0, delivered_ = 0, acked_ = 0, errors_ = 0;
    unsigned here_ = 0;
    bool is_over_ = false;
    Latencies latencies_;
    Crowd crowd_;
};

}  // namespace

void run_chat(const Options& options) { Chat{options}.run(); }

}  // namespace bench
