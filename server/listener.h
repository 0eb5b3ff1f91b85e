// SPDX-License-Identifier: MIT
// Accepts connections of one address on one worker. Every worker listens on every address (SO_REUSEPORT); the kernel
// spreads the clients. When the process runs out of file descriptors it pauses instead of spinning.
#pragma once

#include <memory>
#include <string>

#include "server/net/loop.h"
#include "xmpp/result.h"

namespace server {

class Worker;

class Listener final : public net::Pollable {
public:
    // `address`: host:port or [v6]:port; port 0 takes a free one. Opens the socket; start() begins to accept.
    static xmpp::Result<std::unique_ptr<Listener>, std::string> open(Worker& worker, const std::string& address, bool direct_tls);
    ~Listener();

    void start();                          // on the worker's thread
    void stop();                           // on the worker's thread
    Worker& worker() const { return worker_; }
    const std::string& address() const { return address_; }   // as bound

private:
    Listener(Worker& worker, int socket, std::string address, bool direct_tls)
        : worker_{worker}, socket_{socket}, address_{std::move(address)}, direct_tls_{direct_tls} {}
    void on_ready(std::uint32_t events) override;
    void accept_one(int socket, const std::string& peer);

    Worker& worker_;
    int socket_;
    std::string address_;
    bool direct_tls_;
    bool listening_ = false;
    net::Timer pause_;
};

}  // namespace server
