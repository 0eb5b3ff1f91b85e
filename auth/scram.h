// SPDX-License-Identifier: MIT
// The server's side of SCRAM (RFC 5802, RFC 7677) and its -PLUS forms, for begin_exchange(); the nonce is a
// parameter so that the examples of the RFCs can be played.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/sasl.h"

namespace auth {

struct ScramMechanism {
    storage::Hash hash = storage::Hash::sha1;
    bool plus = false;
};
std::optional<ScramMechanism> parse_scram_mechanism(std::string_view name);

// Where an authorization identity stands for the account itself: its bare JID (RFC 6120 §6.3.8). Used by
// PLAIN too.
bool names_account(std::string_view authzid, std::string_view localpart, std::string_view domain);

// `downgrade_protection`: see begin_exchange().
std::unique_ptr<Exchange> begin_scram(ScramMechanism mechanism, const Channel& channel,
                                      std::string_view domain, std::string server_nonce,
                                      std::string_view downgrade_protection = {});

// The credentials' key that `is_key` accepts. Looks at every key, and at as many stand-ins as an account may
// have devices, so that neither their number nor the position of the right one can be told from the time it
// takes.
const Credentials::Key* find_key(const Credentials& credentials,
                                 bool (*is_key)(const storage::Verifiers&, const void*), const void* context);

}  // namespace auth
