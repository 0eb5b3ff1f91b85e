// SPDX-License-Identifier: MIT
// The key's file comes into being as a whole: written under another name, on the disk, then renamed.
#include "server/key_file.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "auth/crypto.h"
#include "server/net/descriptor.h"

namespace server {

namespace {

xmpp::Failure<std::string> failure(const std::string& path) { return xmpp::Failure{path + ": " + std::strerror(errno)}; }

}  // namespace

xmpp::Result<std::string, std::string> key_in_file(const std::string& path) {
    if (const net::Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)}; file.get() >= 0) {
        std::array<char, key_file_size + 1> bytes{};
        const ssize_t count = ::read(file.get(), bytes.data(), bytes.size());
        if (count < 0) return failure(path);
        // Made anew, it would quietly make void what hangs on it.
        if (count != static_cast<ssize_t>(key_file_size)) return xmpp::Failure{path + ": is no key; remove it to have a new one made"};
        return std::string{bytes.data(), key_file_size};
    }
    if (errno != ENOENT) return failure(path);
    std::string key = auth::random_bytes(key_file_size);
    const std::string fresh = path + ".new";
    const net::Descriptor file{::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
    if (file.get() < 0 || ::write(file.get(), key.data(), key.size()) != static_cast<ssize_t>(key.size()) || ::fsync(file.get()) != 0 ||
        std::rename(fresh.c_str(), path.c_str()) != 0)
        return failure(path);
    return key;
}

}  // namespace server
