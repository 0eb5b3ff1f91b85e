// SPDX-License-Identifier: MIT
// SASL mechanisms as pure state machines (RFC 6120 §6, RFC 4422): bytes in, a step out. No I/O, no clock, no threads;
// what needs storage or a slow hash is asked of the caller as a step.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "storage/storage.h"

namespace auth {

enum class SaslCondition {  // RFC 6120 §6.5
    aborted, account_disabled, credentials_expired, encryption_required, incorrect_encoding, invalid_authzid,
    invalid_mechanism, malformed_request, mechanism_too_weak, not_authorized, temporary_auth_failure,
};
std::string_view to_string(SaslCondition condition);

// What is known of the channel that the exchange runs on.
struct Channel {
    bool encrypted = false;
    std::string tls_exporter;          // RFC 9266 binding data, or empty
    std::string tls_server_end_point;  // RFC 5929 binding data, or empty
    // RFC 5929 §3 binding data, or empty. COMPAT slixmpp: binds to it whenever -PLUS is offered, under TLS 1.3 too, where
    // no RFC defines it. Accepted, never advertised.
    std::string tls_unique;
    std::string tls_version;           // "0304", or empty
};

// The devices that could be the one that logs in, all under the account's one salt (one SCRAM exchange for all).
struct Credentials {
    std::string salt;
    std::uint32_t iterations = 0;
    struct Key { std::string device; storage::Verifiers verifiers; };
    std::vector<Key> keys;   // none: nobody can succeed, and nobody can tell
    bool disabled = false;   // known only to one who proves the key: account-disabled
    // What stands for a key (XEP-0484); behind is_expired: for whoever gave it out.
    struct Token { std::string device, mechanism, secret; bool is_expired = false; std::string seed{}; bool is_to_be_rotated = false; };
    std::vector<Token> tokens;
    bool are_incomplete = false; // not all of them could be read: nobody is to be told that they are wrong
};

// What the exchange wants next.
struct Challenge { std::string data; };                        // send, come again with the answer
struct Lookup { std::string username; };                       // normalised localpart: call credentials()
struct HashPassword { std::string password, salt; std::uint32_t iterations; };  // call verifiers() with the hashes (PLAIN)
struct Success {
    Success(std::string u, std::string d, std::string more) : username{std::move(u)}, device{std::move(d)}, data{std::move(more)} {}
    std::string username, device, data;                        // data: additional data with success, may be empty
    std::optional<Credentials::Token> token;                   // what proved it, when it was one
    bool is_contradicted = false;                              // PLAIN: another verifier of that key is of another password
};
struct Refused { SaslCondition condition; std::string text; };
using Step = std::variant<Challenge, Lookup, HashPassword, Success, Refused>;

class Exchange {
public:
    virtual ~Exchange() = default;
    // Decoded from base 64. Every mechanism here begins with the client: no initial response, or an empty one, is
    // answered once by an empty Challenge (RFC 6120 §6.4.2).
    virtual Step receive(std::string_view data) = 0;
    virtual Step credentials(Credentials found) = 0;           // the answer to Lookup
    virtual Step verifiers(const storage::Verifiers& derived) = 0;  // the answer to HashPassword
};

// Mechanism names to offer on that channel, strongest first: SCRAM-SHA-512-PLUS … SCRAM-SHA-1, PLAIN. -PLUS only with
// binding data; PLAIN only when encrypted, or when `allow_plain_unencrypted`.
std::vector<std::string> offered_mechanisms(const Channel& channel, bool allow_plain_unencrypted);
// XEP-0440: the channel-binding types to advertise.
std::vector<std::string> binding_types(const Channel& channel);

// XEP-0474 §6.1: the string over which the server's first SCRAM message carries a hash, from what was really advertised.
std::string downgrade_protection(std::vector<std::string> mechanisms, std::vector<std::string> bindings);

// nullptr: no such mechanism on that channel (invalid-mechanism). `domain`: for checking an authzid, which may only
// name the account itself. A client whose gs2 flag is 'y' where -PLUS was offered is refused (RFC 5802 §6).
// `downgrade_protection`: the string of that name, or empty to leave XEP-0474 and XEP-0515 out.
std::unique_ptr<Exchange> begin_exchange(std::string_view mechanism, const Channel& channel, std::string_view domain,
                                         bool allow_plain_unencrypted, std::string_view downgrade_protection = {});

// XEP-0484: mechanisms for tokens, the best bound first, and an exchange of one of them (hashed_token.cpp).
std::vector<std::string> token_mechanisms(const Channel& channel);
std::unique_ptr<Exchange> begin_token_exchange(std::string_view mechanism, const Channel& channel);   // nullptr: not on that channel

// RFC 5802 §3: of a SaltedPassword.
storage::Verifier verifier_of(storage::Hash hash, std::string_view salted_password);
// RFC 5802 §3. Slow by intent (milliseconds): on the hash pool only.
storage::Verifiers derive_verifiers(std::string_view password, std::string_view salt, std::uint32_t iterations);
// Stands in for a user who does not exist: the same salt for the same name each time, drawn from the server's secret.
Credentials fake_credentials(std::string_view server_secret, std::string_view username, std::uint32_t iterations);

}  // namespace auth
