// SPDX-License-Identifier: MIT
// XEP-0484 0.2.0: Fast Authentication Streamlining Tokens — a client that has logged in is given a token, and logs in with
// it the next time in one message. A token is of one client (its <user-agent id/>) on one device, of one mechanism, and
// goes with the device. It is rotated when a day old. Leaves out TLS 0-RTT, which is not offered; a count is heeded
// nevertheless.
#include <charconv>

#include "auth/crypto.h"
#include "server/account.h"
#include "server/host.h"
#include "server/log.h"
#include "server/login_request.h"
#include "server/stream.h"
#include "server/worker.h"
#include "xmpp/date_time.h"

namespace server {

namespace {

using xmpp::Element;

constexpr std::string_view ns = "urn:xmpp:fast:0";
constexpr std::chrono::hours lifetime{24 * 21}, rotated_after{24};
constexpr std::size_t token_bytes = 32;

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
        for (storage::FastToken& token : *found)
            credentials.tokens.push_back({std::move(token.device), std::move(token.mechanism), std::move(token.token), token.expires <= worker_.now()});
    }

    storage::Task<void> answer(LoginRequest& login) {
        const std::string client = client_of(login.authenticate);
        const Element fast = login.authenticate.child("fast", ns), wanted = login.authenticate.child("request-token", ns);
        if (client.empty() || (login.token.empty() && !wanted)) co_return;
        auto loading = worker_.load(login.stream.authenticated_as());
        const std::shared_ptr<Account> account = co_await loading;
        if (!account) co_return;   // binding says so

        std::string mechanism{wanted.attr("mechanism")};
        if (!login.token.empty()) {
            auto using_it = use(*account, client, login.token, fast);
            const auto renewed = co_await using_it;
            if (!renewed) {
                login.refusal = renewed.error();
                co_return;
            }
            if (mechanism.empty()) mechanism = *renewed;
        }
        if (login.stream.phase() == Stream::Phase::closing) co_return;
        const auto offered = auth::token_mechanisms(login.stream.channel());
        if (std::ranges::find(offered, mechanism) == offered.end()) co_return;
        auto issuing = issue(*account, client, login.stream.device(), mechanism);
        login.answers += co_await issuing;
    }

    // §3.4 to §3.6. The mechanism of the token that is to follow this one, or "": none is.
    storage::Task<xmpp::Result<std::string, auth::SaslCondition>> use(Account& account, std::string client, std::string token, Element fast) {
        using Answer = xmpp::Result<std::string, auth::SaslCondition>;
        storage::FastTokens& tokens = worker_.storage().fast_tokens();
        std::optional<std::uint32_t> count;
        if (const auto said = fast.find_attr("count")) {
            std::uint32_t number = 0;
            const auto [end, problem] = std::from_chars(said->data(), said->data() + said->size(), number);
            if (problem != std::errc{} || end != said->data() + said->size()) co_return xmpp::Failure{auth::SaslCondition::malformed_request};
            count = number;
        }
        auto finding = tokens.find(account.id(), client);
        const auto found = co_await finding;
        auto using_it = tokens.use(account.id(), client, token, count);
        const auto used = co_await using_it;
        if (!found || !used) co_return xmpp::Failure{auth::SaslCondition::temporary_auth_failure};
        if (!*used) co_return xmpp::Failure{auth::SaslCondition::not_authorized};   // its count was seen before, or it has just gone
        if (is_true(fast.attr("invalidate"))) {
            auto removing = tokens.remove(account.id(), client, token);
            const auto removed = co_await removing;
            if (!removed) co_return xmpp::Failure{auth::SaslCondition::temporary_auth_failure};   // the client would take it for gone
            co_return Answer{std::string{}};
        }
        for (const storage::FastToken& each : *found)
            if (each.token == token && each.expires - worker_.now() < lifetime - rotated_after) co_return Answer{each.mechanism};
        co_return Answer{std::string{}};
    }

    // §3.3
    storage::Task<std::string> issue(Account& account, std::string client, std::string device, std::string mechanism) {
        storage::FastToken fresh;
        fresh.client = std::move(client);
        fresh.device = std::move(device);
        fresh.mechanism = std::move(mechanism);
        fresh.token = auth::random_token(token_bytes);
        fresh.expires = worker_.now() + lifetime;
        xmpp::XmlWriter w;
        w.open("token", ns).attr("expiry", xmpp::format_date_time(fresh.expires)).attr("token", fresh.token);
        auto storing = worker_.storage().fast_tokens().put(account.id(), std::move(fresh));
        const auto stored = co_await storing;
        if (!stored) log::warn("token not stored", {{"jid", account.jid().text()}, {"why", stored.error().text}});
        co_return stored ? w.take() : std::string{};
    }

    Worker& worker_;
};

}  // namespace

MODULE_FACTORY(fast, Fast)

}  // namespace server
