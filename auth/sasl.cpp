// SPDX-License-Identifier: MIT
// RFC 6120 §6 and RFC 4422: what is offered, and which exchange a mechanism's name begins; RFC 4616: PLAIN,
// in whole; how passwords become verifiers. SCRAM is in scram.cpp.
#include "auth/sasl.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "auth/crypto.h"
#include "auth/scram.h"
#include "xmpp/jid.h"

namespace auth {

namespace {

constexpr std::array<std::string_view, 3> scram_names{"SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"};
constexpr std::size_t longest_plain = 8192;
constexpr std::size_t salt_bytes = 16;
constexpr std::string_view wrong = "Wrong user name or password.";

// As SCRAM would have it: a verifier of any hash is enough, for a client may have brought a wrong one of another (XEP-0480).
bool has_password(const storage::Verifiers& verifiers, const void* context) {
    const auto& derived = *static_cast<const storage::Verifiers*>(context);
    bool is_right = false;
    for (std::size_t hash = 0; hash < storage::hash_count; ++hash) {
        if (verifiers[hash].stored_key.empty()) continue;   // imported without it
        is_right |= equal_in_constant_time(derived[hash].stored_key, verifiers[hash].stored_key);
    }
    return is_right;
}

bool are_of_one_password(const storage::Verifiers& verifiers, const storage::Verifiers& derived) {
    for (std::size_t hash = 0; hash < storage::hash_count; ++hash)
        if (!verifiers[hash].stored_key.empty() && !equal_in_constant_time(derived[hash].stored_key, verifiers[hash].stored_key)) return false;
    return true;
}

// RFC 4616: [authzid] NUL authcid NUL passwd.
class Plain final : public Exchange {
public:
    explicit Plain(std::string_view domain) : domain_{domain} {}
    ~Plain() override { wipe(password_); }

    Step receive(std::string_view data) override {
        if (state_ == State::start && data.empty()) {  // RFC 6120 §6.4.2
            state_ = State::asked;
            return Challenge{};
        }
        const bool expected = state_ == State::start || state_ == State::asked;
        state_ = State::over;
        if (!expected) return refuse(SaslCondition::malformed_request, "Nothing was expected here.");
        return take(data);
    }

    Step credentials(Credentials found) override {
        assert(state_ == State::lookup);
        if (state_ != State::lookup || found.salt.empty() || found.iterations == 0) {
            state_ = State::over;
            return refuse(SaslCondition::temporary_auth_failure, "");
        }
        credentials_ = std::move(found);
        state_ = State::hashing;
        HashPassword step{password_, credentials_.salt, credentials_.iterations};
        wipe(password_);
        return step;
    }

    Step verifiers(const storage::Verifiers& derived) override {
        assert(state_ == State::hashing);
        const bool expected = state_ == State::hashing;
        state_ = State::over;
        if (!expected) return refuse(SaslCondition::temporary_auth_failure, "");
        const Credentials::Key* key = find_key(credentials_, &has_password, &derived);
        if (key == nullptr) return refuse(SaslCondition::not_authorized, wrong);
        if (credentials_.disabled)
            return refuse(SaslCondition::account_disabled, "This account is disabled.");
        Success success{username_, key->device, ""};
        success.is_contradicted = !are_of_one_password(key->verifiers, derived);
        return success;
    }

private:
    enum class State { start, asked, lookup, hashing, over };

    static Step refuse(SaslCondition condition, std::string_view text) {
        return Refused{condition, std::string{text}};
    }

    Step take(std::string_view data) {
        const auto nul = std::count(data.begin(), data.end(), '\0');
        if (data.size() > longest_plain || nul != 2) {
            return refuse(SaslCondition::malformed_request, "This is no PLAIN message.");
        }
        const std::size_t first = data.find('\0');
        const std::size_t second = data.find('\0', first + 1);
        const std::string_view authzid = data.substr(0, first);
        const std::string_view name = data.substr(first + 1, second - first - 1);
        const std::string_view password = data.substr(second + 1);
        if (name.empty() || password.empty()) {
            return refuse(SaslCondition::malformed_request, "The user name or the password is empty.");
        }
        const auto username = xmpp::normalise_localpart(name);
        auto prepared = xmpp::opaque_string(password);
        if (!username || username->empty() || !prepared) return refuse(SaslCondition::not_authorized, wrong);
        if (!authzid.empty() && !names_account(authzid, *username, domain_)) {
            wipe(*prepared);
            return refuse(SaslCondition::invalid_authzid, "Nobody may act for another account.");
        }
        username_ = *username;
        password_ = std::move(*prepared);
        state_ = State::lookup;
        return Lookup{username_};
    }

    const std::string domain_;
    State state_ = State::start;
    std::string username_, password_;
    Credentials credentials_;
};

}  // namespace

std::string_view to_string(SaslCondition condition) {
    switch (condition) {
        case SaslCondition::aborted: return "aborted";
        case SaslCondition::account_disabled: return "account-disabled";
        case SaslCondition::credentials_expired: return "credentials-expired";
        case SaslCondition::encryption_required: return "encryption-required";
        case SaslCondition::incorrect_encoding: return "incorrect-encoding";
        case SaslCondition::invalid_authzid: return "invalid-authzid";
        case SaslCondition::invalid_mechanism: return "invalid-mechanism";
        case SaslCondition::malformed_request: return "malformed-request";
        case SaslCondition::mechanism_too_weak: return "mechanism-too-weak";
        case SaslCondition::not_authorized: return "not-authorized";
        case SaslCondition::temporary_auth_failure: return "temporary-auth-failure";
    }
    return "not-authorized";
}

std::vector<std::string> offered_mechanisms(const Channel& channel, bool allow_plain_unencrypted) {
    std::vector<std::string> names;
    if (!binding_types(channel).empty()) {
        for (const std::string_view name : scram_names) names.push_back(std::string{name} + "-PLUS");
    }
    names.insert(names.end(), scram_names.begin(), scram_names.end());
    if (channel.encrypted || allow_plain_unencrypted) names.emplace_back("PLAIN");
    return names;
}

std::vector<std::string> binding_types(const Channel& channel) {
    std::vector<std::string> types;
    if (!channel.tls_exporter.empty()) types.emplace_back("tls-exporter");
    if (!channel.tls_server_end_point.empty()) types.emplace_back("tls-server-end-point");
    return types;
}

std::string downgrade_protection(std::vector<std::string> mechanisms, std::vector<std::string> bindings) {
    const auto joined = [](std::vector<std::string>& names) {
        std::sort(names.begin(), names.end());
        std::string all;
        for (const std::string& name : names) all += (all.empty() ? "" : "\x1e") + name;
        return all;
    };
    std::string all = joined(mechanisms);
    if (!bindings.empty()) all += "\x1f" + joined(bindings);
    return all;
}

std::unique_ptr<Exchange> begin_exchange(std::string_view mechanism, const Channel& channel,
                                         std::string_view domain, bool allow_plain_unencrypted,
                                         std::string_view downgrade_protection) {
    const auto offered = offered_mechanisms(channel, allow_plain_unencrypted);
    if (std::find(offered.begin(), offered.end(), mechanism) == offered.end()) return nullptr;
    if (const auto scram = parse_scram_mechanism(mechanism)) {
        return begin_scram(*scram, channel, domain, random_token(18), downgrade_protection);
    }
    return std::make_unique<Plain>(domain);
}

storage::Verifier verifier_of(storage::Hash hash, std::string_view salted_password) {
    std::string client_key = hmac(hash, salted_password, "Client Key");
    storage::Verifier verifier{digest(hash, client_key), hmac(hash, salted_password, "Server Key")};
    wipe(client_key);
    return verifier;
}

storage::Verifiers derive_verifiers(std::string_view password, std::string_view salt,
                                    std::uint32_t iterations) {
    // What OpaqueString forbids is refused where passwords are set; hashing it as it is lets nobody in.
    std::string prepared = xmpp::opaque_string(password).value_or(std::string{password});
    storage::Verifiers all;
    for (std::size_t i = 0; i < storage::hash_count; ++i) {
        const auto hash = static_cast<storage::Hash>(i);
        std::string salted = pbkdf2(hash, prepared, salt, iterations);
        all[i] = verifier_of(hash, salted);
        wipe(salted);
    }
    wipe(prepared);
    return all;
}

Credentials fake_credentials(std::string_view server_secret, std::string_view username,
                             std::uint32_t iterations) {
    Credentials fake;
    fake.salt =
        hmac(storage::Hash::sha256, server_secret, "salt of " + std::string{username}).substr(0, salt_bytes);
    fake.iterations = iterations;
    return fake;
}

}  // namespace auth
