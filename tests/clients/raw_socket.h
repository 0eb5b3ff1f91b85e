// SPDX-License-Identifier: MIT
// A bare TCP connection to the server, in the clear or under TLS, that sends what it is told: the [Raw] role over TCP.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

struct ssl_st;

namespace tests {

class RawSocket {
public:
    RawSocket(const std::string& host, std::uint16_t port);   // throws std::runtime_error
    ~RawSocket();
    RawSocket(const RawSocket&) = delete;
    RawSocket& operator=(const RawSocket&) = delete;

    void start_tls(const std::string& server_name, std::string_view alpn);
    bool send(std::string_view bytes);           // false: the connection is gone
    // What there is, waiting so long for something. Empty: nothing came, or is_over().
    std::string receive(std::chrono::milliseconds wait);
    bool is_over() const { return over_; }
    int descriptor() const { return socket_; }
    std::string tls_version() const;

private:
    int socket_ = -1;
    ssl_st* ssl_ = nullptr;
    bool over_ = false;
};

}  // namespace tests
