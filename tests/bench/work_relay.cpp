// SPDX-License-Identifier: MIT
// A server that only hands on bytes: connections that begin with the same eight digits are joined. What it
// costs is what the kernel takes for a message; no XMPP server on one thread with plain epoll can cost less.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/bench/works.h"

namespace bench {

namespace {

struct Peer {
    int descriptor;
    Peer* partner = nullptr;
    std::string greeting;
    std::string early;  // what came before the partner
    std::string unsent;
};

class Relay {
public:
    explicit Relay(const Options& options)
        : listener_{::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)},
          epoll_{::epoll_create1(EPOLL_CLOEXEC)} {
        const int on = 1;
        ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(options.port);
        ::inet_pton(AF_INET, options.host.c_str(), &address.sin_addr);
        if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
            ::listen(listener_, 4096) != 0)
            throw std::runtime_error{"cannot listen"};
        watch(EPOLL_CTL_ADD, listener_, nullptr, EPOLLIN);
    }

    [[noreturn]] void run() {
        for (epoll_event events[512];;) {
            const int count = ::epoll_wait(epoll_, events, 512, -1);
            for (int i = 0; i < count; ++i) {
                auto* const peer = static_cast<Peer*>(events[i].data.ptr);
                if (!peer)
                    accept();
                else if (events[i].events & EPOLLOUT)
                    flush(*peer);
                else
                    read(*peer);
            }
            closed_.clear();
        }
    }

private:
    void watch(int operation, int descriptor, Peer* peer, std::uint32_t wanted) const {
        epoll_event event{};
        event.events = wanted;
        event.data.ptr = peer;
        ::epoll_ctl(epoll_, operation, descriptor, &event);
    }

    void accept() {
        for (int descriptor;
             (descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
            const int on = 1;
            ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            auto peer = std::make_unique<Peer>();
            peer->descriptor = descriptor;
            watch(EPOLL_CTL_ADD, descriptor, peer.get(), EPOLLIN);
            peers_.emplace(descriptor, std::move(peer));
        }
    }

    void read(Peer& peer) {
        const ssize_t got = ::recv(peer.descriptor, buffer_, sizeof buffer_, 0);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) return close(peer);
        std::string_view bytes{buffer_, static_cast<std::size_t>(got)};
        if (peer.greeting.size() < 8) {
            const std::string_view rest = bytes.substr(0, 8 - peer.greeting.size());
            peer.greeting.append(rest);
            bytes.remove_prefix(rest.size());
            if (peer.greeting.size() == 8) join(peer);
        }
        if (peer.partner && !bytes.empty()) write(*peer.partner, bytes);
        if (!peer.partner) peer.early.append(bytes);
    }

    void join(Peer& peer) {
        Peer*& waiting = waiting_[peer.greeting];
        if (!waiting) {
            waiting = &peer;
            return;
        }
        peer.partner = waiting;
        waiting->partner = &peer;
        if (!waiting->early.empty()) write(peer, waiting->early);
        waiting_.erase(peer.greeting);
    }

    void write(Peer& peer, std::string_view bytes) {
        if (peer.unsent.empty()) {
            const ssize_t sent = ::send(peer.descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
            if (bytes.empty()) return;
            watch(EPOLL_CTL_MOD, peer.descriptor, &peer, EPOLLIN | EPOLLOUT);
        }
        peer.unsent.append(bytes);
    }

    void flush(Peer& peer) {
        const ssize_t sent = ::send(peer.descriptor, peer.unsent.data(), peer.unsent.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) return close(peer);
        if (sent > 0) peer.unsent.erase(0, static_cast<std::size_t>(sent));
        if (peer.unsent.empty()) watch(EPOLL_CTL_MOD, peer.descriptor, &peer, EPOLLIN);
    }

    void close(Peer& peer) {
        if (peer.partner) peer.partner->partner = nullptr;
        if (const auto found = waiting_.find(peer.greeting);
            found != waiting_.end() && found->second == &peer)
            waiting_.erase(found);
        ::close(peer.descriptor);
        // Events of this turn may still name it.
        const auto found = peers_.find(peer.descriptor);
        closed_.push_back(std::move(found->second));
        peers_.erase(found);
    }

    int listener_, epoll_;
    std::map<int, std::unique_ptr<Peer>> peers_;
    std::vector<std::unique_ptr<Peer>> closed_;
    std::map<std::string, Peer*> waiting_;
    char buffer_[64 * 1024];
};

}  // namespace

void run_relay(const Options& options) { std::make_unique<Relay>(options)->run(); }

}  // namespace bench
