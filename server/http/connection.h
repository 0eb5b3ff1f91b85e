// SPDX-License-Identifier: MIT
// One HTTP connection: reads a request, has it answered, writes the response, and again (RFC 9112). Every step has a
// deadline and a limit. It runs as one coroutine on the HTTP server's loop.
#pragma once

#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/message.h"
#include "server/http/routes.h"
#include "server/net/loop.h"
#include "server/net/tls.h"
#include "storage/task.h"

namespace server::http {

class Connection final : public std::enable_shared_from_this<Connection>, private net::Pollable {
public:
    // Takes over the socket. `tls`: nullptr for plain HTTP.
    Connection(net::Loop& loop, Service& service, const Routes& routes, int socket, std::string peer, const std::shared_ptr<net::TlsContext>& tls);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    const std::string& peer() const { return peer_; }
    storage::Task<void> serve();      // until the connection ends; whoever runs it holds the connection
    void close();                     // at once
    void finish();                    // at once when it waits for a request, else after the response

private:
    // Goes on when the socket is ready for that, or closed.
    struct Ready {
        Ready(Connection& c, std::uint32_t e) : connection{c}, events{e} {}
        Connection& connection;
        std::uint32_t events;
        bool await_ready() const noexcept { return connection.socket_ < 0; }
        void await_suspend(std::coroutine_handle<> coroutine);
        void await_resume() const noexcept {}
    };
    struct Incoming;                  // the parser
    void on_ready(std::uint32_t events) override;
    void have_patience(std::chrono::seconds time);
    storage::Task<bool> shake_hands();
    storage::Task<bool> read_some();                      // into input_; false: nothing more comes
    storage::Task<bool> write(std::string bytes);
    storage::Task<std::optional<Response>> read_request(Incoming& incoming);   // a response: the request is refused
    storage::Task<bool> answer(Incoming& incoming, std::optional<Response> refusal);
    storage::Task<bool> write_pieces(Response& response, bool is_chunked);
    storage::Task<void> say_goodbye();
    bool parse(Incoming& incoming, std::optional<Response>& refusal);

    net::Loop& loop_;
    Service& service_;
    const Routes& routes_;
    int socket_;
    std::string peer_;
    std::unique_ptr<net::Tls> tls_;
    std::string input_;
    std::coroutine_handle<> waiting_;
    net::Timer deadline_;
    bool idle_ = false;               // waits for the first byte of a request
    bool is_last_ = false;            // no further request is taken
};

}  // namespace server::http
