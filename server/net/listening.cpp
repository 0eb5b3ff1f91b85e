// SPDX-License-Identifier: MIT
// Opening listening sockets, and handing them to the next process.
#include "server/net/listening.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fcntl.h>
#include <linux/close_range.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

namespace server::net {

constexpr int backlog = 4096;
constexpr const char* variable = "TERN_LISTENING";   // "7 c2s 127.0.0.1:5222", one a line

std::string numeric(const sockaddr_storage& address, unsigned length, bool with_port) {
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> port{};
    if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host.data(), host.size(), port.data(), port.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0) return "?";
    const std::string text = host.data();
    if (with_port) return address.ss_family == AF_INET6 ? "[" + text + "]:" + port.data() : text + ":" + port.data();
    const bool is_mapped = address.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
    return is_mapped ? text.substr(text.rfind(':') + 1) : text;
}

// ---- opening -----------------------------------------------------------------------------------------------------------

namespace {

Descriptor make_socket(const addrinfo& address, bool shared) {
    Descriptor socket{::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    const int one = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (shared) ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    return socket;
}

xmpp::Result<Descriptor, std::string> open_socket(const std::string& address, bool shared) {
    const std::size_t colon = address.rfind(':');
    std::string host = address.substr(0, colon);
    const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
    if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);

    addrinfo wanted{}, *found = nullptr;
    wanted.ai_socktype = SOCK_STREAM;
    wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    if (const int problem = ::getaddrinfo(host.empty() || host == "*" ? nullptr : host.c_str(), port.c_str(), &wanted, &found))
        return xmpp::Failure{"cannot listen on " + address + ": " + ::gai_strerror(problem)};
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> freed{found, ::freeaddrinfo};

    Descriptor socket = make_socket(*found, shared);
    if (socket && ::bind(socket.get(), found->ai_addr, found->ai_addrlen) == 0 && ::listen(socket.get(), backlog) == 0) return socket;
    return xmpp::Failure{"cannot listen on " + address + ": " + std::strerror(errno)};
}

}  // namespace

xmpp::Result<Descriptor, std::string> listen_on(const std::string& address) { return open_socket(address, false); }

xmpp::Result<std::vector<Descriptor>, std::string> listen_together(const std::string& address, std::size_t count, std::vector<Descriptor> there) {
    std::string found = address;
    if (!there.empty()) {
        found = bound_address(there.front());
    } else {
        // With SO_REUSEPORT another server on this address would go unnoticed: so whether there is one is found out without.
        const auto alone = open_socket(address, false);
        if (!alone) return xmpp::Failure{alone.error()};
        found = bound_address(*alone);
    }
    while (there.size() < count) {
        auto socket = open_socket(found, true);
        if (!socket) return xmpp::Failure{socket.error()};
        there.push_back(std::move(*socket));
    }
    return there;
}

std::string bound_address(const Descriptor& socket) {
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &length);
    return numeric(bound, length, true);
}

// ---- from one process to the next ----------------------------------------------------------------------------------------

namespace {

bool is_listening(int descriptor) {
    int listening = 0;
    socklen_t length = sizeof listening;
    return ::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening == 1;
}

}  // namespace

Handover Handover::received() {
    Handover handover;
    const char* const value = std::getenv(variable);
    std::string_view left = value ? value : "";
    while (!left.empty()) {
        const std::string_view line = left.substr(0, left.find('\n'));
        left.remove_prefix(std::min(line.size() + 1, left.size()));
        int descriptor = -1;
        const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), descriptor);
        if (error != std::errc{} || end == line.data() + line.size() || !is_listening(descriptor)) continue;
        ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
        handover.sockets_.emplace(std::string{end + 1, line.data() + line.size()}, Descriptor{descriptor});
    }
    ::unsetenv(variable);
    return handover;
}

void Handover::add(const std::string& purpose, const Descriptor& socket) {
    sockets_.emplace(purpose, Descriptor{::fcntl(socket.get(), F_DUPFD_CLOEXEC, 3)});
}

std::vector<Descriptor> Handover::take(const std::string& purpose) {
    std::vector<Descriptor> taken;
    const auto [first, last] = sockets_.equal_range(purpose);
    for (auto each = first; each != last; ++each) taken.push_back(std::move(each->second));
    sockets_.erase(first, last);
    return taken;
}

void Handover::leave() {
    ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    std::string lines;
    for (const auto& [purpose, socket] : sockets_) {
        ::fcntl(socket.get(), F_SETFD, 0);
        lines += (lines.empty() ? "" : "\n") + std::to_string(socket.get()) + " " + purpose;
    }
    ::setenv(variable, lines.c_str(), 1);
}

}  // namespace server::net
