// SPDX-License-Identifier: MIT
// Thousands of clients on one thread: logs them in, tells a Work what they receive, and sends what it says.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/bench/connection.h"
#include "tests/bench/login.h"
#include "tests/bench/scan.h"

namespace bench {

using Clock = std::chrono::steady_clock;

class Crowd;

class Client {
public:
    Client(Crowd& crowd, unsigned number) : crowd_{crowd}, number_{number} {}

    unsigned number() const { return number_; }
    bool is_ready() const { return is_ready_; }
    const std::string& jid() const { return jid_; }

    void send(std::string_view bytes);
    void send_stanzas(std::string_view bytes, unsigned stanzas);  // counted for XEP-0198
    void leave();                                                 // with an orderly end
    void drop();                                                  // without

private:
    friend class Crowd;

    void open();
    void on_event(std::uint32_t events);
    void on_writable();
    void on_handshake(Connection::Status status);
    void on_readable();
    void on_bytes(std::string_view bytes);
    void step_login(std::string_view bytes);
    void take(std::string_view bytes);
    void on_tag(Tag tag, std::string_view text);
    void after(Connection::Status status);
    void watch(bool for_writing);
    void lost();

    Crowd& crowd_;
    const unsigned number_;
    Connection connection_;
    std::unique_ptr<Login> login_;
    std::string input_;  // before login: what came; after: the beginning of a tag
    std::string jid_;
    bool is_connected_ = false, is_ready_ = false, is_leaving_ = false, is_written_ = false;
    unsigned received_ = 0, sent_ = 0, acked_ = 0;  // stanzas, as XEP-0198 counts them
};

// What a workload wants to know.
class Work {
public:
    virtual ~Work() = default;
    virtual void ready(Client&) {}
    virtual void tag(Client&, Tag, std::string_view) {}
    virtual void acked(Client&, unsigned) {}  // so many more stanzas
    virtual void turn(Client&) {}             // all tags of one read have been told
    virtual void gone(Client&) {}             // after leave(), or because the server closed it
};

class Crowd {
public:
    Crowd(const Options& options, Work& work, unsigned clients);
    ~Crowd();
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;

    const Options& options() const { return options_; }
    Client& operator[](std::size_t number) { return *clients_[number]; }
    std::size_t size() const { return clients_.size(); }

    void connect(Client& client);  // when its turn comes: --parallel are under way at most
    void connect_all(unsigned first, unsigned last);
    void settle(unsigned first, unsigned last);  // until the server has answered a ping of each
    void turn(std::chrono::milliseconds patience);

    // Throws when it takes longer.
    void run_until(const std::function<bool()>& is_done, std::chrono::duration<double> limit,
                   const char* what);
    void run_for(std::chrono::duration<double> time);

    unsigned failures() const { return failures_; }
    unsigned ready_count() const { return ready_; }

    // What raw connections say first; the relay pairs those that say the same.
    std::function<std::string(unsigned)> greeting;

private:
    friend class Client;

    void start_waiting();

    const Options& options_;
    Work& work_;
    Keys keys_;
    int epoll_;
    std::vector<std::unique_ptr<Client>> clients_;
    std::deque<Client*> waiting_;
    unsigned connecting_ = 0, ready_ = 0, failures_ = 0, settled_ = 0;
    std::vector<char> buffer_;
    std::string last_failure_;
};

}  // namespace bench
