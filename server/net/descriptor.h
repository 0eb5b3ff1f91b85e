// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

namespace server::net {

// A file descriptor that is closed with its owner.
class Descriptor {
public:
    explicit Descriptor(int fd = -1) : fd_{fd} {}
    ~Descriptor() { if (fd_ >= 0) ::close(fd_); }
    Descriptor(Descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
    Descriptor& operator=(Descriptor&& other) noexcept { std::swap(fd_, other.fd_); return *this; }
    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }

private:
    int fd_;
};

// To a file, however often it takes. False: errno says why.
inline bool write_all(int file, std::string_view left) {
    while (!left.empty()) {
        const ssize_t count = ::write(file, left.data(), left.size());
        if (count > 0) left.remove_prefix(static_cast<std::size_t>(count));
        else if (count == 0 || errno != EINTR) return false;
    }
    return true;
}

}  // namespace server::net
