// SPDX-License-Identifier: MIT
// A room (XEP-0045): what it costs that one occupant says something and all hear it, and what it cost that
// all came in.
#include "tests/bench/crowd.h"
#include "tests/bench/meter.h"
#include "tests/bench/works.h"

namespace bench {

namespace {

using namespace std::chrono_literals;

class Room final : public Work {
public:
    explicit Room(const Options& options)
        : options_{options},
          room_{"bench" + std::to_string(options.sessions) + "@" + options.service},
          said_{"<message type='groupchat' id='m' to='" + room_ + "'><body>" +
                std::string(options.body, 'x') + "</body></message>"},
          crowd_{options, *this, options.sessions} {}

    void run() {
        crowd_.connect_all(0, options_.sessions);
        crowd_.settle(0, options_.sessions);
        const ServerProcess server{options_};
        server.wait_until_quiet();
        const double before = server.cpu_seconds();
        come_in();
        server.wait_until_quiet();
        const double joining = server.cpu_seconds() - before;

        talk_for(options_.warm_up);
        const double cpu = server.cpu_seconds();
        const std::uint64_t heard = heard_;
        const auto start = Clock::now();
        talk_for(options_.seconds);
        const double wall = std::chrono::duration<double>{Clock::now() - start}.count();
        const double used = server.cpu_seconds() - cpu, count = static_cast<double>(heard_ - heard);
        crowd_.run_until([&] { return heard_ >= sent_ * options_.sessions; }, 60s, "what was said last");
        Report{}
            .add("work", "room")
            .add("occupants", options_.sessions)
            .add("joining_cpu", joining)
            .add("deliveries", count)
            .add("seconds", wall)
            .add("cpu", used)
            .add("per_second", count / wall)
            .add("per_cpu", used > 0 ? count / used : 0)
            .print();
    }

    void tag(Client&, Tag tag, std::string_view text) override {
        if (tag == Tag::message_end) ++heard_;
        if (tag == Tag::iq && attribute(text, "id") == "unlock") is_open_ = attribute(text, "type") == "result";
    }

private:
    // The subject, which everybody gets at the end of coming in (§7.2.15), tells that it is done.
    void come_in() {
        join(0);
        crowd_.run_until([&] { return heard_ >= 1; }, 30s, "the first occupant");
        // §10.1.2: a new room may be locked until its owner accepts what it is.
        crowd_[0].send("<iq type='set' id='unlock' to='" + room_ +
                       "'><query xmlns='http://jabber.org/protocol/muc#owner'>"
                       "<x xmlns='jabber:x:data' type='submit'>" +
                       configuration() + "</x></query></iq>");
        crowd_.run_until([&] { return is_open_; }, 30s, "the room");
        for (unsigned next = 1; next < options_.sessions;) {
            for (; next < options_.sessions && next < heard_ + options_.parallel; ++next) join(next);
            crowd_.turn(20ms);
        }
        crowd_.run_until([&] { return heard_ >= options_.sessions; }, 600s, "all occupants");
        crowd_.settle(0, options_.sessions);
        heard_ = 0;
    }

    // §10.1.3; nothing: as the server has it by itself.
    std::string configuration() const {
        if (options_.broadcast.empty()) return {};
        return "<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>"
               "<field var='muc#roomconfig_presencebroadcast' type='list-multi'><value>" +
               options_.broadcast + "</value></field>";
    }

    void join(unsigned number) {
        crowd_[number].send(
            "<presence to='" + room_ + "/n" + std::to_string(number) +
            "'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>");
    }

    // --window messages are under way, each by another occupant.
    void talk_for(double seconds) {
        const auto end = Clock::now() +
                         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>{seconds});
        while (Clock::now() < end) {
            for (; sent_ < heard_ / options_.sessions + options_.window; ++sent_)
                crowd_[sent_ % options_.sessions].send(said_);
            crowd_.turn(10ms);
        }
    }

    const Options& options_;
    const std::string room_, said_;
    std::uint64_t sent_ = 0, heard_ = 0;
    bool is_open_ = false;
    Crowd crowd_;
};

}  // namespace

void run_room(const Options& options) { Room{options}.run(); }

}  // namespace bench
