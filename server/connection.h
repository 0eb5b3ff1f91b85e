// SPDX-License-Identifier: MIT
// A TCP connection that carries a client's stream, plain, with STARTTLS or with direct TLS (XEP-0368). Idle, it holds
// neither a read buffer nor a parser; all output of a loop turn leaves in one gather-write (or as few TLS records).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/net/loop.h"
#include "server/net/tls.h"
#include "server/stream.h"

namespace server {

class Connection final : public Transport, public net::Pollable, public net::EndOfTurn {
public:
    // Takes over the socket, which is non-blocking. The worker owns the connection: Worker::adopt.
    Connection(Worker& worker, int socket, std::string peer_address, bool direct_tls);
    ~Connection() override;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void start();                                    // on its worker's thread, once adopted
    Stream& stream() const { return *stream_; }
    bool is_lingering() const { return closing_ && unsent_ == 0; }   // all is said; the client has not closed its half yet

    void send(xmpp::Wire bytes) override;
    void close() override;
    void start_tls() override;
    void want_input(bool wanted) override;
    auth::Channel channel() const override;
    bool is_encrypted() const override { return tls_.has_value(); }
    bool can_start_tls() const override;
    std::string peer_address() const override { return peer_address_; }
    std::size_t unsent() const override { return unsent_; }
    void allow_unsent(std::size_t bytes) override { allowed_ = unsent_ + bytes; }
    bool is_peer_gone() const override;
    void extend_login(net::Duration time) override;
    void session_begins() override;
    void move_to(Worker& worker, std::function<void()> arrived) override;

private:
    void on_ready(std::uint32_t events) override;
    void on_end_of_turn() override;

    void read();
    void read_in_the_next_turn();
    void begin_tls();
    void continue_handshake();
    void flush();
    bool flush_plain();
    bool flush_tls();
    void drop_sent(std::size_t bytes);
    void poll_for(std::uint32_t events);
    void on_timer();
    bool wants_input() const;             // and is within its limits
    void charge(std::size_t bytes);                  // limits.bytes_per_second
    void finish(std::string_view why);               // the connection is over

    Worker* worker_;
    std::shared_ptr<Stream> stream_;
    std::optional<net::Tls> tls_;
    std::vector<xmpp::Wire> outbox_;                 // from first_ on
    std::size_t first_ = 0;
    std::size_t unsent_ = 0;
    std::size_t sent_of_first_ = 0;
    std::size_t allowed_ = 0;                        // unsent bytes beyond limits.outbox_bytes
    std::string peer_address_;
    net::Timer timer_;                               // the login deadline, then idleness
    net::Duration last_input_{};
    std::unique_ptr<net::Timer> pause_;              // reading stops until it fires
    std::unique_ptr<net::Timer> decrypted_;          // bytes wait in TLS that no socket will tell of
    std::int64_t budget_ = 0;                        // bytes that may still come now
    net::Duration budget_at_{};
    int socket_;
    std::uint32_t polled_ = 0;
    bool direct_tls_;
    bool handshaking_ = false;
    bool tls_wanted_ = false;                        // start when the outbox is empty
    bool input_wanted_ = true;
    bool closing_ = false;                           // no more output; close when the outbox is empty
    bool over_ = false;
    bool pinged_ = false;
};

}  // namespace server
