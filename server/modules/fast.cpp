// SPDX-License-Identifier: MIT
// XEP-0484 0.2.0: Fast Authentication Streamlining Tokens — a client that has logged in is given a token, and logs in with
// it the next time in one message. A token is of one client (its <user-agent id/>) on one device, of one mechanism, and
// goes with the device. It is rotated when a day old. Leaves out TLS 0-RTT, which is not offered; a count is heeded
// nevertheless.
// HT-SHA-256 is an HMAC keyed with the token, so the server must have the token itself: no hash of it would do. What
// is stored is a random seed, the token is HMAC(a key, seed and whose it is), and the key is in a file beside the database
// (key_file.h): who has the database alone can make no token. Without the file all tokens are void, and clients log in
// with their keys.
#include <algorithm>
#include <charconv>

#include "auth/crypto.h"
#include "server/account.h"
#include "server/host.h"
#include "server/log.h"
#include "server/login_request.h"
#include "server/server.h"
#include "server/stream.h"
#include "server/worker.h"
#include "xmpp/date_time.h"

namespace server {

namespace {

using auth::SaslCondition;
using xmpp::Element;

constexpr std::string_view ns = "urn:xmpp:fast:0";
constexpr std::chrono::hours lifetime{24 * 21}, rotated_after{24};
constexpr std::size_t seed_bytes = 32;

// Whose token it is; empty: a client that does not say which one it is can have none (§4.1).
std::string client_of(const xmpp::Stanza& authenticate) {
    const std::string_view id = authenticate.child("user-agent", xmpp::ns::sasl2).attr("id");
    return id.empty() ? std::string{} : auth::token(auth::digest(storage::Hash::sha256, id));
}

bool is_true(std::string_view value) { return value == "true" || value == "1"; }

class Fast final : public Module {
public:
    explicit Fast(Host& host) : worker_{host.worker} {
        host.at<&Fast::offer>(host.inline_features, this);
        host.token_exchange.provide<&Fast::begin>(this);
        host.at<&Fast::find>(host.credentials, this);
        host.at<&Fast::use>(host.token_uses, this);
        host.at<&Fast::answer>(host.inline_requests, this);
    }

private:
    // §3.1
    void offer(Stream& stream, xmpp::XmlWriter& w) {
        w.open("fast", ns);
        for (const std::string& mechanism : auth::token_mechanisms(stream.channel())) w.leaf("mechanism", mechanism);
        w.close();
    }

    // §3.4: the <fast/> says that it is a token.
    std::unique_ptr<auth::Exchange> begin(Stream& stream, std::string_view mechanism, const xmpp::Stanza& authenticate) {
        if (!authenticate.child("fast", ns)) return nullptr;
        return auth::begin_token_exchange(mechanism, stream.channel());
    }

    storage::Task<void> find(const storage::Account& account, const xmpp::Stanza& authenticate, auth::Credentials& credentials) {
        const std::string client = client_of(authenticate);
        if (client.empty() || !authenticate.child("fast", ns)) co_return;
        auto finding = worker_.storage().fast_tokens().find(account.id, client);
        auto found = co_await finding;
        if (!found) {
            credentials.are_incomplete = true;   // §4.1: the client throws away what is refused for good
            co_return;
        }
        for (storage::FastToken& token : *found) {
            std::string secret = made_from(account.id, client, token.seed);
            const bool is_due = token.expires - worker_.now() < lifetime - rotated_after;
            credentials.tokens.push_back({std::move(token.device), std::move(token.mechanism), std::move(secret), token.expires <= worker_.now(),
                                          std::move(token.seed), is_due});
        }
    }

    // §3.4, §3.6: its count was seen before, or it has just gone. What cannot be checked now is not wrong for good.
    storage::Task<std::optional<SaslCondition>> use(const storage::Account& account, const xmpp::Stanza& authenticate, const auth::Credentials::Token& token) {
        using Answer = std::optional<SaslCondition>;
        const Element fast = authenticate.child("fast", ns);
        const std::string client = client_of(authenticate);
        std::optional<std::uint32_t> count;
        if (const auto said = fast.find_attr("count")) {
            std::uint32_t number = 0;
            const auto [end, problem] = std::from_chars(said->data(), said->data() + said->size(), number);
            if (problem != std::errc{} || end != said->data() + said->size()) co_return Answer{SaslCondition::malformed_request};
            count = number;
        }
        storage::FastTokens& tokens = worker_.storage().fast_tokens();
        auto using_it = tokens.use(account.id, client, token.seed, count);
        const auto used = co_await using_it;
        if (!used) co_return Answer{SaslCondition::temporary_auth_failure};
        if (!*used) co_return Answer{SaslCondition::not_authorized};
        if (!is_true(fast.attr("invalidate"))) co_return Answer{};
        auto removing = tokens.remove(account.id, client, token.seed);
        const auto removed = co_await removing;
        if (!removed) co_return Answer{SaslCondition::temporary_auth_failure};   // the client would take it for gone
        co_return Answer{};
    }

    // §3.3, §3.5: to who asks for one, and instead of one that is to be rotated.
    storage::Task<void> answer(LoginRequest& login) {
        const std::string client = client_of(login.authenticate);
        const Element wanted = login.authenticate.child("request-token", ns);
        const bool is_rotated = login.token && login.token->is_to_be_rotated && !is_true(login.authenticate.child("fast", ns).attr("invalidate"));
        if (client.empty() || (!wanted && !is_rotated)) co_return;
        const std::string mechanism{wanted ? wanted.attr("mechanism") : login.token->mechanism};
        const auto offered = auth::token_mechanisms(login.stream.channel());
        if (std::ranges::find(offered, mechanism) == offered.end()) co_return;
        auto loading = worker_.load(login.stream.authenticated_as());
        const std::shared_ptr<Account> account = co_await loading;
        if (!account || login.stream.phase() == Stream::Phase::closing) co_return;   // binding says so
        auto issuing = issue(*account, client, login.stream.device(), mechanism);
        login.answers += co_await issuing;
    }

    storage::Task<std::string> issue(Account& account, std::string client, std::string device, std::string mechanism) {
        storage::FastToken fresh;
        fresh.seed = auth::random_token(seed_bytes);
        const std::string secret = made_from(account.id(), client, fresh.seed);
        fresh.client = std::move(client);
        fresh.device = std::move(device);
        fresh.mechanism = std::move(mechanism);
        fresh.expires = worker_.now() + lifetime;
        xmpp::XmlWriter w;
        w.open("token", ns).attr("expiry", xmpp::format_date_time(fresh.expires)).attr("token", secret);
        auto storing = worker_.storage().fast_tokens().put(account.id(), std::move(fresh));
        const auto stored = co_await storing;
        if (!stored) log::warn("token not stored", {{"jid", account.jid().text()}, {"why", stored.error().text}});
        co_return stored ? w.take() : std::string{};
    }

    // Neither half can have a blank in it: no two tokens are made from the same words.
    std::string made_from(storage::AccountId account, std::string_view client, std::string_view seed) const {
        const std::string words = std::to_string(account).append(" ").append(client).append(" ").append(seed);
        return auth::token(auth::hmac(storage::Hash::sha256, worker_.server.token_key(), words));
    }

    Worker& worker_;
};

}  // namespace

MODULE_FACTORY(fast, Fast)

}  // namespace server
