// SPDX-License-Identifier: MIT
#include "auth/invitations.h"

#include <algorithm>

#include "auth/crypto.h"
#include "auth/rate_limit.h"

namespace auth {

namespace {

using namespace std::chrono_literals;
using Kind = InvitationError::Kind;
using storage::Invitation;
using storage::StorageError;
using storage::Task;
template <class T>
using Answer = xmpp::Result<T, InvitationError>;

constexpr std::size_t token_length = 32;      // 160 bits
constexpr std::size_t longest_token = 128;    // as it comes
constexpr std::size_t id_length = 10;
constexpr std::size_t most_listed = 1000;

// XEP-0401 §5.1: alpha-numeric. No letter that could be taken for a digit or for another.
constexpr std::string_view alphabet = "abcdefghijkmnpqrstuvwxyz23456789";
static_assert(alphabet.size() == 32);

xmpp::Failure<InvitationError> fail(Kind kind) { return xmpp::Failure{InvitationError{kind}}; }

xmpp::Failure<InvitationError> too_many(std::chrono::seconds retry_after) {
    InvitationError error{Kind::too_many};
    error.retry_after = std::max(retry_after, 1s);
    return xmpp::Failure{std::move(error)};
}

std::string stored(std::string_view secret) { return token(digest(storage::Hash::sha256, secret)); }

std::string random_text(std::size_t length) {
    std::string made;
    for (const char byte : random_bytes(length)) made += alphabet[static_cast<unsigned char>(byte) % alphabet.size()];
    return made;
}

// A typo costs no invitation.
std::uint32_t names_a_day(const InvitationRules& rules) {
    constexpr std::uint64_t for_each = 5;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(for_each * rules.per_account_a_day, UINT32_MAX));
}

}  // namespace

struct Invitations::State {
    State(InvitationRules r, storage::Storage& st, Clock c)
        : storage{st}, clock{std::move(c)}, by_account{r.per_account_a_day, 24h}, names{names_a_day(r), 24h}, looks{r.looks_a_minute, 1min} {}

    storage::Storage& storage;
    const Clock clock;
    RateLimit by_account, names, looks;

    Task<Answer<storage::AccountId>> id_of(storage::Jid account);
};

Invitations::Invitations(InvitationRules rules, storage::Storage& storage, Clock clock)
    : state_{std::make_unique<State>(rules, storage, std::move(clock))} {}

Invitations::~Invitations() = default;

// 0: nobody's.
Task<Answer<storage::AccountId>> Invitations::State::id_of(storage::Jid account) {
    if (account.empty()) co_return storage::AccountId{0};
    auto finding = storage.accounts().find(std::move(account));
    const auto found = co_await finding;
    if (!found) co_return fail(Kind::unavailable);
    if (!*found) co_return fail(Kind::no_inviter);
    co_return (*found)->id;
}

Task<Answer<Invitations::Link>> Invitations::invite(Wanted wanted) {
    State& state = *state_;
    const storage::Time now = state.clock();
    const bool is_limited = wanted.is_limited && !wanted.inviter.empty();
    if (!wanted.address.localpart().empty()) {
        if (is_limited)   // told before an invitation is paid for
            if (const auto wait = state.names.take(wanted.inviter.text(), now); wait > 0s) co_return too_many(wait);
        auto finding = state.storage.accounts().find(wanted.address);
        const auto found = co_await finding;
        if (!found) co_return fail(Kind::unavailable);
        if (*found) co_return fail(Kind::taken);
    }
    auto asking = state.id_of(wanted.inviter);
    const auto inviter_id = co_await asking;
    if (!inviter_id) co_return xmpp::Failure{inviter_id.error()};
    if (is_limited)
        if (const auto wait = state.by_account.take(wanted.inviter.text(), now); wait > 0s) co_return too_many(wait);

    std::string token = random_text(token_length);
    Invitation invitation;
    invitation.id = random_text(id_length);   // which no command line takes for an option
    invitation.token = stored(token);
    invitation.inviter_id = *inviter_id;
    invitation.inviter = std::move(wanted.inviter);
    invitation.address = std::move(wanted.address);
    invitation.purpose = wanted.purpose;
    invitation.registers = wanted.registers;
    invitation.subscribes = wanted.subscribes && *inviter_id != 0;
    invitation.uses_left = wanted.uses;
    invitation.created = now;
    invitation.expires = now + wanted.lifetime;
    auto creating = state.storage.invitations().create(invitation);
    const auto created = co_await creating;
    if (!created) {
        if (created.error().kind == StorageError::Kind::conflict) co_return fail(Kind::taken);
        co_return fail(created.error().kind == StorageError::Kind::not_found ? Kind::no_inviter : Kind::unavailable);
    }
    Link link;
    link.invitation = std::move(invitation);
    link.token = std::move(token);
    co_return std::move(link);
}

Task<Answer<Invitation>> Invitations::look(std::string token, std::string who) {
    State& state = *state_;
    const storage::Time now = state.clock();
    if (token.empty() || token.size() > longest_token) co_return fail(Kind::gone);
    if (const auto wait = state.looks.take(network_of(who), now); wait > 0s) co_return too_many(wait);
    auto finding = state.storage.invitations().find(stored(token));
    auto found = co_await finding;
    if (!found) co_return fail(Kind::unavailable);
    if (!*found || (*found)->uses_left == 0 || (*found)->expires <= now) co_return fail(Kind::gone);
    co_return std::move(**found);
}

Task<Answer<void>> Invitations::use(std::string id) {
    auto using_up = state_->storage.invitations().use(std::move(id));
    const auto used = co_await using_up;
    if (!used) co_return fail(Kind::unavailable);
    if (!*used) co_return fail(Kind::gone);
    co_return Answer<void>{};
}

Task<void> Invitations::give_back(std::string id) {
    auto giving = state_->storage.invitations().give_back(std::move(id));
    const auto given = co_await giving;
    static_cast<void>(given);   // when storage is away a use is lost, which can be made anew
}

Task<void> Invitations::release(Invitation invitation) {
    if (invitation.address.localpart().empty()) co_return;
    auto removing = state_->storage.invitations().remove(std::move(invitation.id));   // it was good for one
    const auto removed = co_await removing;
    static_cast<void>(removed);   // when storage is away the name stays kept until the invitation expires
}

Task<Answer<bool>> Invitations::is_kept_from(storage::Jid address, std::string id) {
    auto finding = state_->storage.invitations().find_keeping(std::move(address), state_->clock());
    const auto found = co_await finding;
    if (!found) co_return fail(Kind::unavailable);
    co_return *found && (*found)->id != id;
}

Task<Answer<std::vector<Invitation>>> Invitations::list(storage::Jid inviter) {
    auto asking = state_->id_of(std::move(inviter));
    const auto id = co_await asking;
    if (!id) co_return xmpp::Failure{id.error()};
    auto listing = state_->storage.invitations().list(*id, state_->clock(), most_listed);
    auto listed = co_await listing;
    if (!listed) co_return fail(Kind::unavailable);
    co_return std::move(*listed);
}

Task<Answer<void>> Invitations::revoke(std::string id) {
    auto removing = state_->storage.invitations().remove(std::move(id));
    const auto removed = co_await removing;
    if (!removed) co_return fail(Kind::unavailable);
    if (!*removed) co_return fail(Kind::gone);
    co_return Answer<void>{};
}

}  // namespace auth
