// SPDX-License-Identifier: MIT
// Accepts connections of one address on one worker. Every worker listens on every address (SO_REUSEPORT); the kernel
// spreads the clients. When the process runs out of file descriptors it pauses instead of spinning.
#pragma once

#include <string>

#include "server/net/descriptor.h"
#include "server/net/loop.h"

namespace server {

class Worker;

class Listener final : public net::Pollable {
public:
    // `purpose`: what it was opened for, in the words of the configuration ("c2s 127.0.0.1:5222"). start() begins to accept.
    Listener(Worker& worker, net::Descriptor socket, std::string purpose, bool direct_tls)
        : worker_{worker}, socket_{std::move(socket)}, purpose_{std::move(purpose)}, direct_tls_{direct_tls} {
        may_wait_ = true;
    }

    void start();                          // on the worker's thread
    void stop();                           // on the worker's thread
    Worker& worker() const { return worker_; }
    const net::Descriptor& socket() const { return socket_; }
    const std::string& purpose() const { return purpose_; }

private:
    void on_ready(std::uint32_t events) override;
    void accept_one(int socket, const std::string& peer);

    Worker& worker_;
    net::Descriptor socket_;
    std::string purpose_;
    bool direct_tls_;
    bool listening_ = false;
    net::Timer pause_;
};

}  // namespace server
