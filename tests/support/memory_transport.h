// SPDX-License-Identifier: MIT
// A client's connection without sockets: what the server sends lands in a reader, what the client sends is posted to the
// loop of the worker where the stream lives. The channel counts as encrypted when the role says so.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/net/loop.h"
#include "server/stream.h"
#include "tests/support/xml.h"

namespace tests {

class MemoryTransport final : public server::Transport, public server::net::EndOfTurn,
                              public std::enable_shared_from_this<MemoryTransport> {
public:
    // Runs the workers until nothing is left to do.
    using Settle = std::function<void()>;
    MemoryTransport(server::Worker& worker, bool encrypted, Settle settle);
    ~MemoryTransport();

    // The client's side; each call runs the server until it has nothing left to do.
    void open();
    void type(std::string_view bytes);
    void secure();                     // the TLS handshake
    void lose();
    void read_output(bool does);
    StreamReader& reader() { return reader_; }
    bool is_over() const { return over_; }
    bool wants_tls() const { return tls_wanted_; }

    void send(xmpp::Wire bytes) override;
    void close() override;
    void start_tls() override { tls_wanted_ = true; }
    void want_input(bool wanted) override;
    auth::Channel channel() const override;
    bool is_encrypted() const override { return encrypted_; }
    bool can_start_tls() const override { return !encrypted_; }
    std::string peer_address() const override { return "127.0.0.1"; }
    std::size_t unsent() const override { return unsent_.size(); }
    void allow_unsent(std::size_t) override {}
    void extend_login(server::net::Duration) override {}   // there is no deadline here
    bool is_peer_gone() const override { return false; }
    void session_begins() override {}
    void move_to(server::Worker& worker, std::function<void()> arrived) override;

private:
    void on_end_of_turn() override;
    void flush();
    void take_input();
    void finish(std::string_view why);
    void post(std::function<void()> work);

    server::Worker* worker_;
    Settle settle_;
    std::shared_ptr<server::Stream> stream_;
    StreamReader reader_;
    std::string unsent_;               // on its way to the client
    std::string untaken_;              // on its way to the server
    bool encrypted_;
    bool tls_wanted_ = false;
    bool input_wanted_ = true;
    bool client_reads_ = true;
    bool moving_ = false;
    bool closing_ = false;
    bool over_ = false;
};

}  // namespace tests
