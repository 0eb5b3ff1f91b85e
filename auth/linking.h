// SPDX-License-Identifier: MIT
// Linking a companion to an account, as one state machine with several doors (HTTP, IQs before and after login, ad-hoc
// commands): the companion asks for a code and shows it; a device of the account that may approve does so; then the
// companion collects its key, once. Only who asked can collect: by an id that nobody else has seen.
// Any thread with an Executor may call; what waits to be approved is in storage.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "storage/storage.h"

namespace auth {

class HashPool;

struct LinkError {
    enum class Kind {
        gone,          // HTTP 410: expired, used up, or never there
        waiting,       // 409: nobody has approved it yet
        not_allowed,   // 403: this device may approve nobody: it is a companion itself
        too_many,      // 429, retry_after
        full,          // 409: the account has `most` devices already
        malformed,     // 400: a text is too long, or holds what it may not
        unavailable,   // 503
    };
    LinkError(Kind k) : kind{k} {}
    Kind kind;
    std::chrono::seconds retry_after{0};
    std::size_t most = 0;
};

struct LinkRules {
    std::function<std::size_t()> devices = [] { return std::size_t{5}; };   // of an account, the primary included; any thread
    std::chrono::seconds lifetime{300};            // of a code, and then of its approval
    std::uint32_t per_address_an_hour = 20;        // codes; IPv6: per /64
    std::uint32_t per_minute = 300;                // all together
    std::uint32_t wrong_codes_an_hour = 10;        // of one account
};

class Linking {
public:
    // What the companion says of itself; all may be empty. A key and a signature are opaque texts, such as base 64.
    struct Companion { std::string device_name, software, identity_key, omemo_id; };
    struct Code { std::string id, code; std::chrono::seconds expires_in; };   // code: "ABCD-EFGH"
    struct Issued { storage::Jid jid; std::string device_id, key; };
    using Clock = std::function<storage::Time()>;
    // `added`: on the caller's thread, after an account got a device.
    using Added = std::function<void(const storage::Jid& account, const storage::Device& device)>;

    Linking(LinkRules rules, storage::Storage& storage, HashPool& hashes, std::string secret, Clock clock, Added added);
    ~Linking();

    storage::Task<xmpp::Result<Code, LinkError>> ask(Companion companion, std::string client_address);
    // The code that belongs to an id, for showing it again; it need not exist.
    std::string code_of(std::string_view id) const;

    // What a code stands for, so that a human can compare. Typed codes may have blanks, dashes and small letters. Wrong
    // ones are counted per account.
    storage::Task<xmpp::Result<Companion, LinkError>> look(storage::Jid approver, std::string code);
    // `device`: the one that approves. `signature`: of it over the companion's identity key; may be empty.
    storage::Task<xmpp::Result<Companion, LinkError>> approve(storage::Jid approver, std::string device, std::string code, std::string signature);

    // Whether it is approved; or waits until it is, or stop_waiting() is called. Apart from collect(), so that a key is
    // given to nobody who has gone while he waited.
    enum class Patience : std::uint8_t { none, until_stopped };
    storage::Task<xmpp::Result<bool, LinkError>> approved(std::string id, Patience patience);
    storage::Task<xmpp::Result<Issued, LinkError>> collect(std::string id);   // the key, once
    void stop_waiting(std::string_view id);        // any thread; who waits is answered false
    void stop_waiting();                           // everybody, and whoever would wait from now on
    std::size_t waiting() const;                   // how many do; any thread

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace auth
