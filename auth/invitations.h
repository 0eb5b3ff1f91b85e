// SPDX-License-Identifier: MIT
// Invitations: links with a token that make their holders contacts of who invites, give them an account, or both. One
// state machine with several doors (ad-hoc commands, command line, web page, IQs before login, subscriptions). The token
// is random, told once, and stored as a hash.
// Any thread with an Executor may call; state is in storage, the rate limits are behind locks of their own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/storage.h"

namespace auth {

struct InvitationError {
    enum class Kind {
        gone,          // expired, used up, revoked, or never there
        taken,         // there is an account of that address, or another invitation keeps it
        no_inviter,    // who should invite has no account
        too_many,      // retry_after
        unavailable,
    };
    InvitationError(Kind k) : kind{k} {}
    Kind kind;
    std::chrono::seconds retry_after{0};
};

struct InvitationRules {
    std::uint32_t per_account_a_day = 20; // and five times as many names to ask for, since the answer tells which are taken
    std::uint32_t looks_a_minute = 60;   // of one client: an address (IPv6: a /64), or an account
};

class Invitations {
public:
    struct Wanted {
        storage::Jid inviter;              // bare; empty: an admin, who may make as many as he likes
        storage::Jid address;              // of the account to be made: bare, which only its holder gets; or its domain
        storage::Invitation::Purpose purpose = storage::Invitation::Purpose::contact;
        bool registers = false, subscribes = false;
        bool is_limited = true;            // by per_account_a_day
        std::uint32_t uses = 1;
        std::chrono::seconds lifetime{std::chrono::hours{24 * 7}};
    };
    struct Link { storage::Invitation invitation; std::string token; };
    using Clock = std::function<storage::Time()>;
    // Who has looked in time may still use it (XEP-0445 §4); a registration takes a day at most.
    static constexpr std::chrono::hours kept_after_expiry{25};

    Invitations(InvitationRules rules, storage::Storage& storage, Clock clock);
    ~Invitations();

    storage::Task<xmpp::Result<Link, InvitationError>> invite(Wanted wanted);
    // What a token stands for, while it is good. `who` asks: tokens are not guessed, but looking costs a query.
    storage::Task<xmpp::Result<storage::Invitation, InvitationError>> look(std::string token, std::string who);
    // One use of what look() has found, whether it has expired meanwhile or not (XEP-0445 §4). Two that come at once for
    // the last one do not both get it. Give it back when nothing came of it.
    storage::Task<xmpp::Result<void, InvitationError>> use(std::string id);
    storage::Task<void> give_back(std::string id);
    // A use has become an account: the name that was kept for it is the account's now, and nobody's when that goes.
    storage::Task<void> release(storage::Invitation invitation);
    // Whether an address is kept for the holder of another invitation than `id`.
    storage::Task<xmpp::Result<bool, InvitationError>> is_kept_from(storage::Jid address, std::string id);

    // Those that are good, at most 1000; without an account: everybody's.
    storage::Task<xmpp::Result<std::vector<storage::Invitation>, InvitationError>> list(storage::Jid inviter = {});
    storage::Task<xmpp::Result<void, InvitationError>> revoke(std::string id);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace auth
