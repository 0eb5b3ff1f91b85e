// SPDX-License-Identifier: MIT
// A client of somebody else's making: libstrophe, with TLS and SCRAM, as most clients in the field do it. Everything it
// receives is kept in order.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tests/support/xml.h"

struct _xmpp_ctx_t;
struct _xmpp_conn_t;

namespace tests {

// libstrophe's event loop; shared by all clients of a scene, so that one thread serves them.
class StropheLoop {
public:
    StropheLoop();
    ~StropheLoop();
    StropheLoop(const StropheLoop&) = delete;
    StropheLoop& operator=(const StropheLoop&) = delete;
    // Runs until `done` or the deadline; whether it was done.
    bool run_until(const std::function<bool()>& done, std::chrono::milliseconds deadline);
    _xmpp_ctx_t* context() const { return context_; }

private:
    _xmpp_ctx_t* context_;
};

class StropheClient {
public:
    // `stream_management`: libstrophe asks for XEP-0198 by itself.
    StropheClient(StropheLoop& loop, const std::string& jid, const std::string& password, bool stream_management = false);
    ~StropheClient();
    StropheClient(const StropheClient&) = delete;
    StropheClient& operator=(const StropheClient&) = delete;

    // Logs in and binds; false when the stream ended before that. Waits.
    bool connect(const std::string& host, std::uint16_t port, bool direct_tls = false);
    bool disconnect();                 // with the end of the stream; waits for the server's
    void lose_connection();
    void send(std::string_view xml);   // and waits until it is with the kernel
    std::optional<Event> next(std::chrono::milliseconds wait);
    bool wait_for_end(std::chrono::milliseconds wait);
    bool is_connected() const { return state_ == State::connected; }
    // Sends a request, waits for the answer with that id and takes it out; whether anything else came meanwhile.
    bool ask(std::string_view request, const std::string& id, std::chrono::milliseconds wait);
    void forget() { received_.clear(); }
    std::string full_jid() const;

private:
    enum class State { idle, connecting, connected, ended };
    struct Callbacks;
    StropheLoop& loop_;
    _xmpp_conn_t* connection_ = nullptr;
    State state_ = State::idle;
    std::deque<Event> received_;
    std::string full_jid_;
    int socket_ = -1;
};

}  // namespace tests
