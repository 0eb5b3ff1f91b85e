// SPDX-License-Identifier: MIT
// Listening sockets. They outlive the process when another takes its place (exec, server/upgrade.h): who connects in
// between waits in the kernel, and is accepted by the next one.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/net/descriptor.h"
#include "xmpp/result.h"

struct sockaddr_storage;

namespace server::net {

// "192.0.2.1:5222", "[2001:db8::1]:5222", or without the port. An IPv4 address mapped into IPv6 is shown as IPv4, for it
// is the same client either way.
std::string numeric(const sockaddr_storage& address, unsigned length, bool with_port);

// `address`: host:port or [v6]:port, host empty or "*" for all; port 0 takes a free one. Non-blocking, closed by exec.
xmpp::Result<Descriptor, std::string> listen_on(const std::string& address);
// So many on one address, over which the kernel spreads the clients (SO_REUSEPORT). Those in `there` are some of them.
xmpp::Result<std::vector<Descriptor>, std::string> listen_together(const std::string& address, std::size_t count, std::vector<Descriptor> there);
std::string bound_address(const Descriptor& socket);

// What one process hands to the next: sockets, each with the words of the configuration that it was opened for.
class Handover {
public:
    // What the process before this one left; empty for one that was started afresh. Once.
    static Handover received();

    void add(const std::string& purpose, const Descriptor& socket);    // a copy: the socket's owner goes on with it
    // All that listen for this, for example "c2s 127.0.0.1:0". What nobody takes is closed with this.
    std::vector<Descriptor> take(const std::string& purpose);

    // Everything else that is open will be closed by exec; these stay, and received() of the next process finds them.
    void leave();

private:
    std::multimap<std::string, Descriptor> sockets_;
};

}  // namespace server::net
