// SPDX-License-Identifier: MIT
// draft-schmaus-kitten-sasl-ht-09: one message each way, hashed with a token that the server has given out (XEP-0484).
#include <algorithm>
#include <array>

#include "auth/crypto.h"
#include "auth/sasl.h"
#include "xmpp/jid.h"

namespace auth {

namespace {

constexpr storage::Hash hash = storage::Hash::sha256;
constexpr std::size_t longest_message = 4096;

struct Kind {
    std::string_view mechanism;
    std::string Channel::*binding;   // nullptr: none
};
constexpr std::array<Kind, 3> kinds{{
    {"HT-SHA-256-EXPR", &Channel::tls_exporter},
    {"HT-SHA-256-ENDP", &Channel::tls_server_end_point},
    {"HT-SHA-256-NONE", nullptr},
}};

bool is_possible(const Kind& kind, const Channel& channel) {
    return channel.encrypted && (kind.binding == nullptr || !(channel.*kind.binding).empty());
}

class HashedToken final : public Exchange {
public:
    HashedToken(std::string_view mechanism, std::string binding) : mechanism_{mechanism}, binding_{std::move(binding)} {}

    // authcid NUL HMAC(token, "Initiator" binding)
    Step receive(std::string_view data) override {
        if (state_ == State::start && data.empty()) {   // RFC 6120 §6.4.2
            state_ = State::asked;
            return Challenge{};
        }
        const bool expected = state_ == State::start || state_ == State::asked;
        state_ = State::over;
        const std::size_t nul = data.find('\0');
        if (!expected || nul == data.npos || data.size() > longest_message || data.size() - nul - 1 != digest_size(hash))
            return Refused{SaslCondition::malformed_request, "This is no message of that mechanism."};
        const auto username = xmpp::normalise_localpart(data.substr(0, nul));
        if (!username || username->empty()) return refused();
        username_ = *username;
        proof_ = data.substr(nul + 1);
        state_ = State::lookup;
        return Lookup{username_};
    }

    Step credentials(Credentials found) override {
        const bool expected = std::exchange(state_, State::over) == State::lookup;
        if (!expected) return Refused{SaslCondition::temporary_auth_failure, {}};
        const Credentials::Token* right = nullptr;
        for (const Credentials::Token& token : found.tokens) {   // all of them, whichever is right
            const bool proves = equal_in_constant_time(hmac(hash, token.secret, "Initiator" + binding_), proof_);
            if (proves && token.mechanism == mechanism_ && right == nullptr) right = &token;
        }
        if (right == nullptr) return refused();
        if (found.disabled) return Refused{SaslCondition::account_disabled, "This account is disabled."};
        if (right->is_expired) return Refused{SaslCondition::credentials_expired, "The token has expired."};
        Success success{username_, right->device, hmac(hash, right->secret, "Responder" + binding_)};
        success.token = *right;
        return success;
    }

    Step verifiers(const storage::Verifiers&) override { return Refused{SaslCondition::temporary_auth_failure, {}}; }   // none were asked for

private:
    enum class State : std::uint8_t { start, asked, lookup, over };
    static Step refused() { return Refused{SaslCondition::not_authorized, "Wrong user name or token."}; }

    const std::string mechanism_, binding_;
    State state_ = State::start;
    std::string username_, proof_;
};

}  // namespace

std::vector<std::string> token_mechanisms(const Channel& channel) {
    std::vector<std::string> names;
    for (const Kind& kind : kinds)
        if (is_possible(kind, channel)) names.emplace_back(kind.mechanism);
    return names;
}

std::unique_ptr<Exchange> begin_token_exchange(std::string_view mechanism, const Channel& channel) {
    const auto* const kind = std::ranges::find(kinds, mechanism, &Kind::mechanism);
    if (kind == kinds.end() || !is_possible(*kind, channel)) return nullptr;
    return std::make_unique<HashedToken>(mechanism, kind->binding ? channel.*kind->binding : std::string{});
}

}  // namespace auth
