// SPDX-License-Identifier: MIT
// One device of an account: a small client that never blocks, with XEP-0198 as a careful client does it. It
// counts what comes, resumes its session on a new connection, and sends again what the server has not
// acknowledged: on resumption all that h does not cover, in a new session all that was never acked. It writes
// to other accounts as fast as acks allow.
#pragma once

#include <poll.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tests/faults/proof/ledger.h"
#include "tests/support/scram_client.h"
#include "tests/support/xml.h"

namespace tests {

// A process of the server, as clients know it.
struct Incarnation {
    std::string host;
    std::uint16_t port = 0;     // 0: there is none
    std::uint32_t crashes = 0;  // kill -9 before it
    bool is_up() const { return port != 0; }
};

class Device {
public:
    Device(int number, const Plan& plan, Ledger& ledger, std::uint64_t seed);
    ~Device();
    Device(Device&& other) = delete;

    static std::string account(int number) { return "user" + std::to_string(number); }
    static std::string password(int device) { return "secret-" + std::to_string(device); }

    // Once a turn: connects when it is time, and sends up to so many messages.
    void turn(const Incarnation& server, std::uint64_t& may_send);
    pollfd waits_for() const;
    void on_ready(short events);
    Clock::time_point acts_at() const;  // when it does something by itself

    enum class Cut : std::uint8_t { reset, fin, torn, unheard, deaf };
    void cut(Cut how, std::chrono::milliseconds until_back);
    void leave(std::chrono::milliseconds until_back);
    void come_back();          // from wherever it is, soon
    void send_to_everybody();  // a last message to each account

    bool is_quiet() const { return awaits_ == Awaits::stanzas && unacked_.empty() && !is_leaving_; }
    std::string state() const;
    struct Resumptions {
        std::uint64_t tried = 0, done = 0;
    };  // of sessions whose server was not killed
    const Resumptions& resumptions() const { return resumptions_; }

private:
    enum class Awaits : std::uint8_t {
        nothing,
        connection,
        features,
        challenge,
        success,
        features_again,
        resumed,
        bound,
        enabled,
        stanzas
    };
    struct Unacked {
        MessageId message;              // number 0: another stanza
        std::uint32_t acks_before = 0;  // h that this device had acked when it sent this
    };

    void connect(const Incarnation& server);
    void disconnect(std::chrono::milliseconds until_back);
    void receive();
    void flush();
    void take(const Node& node);
    void log_in(const Node& node);
    void open_stream();
    void bind();
    void on_resumed(const Node& node);
    void on_failed(const Node& node);
    void begin_session(const Node& enabled);
    void on_stanza(const Node& node);
    void on_message(const Node& message);
    void on_stream_error(const Node& error);
    void acknowledge(std::uint32_t h);
    void send_ack();
    void send_stanza(std::string_view xml, MessageId message = {});
    void send_message(MessageId message);
    void send_again();
    void ask_for_ack();
    void write_messages(std::uint64_t& may_send);
    void say_goodbye();

    const int number_;
    const Plan& plan_;
    Ledger& ledger_;
    Dice dice_;

    // the connection
    int socket_ = -1, abandoned_ = -1;
    Awaits awaits_ = Awaits::nothing;
    std::unique_ptr<StreamReader> reader_;
    std::optional<ScramClient> scram_;
    std::string out_;
    Clock::time_point back_at_{};
    std::optional<Clock::time_point> deaf_until_;
    std::uint32_t crashes_ = 0;  // of the server that it talks to
    bool is_leaving_ = false, has_said_goodbye_ = false;
    std::chrono::milliseconds time_away_{};

    // the session
    std::string sm_id_;
    std::uint32_t session_crashes_ = 0;
    std::uint32_t handled_ = 0, acked_by_us_ = 0;  // stanzas that came
    std::uint32_t acked_by_server_ = 0;            // stanzas that went
    std::deque<Unacked> unacked_;
    bool has_asked_ = false;
    std::uint32_t ack_every_ = 10;
    Resumptions resumptions_;
};

}  // namespace tests
