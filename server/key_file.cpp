// SPDX-License-Identifier: MIT
// The key's file comes into being as a whole: written under a name of its own, on the disk, then given the name that it is
// known by, unless somebody else was faster.
#include "server/key_file.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "auth/crypto.h"
#include "server/net/descriptor.h"

namespace server {

namespace {

xmpp::Failure<std::string> failure(const std::string& path) { return xmpp::Failure{path + ": " + std::strerror(errno)}; }

std::string folder_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

bool write_durably(const std::string& path, const std::string& key) {
    std::string fresh = path + ".XXXXXX";
    const net::Descriptor file{::mkostemp(fresh.data(), O_CLOEXEC)};   // O_EXCL, and its owner's alone
    if (!file) return false;
    const bool is_there = net::write_all(file.get(), key) && ::fsync(file.get()) == 0 &&
                          ::link(fresh.c_str(), path.c_str()) == 0;
    const int why = errno;
    ::unlink(fresh.c_str());
    errno = why;
    if (!is_there) return false;
    const net::Descriptor folder{::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    return folder && ::fsync(folder.get()) == 0;
}

}  // namespace

xmpp::Result<std::string, std::string> key_in_file(const std::string& path) {
    for (const bool is_last : {false, true}) {
        if (const net::Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)}; file) {
            std::array<char, key_file_size + 1> bytes{};
            const ssize_t count = ::read(file.get(), bytes.data(), bytes.size());
            if (count < 0) return failure(path);
            // Made anew, it would quietly make void what hangs on it.
            if (count != static_cast<ssize_t>(key_file_size)) return xmpp::Failure{path + ": is no key; remove it to have a new one made"};
            return std::string{bytes.data(), key_file_size};
        }
        if (errno != ENOENT || is_last) break;
        std::string key = auth::random_bytes(key_file_size);
        if (write_durably(path, key)) return key;
        if (errno != EEXIST) break;
    }
    return failure(path);
}

}  // namespace server
