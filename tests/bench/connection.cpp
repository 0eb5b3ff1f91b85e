// SPDX-License-Identifier: MIT
#include "tests/bench/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace bench {

namespace {

SSL_CTX* tls_context() {
    static SSL_CTX* const context = [] {
        SSL_CTX* made = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(made, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        return made;
    }();
    return context;
}

Connection::Status status_of(SSL* tls, int result) {
    const int error = SSL_get_error(tls, result);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? Connection::Status::again
                                                                         : Connection::Status::closed;
}

}  // namespace

bool Connection::open(const std::string& host, std::uint16_t port) {
    close();
    descriptor_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor_ < 0) return false;
    const int on = 1;
    ::setsockopt(descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
    if (::connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ||
        errno == EINPROGRESS)
        return true;
    close();
    return false;
}

void Connection::close() {
    tls_.reset();
    unsent_.clear();
    in_handshake_ = false;
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
}

void Connection::start_tls(const std::string& domain) {
    static const unsigned char protocol[] = "\x0bxmpp-client";
    tls_.reset(SSL_new(tls_context()));
    SSL_set_fd(tls_.get(), descriptor_);
    SSL_set_tlsext_host_name(tls_.get(), domain.c_str());
    SSL_set_alpn_protos(tls_.get(), protocol, sizeof protocol - 1);
    SSL_set_connect_state(tls_.get());
    in_handshake_ = true;
}

Connection::Status Connection::continue_handshake() {
    const int result = SSL_do_handshake(tls_.get());
    if (result != 1) return status_of(tls_.get(), result);
    in_handshake_ = false;
    return Status::fine;
}

Connection::Status Connection::read(char* buffer, std::size_t size, std::size_t& got) {
    got = 0;
    if (tls_) {
        const int result = SSL_read_ex(tls_.get(), buffer, size, &got);
        return result == 1 ? Status::fine : status_of(tls_.get(), result);
    }
    const ssize_t result = ::recv(descriptor_, buffer, size, 0);
    if (result > 0) {
        got = static_cast<std::size_t>(result);
        // A short read means that there is no more: it saves the call that would say so.
        return got < size ? Status::again : Status::fine;
    }
    return result < 0 && errno == EAGAIN ? Status::again : Status::closed;
}

Connection::Status Connection::write_some(std::string_view bytes, std::size_t& taken) {
    taken = 0;
    if (tls_) {
        const int result = SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &taken);
        return result == 1 ? Status::fine : status_of(tls_.get(), result);
    }
    const ssize_t result = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (result >= 0) taken = static_cast<std::size_t>(result);
    return result >= 0 ? Status::fine : errno == EAGAIN ? Status::again : Status::closed;
}

Connection::Status Connection::write(std::string_view bytes) {
    if (!unsent_.empty()) {
        unsent_.append(bytes);
        return Status::again;
    }
    while (!bytes.empty()) {
        std::size_t taken = 0;
        const Status status = write_some(bytes, taken);
        if (status == Status::closed) return status;
        bytes.remove_prefix(taken);
        if (status == Status::again) {
            unsent_.assign(bytes);
            return status;
        }
    }
    return Status::fine;
}

Connection::Status Connection::flush() {
    const std::string bytes = std::move(unsent_);
    unsent_.clear();
    return write(bytes);
}

}  // namespace bench
