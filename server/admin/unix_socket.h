// SPDX-License-Identifier: MIT
// What both ends of the admin socket need of Unix sockets.
#pragma once

#include <optional>
#include <string>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server/net/descriptor.h"

namespace server::admin {

using net::Descriptor;

// nullopt: the path is longer than the kernel takes (107 bytes).
inline std::optional<sockaddr_un> unix_address(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) return std::nullopt;
    path.copy(address.sun_path, path.size());
    return address;
}

inline int connect_to(int fd, const sockaddr_un& address) { return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address); }

}  // namespace server::admin
