// SPDX-License-Identifier: MIT
// Registration by SMS PIN as one state machine with several doors (HTTP, XEP-0077): a phone number asks for a PIN, the
// PIN buys a device key, shown once. Registering a number again makes a new primary device and invalidates every old key.
// Any thread with an Executor may call; state is in storage, the rate limits are behind a lock of their own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/storage.h"

namespace auth {

class HashPool;
class SmsGateway;

struct RegistrationError {
    enum class Kind {
        not_a_number,      // HTTP 400
        wrong_pin,         // 403, tries_left
        gone,              // 410: expired, used up, or never there
        other_login,       // 400: the client would log in with another name or key than it is given; the PIN is still good
        too_many,          // 429, retry_after
        disabled,          // 403: registration is off, or not open to this number's prefix
        not_invited,       // 403: the number has no account yet, and needs an invitation for one; the PIN is still good
        unavailable,       // 503: storage or the SMS gateway cannot take it now
    };
    RegistrationError(Kind k) : kind{k} {}
    Kind kind;
    std::uint32_t tries_left = 0;
    std::chrono::seconds retry_after{0};
};

struct RegistrationRules {
    bool enabled = true;
    std::function<bool()> invited_only = [] { return false; };   // any thread
    std::string domain;                              // of the accounts that are made
    std::uint32_t pin_digits = 5;
    std::uint32_t tries = 5;
    std::chrono::seconds lifetime{600};              // of a PIN
    std::chrono::seconds resend_after{60};
    std::uint32_t per_number_a_day = 5;              // not half of them from one address
    std::uint32_t per_address_an_hour = 10;          // IPv6: per /64; from the network around it five times as many
    std::uint32_t per_minute = 300;                  // all together
    std::uint32_t per_day = 20'000;                  // likewise
    std::function<void(std::uint32_t left)> few_left = [](std::uint32_t) {};   // a fifth of these, told once; any thread
    // Against SMS pumping: numbers that differ in their last three digits only; 0: not limited.
    std::uint32_t per_range_an_hour = 0;
    std::vector<std::string> prefixes;               // E.164 prefixes that may register ("+49"), empty: all
    std::uint32_t confirms_per_address_a_minute = 30;
    std::string sms_text = "Your code is {pin}.";
    std::uint32_t iterations = 4096;                 // a device key has 160 random bits: no more are needed
};

class Registration {
public:
    struct Started { std::string id; std::chrono::seconds expires_in, resend_after; std::string phone; };   // E.164
    // What a form may carry before a number is named: an id that start() takes, and the key that confirm() will issue for
    // it. Who has the id has the key; what is stored tells neither.
    struct Offer { std::string id, key; };
    struct Login {
        Login() {}
        Login(std::string u, std::string k) : username{std::move(u)}, key{std::move(k)} {}
        std::string username, key;
        bool is_invited = false;
    };
    struct Issued {
        storage::Jid jid;
        std::string device_id, key;
        bool is_new = false;   // the account: it was not there before
    };

    using Clock = std::function<storage::Time()>;
    // `keys_changed` is called, on the caller's thread, after old keys of an account became invalid; its sessions must end.
    Registration(RegistrationRules rules, storage::Storage& storage, HashPool& hashes, SmsGateway& sms, Clock clock,
                 std::function<void(const storage::Jid&)> keys_changed);
    ~Registration();

    // Any number of offers may be made: they cost and hold nothing. They are good until the process ends.
    Offer offer() const;
    std::string key_offered(std::string_view id) const;   // with this id; empty when it is none of an offer
    // `offered`: the id of an offer, good for one start(); empty: a new one is made.
    storage::Task<xmpp::Result<Started, RegistrationError>> start(std::string phone, std::string client_address, std::string offered = {});
    // `expected`: what the client takes for its name and its key already; what is empty it will read in the answer.
    storage::Task<xmpp::Result<Issued, RegistrationError>> confirm(std::string id, std::string pin, std::string device_name, std::string client_address, Login expected = {});

    // Since the start (any thread): PINs asked for and given out, and keys issued for them.
    struct Totals { std::uint64_t pins, wrong_pins, keys; };
    Totals totals() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace auth
