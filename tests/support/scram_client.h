// SPDX-License-Identifier: MIT
// The client's side of SCRAM (RFC 5802, RFC 7677) without channel binding, as far as tests need it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "storage/storage.h"

namespace tests {

class ScramClient {
public:
    // An empty nonce: a random one.
    ScramClient(std::string username, std::string password, storage::Hash hash = storage::Hash::sha256, std::string nonce = {});
    std::string first() const;                                            // client-first-message
    std::optional<std::string> final(std::string_view server_first);      // client-final-message
    bool accepts(std::string_view server_final) const;                    // the server knows the password as well

private:
    storage::Hash hash_;
    std::string username_, password_, nonce_, server_signature_;
};

}  // namespace tests
