// SPDX-License-Identifier: MIT
// Accepting connections.
#include "server/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "server/connection.h"
#include "server/log.h"
#include "server/net/listening.h"
#include "server/server.h"
#include "server/worker.h"

namespace server {

constexpr int accepts_in_one_turn = 64;
constexpr std::chrono::milliseconds pause_without_descriptors{200};
constexpr unsigned user_timeout_ms = 120'000;  // unacknowledged data: a dead link is noticed without waiting for keep-alives

void Listener::start() {
    // Linux hands these down to each connection that is accepted.
    const int one = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
    worker_.loop.add(socket_.get(), EPOLLIN, *this);
    listening_ = true;
}

void Listener::stop() {
    pause_.cancel();
    if (std::exchange(listening_, false)) worker_.loop.remove(socket_.get());
}

void Listener::on_ready(std::uint32_t) {
    for (int i = 0; i < accepts_in_one_turn; ++i) {
        sockaddr_storage peer{};
        socklen_t length = sizeof peer;
        const int socket = ::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket >= 0) {
            accept_one(socket, net::numeric(peer, length, false));
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log::warn("no room for more connections", {{"listen", purpose_}, {"why", std::strerror(errno)}});
            stop();
            pause_.start(worker_.loop, pause_without_descriptors, [this] { start(); });
        }
        if (errno != EINTR && errno != ECONNABORTED) return;
    }
}

void Listener::accept_one(int socket, const std::string& peer) {
    if (!worker_.server.admit(peer)) {
        log::info("connection refused, too many from there or before login", {{"address", peer}});
        ::close(socket);
        return;
    }
    auto connection = std::make_unique<Connection>(worker_, socket, peer, direct_tls_);
    Connection& here = *connection;
    worker_.adopt(std::move(connection));
    here.start();
}

}  // namespace server
