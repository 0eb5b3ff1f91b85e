// SPDX-License-Identifier: MIT
// What both ends of the admin socket need of Unix sockets.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace server::admin {

class Descriptor {   // closes it
public:
    explicit Descriptor(int fd = -1) : fd_{fd} {}
    ~Descriptor() { if (fd_ >= 0) close(fd_); }
    Descriptor(Descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    Descriptor& operator=(Descriptor&& other) noexcept { std::swap(fd_, other.fd_); return *this; }
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

private:
    int fd_;
};

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
