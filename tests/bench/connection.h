// SPDX-License-Identifier: MIT
// A socket that does not block, with or without TLS, and what could not be sent yet.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "tests/bench/options.h"

namespace bench {

class Connection {
public:
    enum class Status { fine, again, closed };

    Connection() = default;
    ~Connection() { close(); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    bool open(const std::string& host, std::uint16_t port);  // begins to; EPOLLOUT tells when it is done
    void close();
    int descriptor() const { return descriptor_; }
    bool is_open() const { return descriptor_ >= 0; }

    void start_tls(const std::string& domain);
    bool is_in_handshake() const { return in_handshake_; }
    Status continue_handshake();

    Status read(char* buffer, std::size_t size, std::size_t& got);
    Status write(std::string_view bytes);  // keeps what the kernel does not take
    Status flush();
    bool has_unsent() const { return !unsent_.empty(); }

private:
    Status write_some(std::string_view bytes, std::size_t& taken);

    int descriptor_ = -1;
    bool in_handshake_ = false;
    std::unique_ptr<SSL, decltype(&SSL_free)> tls_{nullptr, SSL_free};
    std::string unsent_;
};

}  // namespace bench
