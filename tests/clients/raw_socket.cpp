// SPDX-License-Identifier: MIT
#include "tests/clients/raw_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

namespace tests {

namespace {

SSL_CTX* context() {   // the certificate is the server's own: not checked
    static SSL_CTX* const only = SSL_CTX_new(TLS_client_method());
    return only;
}

}  // namespace

RawSocket::RawSocket(const std::string& host, std::uint16_t port) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error{"the server does not accept the connection"};
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

RawSocket::~RawSocket() {
    if (ssl_ != nullptr) SSL_free(ssl_);
    ::close(socket_);
}

void RawSocket::start_tls(const std::string& server_name, std::string_view alpn) {
    ssl_ = SSL_new(context());
    SSL_set_fd(ssl_, socket_);
    SSL_set_tlsext_host_name(ssl_, server_name.c_str());
    if (!alpn.empty()) {
        std::string list(1, static_cast<char>(alpn.size()));
        list += alpn;
        SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(list.data()), static_cast<unsigned>(list.size()));
    }
    SSL_clear_mode(ssl_, SSL_MODE_AUTO_RETRY);   // a session ticket is nothing to wait behind
    if (SSL_connect(ssl_) != 1) throw std::runtime_error{"the TLS handshake failed"};
}

bool RawSocket::send(std::string_view bytes) {
    while (!bytes.empty() && !over_) {
        const auto sent = ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                          : static_cast<int>(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
        if (sent <= 0) over_ = true;
        else bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return !over_;
}

std::string RawSocket::receive(std::chrono::milliseconds wait) {
    if (over_) return {};
    pollfd waiting{socket_, POLLIN, 0};
    const bool has_pending = ssl_ != nullptr && SSL_pending(ssl_) > 0;
    if (!has_pending && ::poll(&waiting, 1, static_cast<int>(wait.count())) <= 0) return {};
    std::string bytes(65536, '\0');
    const auto count = ssl_ != nullptr ? SSL_read(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                       : static_cast<int>(::recv(socket_, bytes.data(), bytes.size(), 0));
    if (count <= 0) {
        over_ = ssl_ == nullptr || SSL_get_error(ssl_, static_cast<int>(count)) != SSL_ERROR_WANT_READ;
        return {};
    }
    bytes.resize(static_cast<std::size_t>(count));
    return bytes;
}

std::string RawSocket::tls_version() const { return ssl_ == nullptr ? "" : SSL_get_version(ssl_); }

}  // namespace tests
