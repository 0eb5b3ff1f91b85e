// SPDX-License-Identifier: MIT
// Listening sockets.
#include "server/listener.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "server/connection.h"
#include "server/log.h"
#include "server/server.h"
#include "server/worker.h"

namespace server {

constexpr int backlog = 4096;
constexpr int accepts_in_one_turn = 64;
constexpr std::chrono::milliseconds pause_without_descriptors{200};
constexpr unsigned user_timeout_ms = 120'000;  // unacknowledged data: a dead link is noticed without waiting for keep-alives

namespace {

std::string numeric(const sockaddr_storage& address, socklen_t length, bool with_port) {
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host, sizeof host, port, sizeof port,
                      NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return "?";
    // An IPv4 client of a dual-stack socket is the same client as without the mapping.
    if (constexpr std::string_view mapped = "::ffff:"; !with_port)
        return std::string_view{host}.starts_with(mapped) && std::strchr(host, '.') ? host + mapped.size() : host;
    return address.ss_family == AF_INET6 ? "[" + std::string{host} + "]:" + port : std::string{host} + ":" + port;
}

// Our workers share an address by SO_REUSEPORT, with which another server on it would go unnoticed: so whether there is one
// is found out without.
bool is_taken(const addrinfo& address) {
    const int socket = ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    const bool taken = socket >= 0 && ::bind(socket, address.ai_addr, address.ai_addrlen) != 0 && errno == EADDRINUSE;
    if (socket >= 0) ::close(socket);
    return taken;
}

}  // namespace

xmpp::Result<std::unique_ptr<Listener>, std::string> Listener::open(Worker& worker, const std::string& address, bool direct_tls) {
    const std::size_t colon = address.rfind(':');
    std::string host = address.substr(0, colon);
    const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
    if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);

    addrinfo wanted{}, *found = nullptr;
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    if (const int problem = ::getaddrinfo(host.empty() || host == "*" ? nullptr : host.c_str(), port.c_str(), &wanted, &found))
        return xmpp::Failure{address + ": " + ::gai_strerror(problem)};
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> freed{found, ::freeaddrinfo};

    if (worker.index == 0 && is_taken(*found)) return xmpp::Failure{address + ": " + std::strerror(EADDRINUSE)};
    const int socket = ::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (socket < 0 || ::bind(socket, found->ai_addr, found->ai_addrlen) != 0 || ::listen(socket, backlog) != 0) {
        const std::string problem = address + ": " + std::strerror(errno);
        if (socket >= 0) ::close(socket);
        return xmpp::Failure{problem};
    }
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &length);
    return std::unique_ptr<Listener>{new Listener{worker, socket, numeric(bound, length, true), direct_tls}};
}

Listener::~Listener() { ::close(socket_); }

void Listener::start() {
    worker_.loop.add(socket_, EPOLLIN, *this);
    listening_ = true;
}

void Listener::stop() {
    pause_.cancel();
    if (std::exchange(listening_, false)) worker_.loop.remove(socket_);
}

void Listener::on_ready(std::uint32_t) {
    for (int i = 0; i < accepts_in_one_turn; ++i) {
        sockaddr_storage peer{};
        socklen_t length = sizeof peer;
        const int socket = ::accept4(socket_, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket >= 0) {
            accept_one(socket, numeric(peer, length, false));
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log::warn("no room for more connections", {{"listen", address_}, {"why", std::strerror(errno)}});
            stop();
            pause_.start(worker_.loop, pause_without_descriptors, [this] { start(); });
        }
        if (errno != EINTR && errno != ECONNABORTED) return;
    }
}

void Listener::accept_one(int socket, const std::string& peer) {
    if (!worker_.server.admit(peer)) {
        log::info("connection refused, too many from this address", {{"address", peer}});
        ::close(socket);
        return;
    }
    const int one = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ::setsockopt(socket, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    ::setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
    auto connection = std::make_unique<Connection>(worker_, socket, peer, direct_tls_);
    Connection& here = *connection;
    worker_.adopt(std::move(connection));
    here.start();
}

}  // namespace server
