// SPDX-License-Identifier: MIT
// SASL (RFC 6120 §6) and resource binding (RFC 6120 §7) on a client's stream.
#include "server/login.h"

#include <algorithm>

#include "auth/crypto.h"
#include "auth/scram.h"
#include "auth/sms.h"
#include "server/account.h"
#include "server/config.h"
#include "server/invited.h"
#include "server/log.h"
#include "server/server.h"
#include "server/worker.h"
#include "xmpp/base64.h"
#include "xmpp/namespaces.h"

namespace server {

using auth::SaslCondition;
using xmpp::Condition;
using xmpp::Stanza;
using xmpp::StreamCondition;
using xmpp::StreamError;
namespace ns = xmpp::ns;

namespace {

constexpr std::string_view channel_binding_ns = "urn:xmpp:sasl-cb:0";  // XEP-0440

}  // namespace

// A number's account has device keys.
std::uint32_t iterations_of_nobody(const Config& config, xmpp::JidView account) {
    return is_like_a_number(config, account) ? auth::RegistrationRules{}.iterations : config.auth.iterations;
}

// ---- SASL --------------------------------------------------------------------------------------------------------------

const auth::Channel& Stream::channel() const {
    if (!login_->channel) login_->channel = transport_->channel();
    return *login_->channel;
}

// XEP-0388 §2.1: those that the account has verifiers for which the stream's header claims to come from.
std::vector<std::string> Stream::mechanisms() const {
    auto offered = auth::offered_mechanisms(channel(), !worker_->config->c2s.require_tls && worker_->config->auth.plain);
    if (!worker_->config->auth.plain) std::erase(offered, "PLAIN");
    const auto lacks = worker_->server.partial_accounts().lacks(login_->claimed);
    std::erase_if(offered, [&](const std::string& name) {
        const auto scram = auth::parse_scram_mechanism(name);
        return scram && lacks[static_cast<std::size_t>(scram->hash)];
    });
    return offered;
}

void Stream::write_mechanisms(xmpp::XmlWriter& features) {
    features.open("mechanisms", ns::sasl);
    for (const std::string& mechanism : mechanisms()) features.leaf("mechanism", mechanism);
    features.close();
    const auto bindings = auth::binding_types(channel());
    if (bindings.empty()) return;
    features.open("sasl-channel-binding", channel_binding_ns);
    for (const std::string& type : bindings) features.open("channel-binding").attr("type", type).close();
    features.close();
}

// RFC 6120 §6.4
void Stream::on_sasl(const Stanza& element) {
    speak(ns::sasl);
    const std::string_view name = element.element().name();
    if (name == "auth") {
        const std::string text = element.element().text();
        return authenticate(element.element().attr("mechanism"), text.empty() ? std::nullopt : std::optional{text == "=" ? std::string{} : text}, {});
    }
    if (name == "abort") return refuse(SaslCondition::aborted);  // §6.4.4
    if (name != "response") return refuse(SaslCondition::malformed_request);
    const std::string text = element.element().text();
    respond(text == "=" ? std::string{} : text);
}

void Stream::authenticate(std::string_view mechanism, const std::optional<std::string>& initial, Stanza request) {
    login_->ns = request ? ns::sasl2 : ns::sasl;
    login_->request = std::move(request);
    login_->username.clear();
    if (phase_ == Phase::secure && worker_->config->c2s.require_tls) return refuse(SaslCondition::encryption_required);
    if (login_->was_continued) return close(StreamError{StreamCondition::policy_violation, "There was a login already."});   // XEP-0388 §4.8
    // Whoever guesses makes the server compute; on one connection a few times, on many no oftener than this.
    const auto wait = worker_->server.failed_logins().wait(auth::network_of(transport_->peer_address()), worker_->now());
    if (wait.count() > 0) return refuse(SaslCondition::temporary_auth_failure, "Too many failed logins. Try again later.");
    const auto offered = mechanisms();
    const bool is_offered = std::ranges::find(offered, mechanism) != offered.end();
    // XEP-0474: told to clients that came with XEP-0388, since older ones may stumble over an attribute that they do not know.
    const std::string protection = login_->request ? auth::downgrade_protection(offered, auth::binding_types(channel())) : std::string{};
    login_->exchange = login_->request ? worker_->host.token_exchange(*this, mechanism, login_->request) : nullptr;
    const auto scram = auth::parse_scram_mechanism(mechanism);
    login_->hash = scram ? std::optional{scram->hash} : std::nullopt;
    if (!login_->exchange && is_offered)
        login_->exchange = auth::begin_exchange(mechanism, channel(), login_->domain, !worker_->config->c2s.require_tls, protection);
    if (!login_->exchange) return refuse(SaslCondition::invalid_mechanism);
    if (initial) return respond(*initial);
    xmpp::XmlWriter w;
    send_xml(w.leaf_ns("challenge", login_->ns).take());  // §6.4.2: no initial response
}

void Stream::speak(std::string_view sasl_ns) { login_->ns = sasl_ns; }

void Stream::respond(const std::string& base64) {
    if (!login_->exchange) return refuse(SaslCondition::malformed_request);
    const auto data = xmpp::parse_base64(base64);
    if (!data) return refuse(SaslCondition::incorrect_encoding);
    on_sasl_step(login_->exchange->receive(*data));
}

void Stream::on_sasl_step(auth::Step step) {
    if (const auto* challenge = std::get_if<auth::Challenge>(&step)) {
        xmpp::XmlWriter w;
        w.leaf_ns("challenge", login_->ns, xmpp::base64(challenge->data));
        send_xml(w.take());
    } else if (auto* lookup = std::get_if<auth::Lookup>(&step)) {
        worker_->spawn("looking up an account", look_up(std::move(lookup->username)));
    } else if (auto* hash = std::get_if<auth::HashPassword>(&step)) {
        worker_->spawn("hashing a password", hash_password(std::move(*hash)));
    } else if (const auto* success = std::get_if<auth::Success>(&step)) {
        on_sasl_success(*success);
    } else if (const auto* refused = std::get_if<auth::Refused>(&step)) {
        refuse(refused->condition, refused->text);
    }
}

storage::Task<void> Stream::look_up(std::string username) {
    const auto self = shared_from_this();
    hold();
    auth::Credentials credentials;
    login_->username = username;
    const auto jid = xmpp::Jid::from_parts(username, login_->domain, {});
    storage::Result<std::optional<storage::Account>> found{std::optional<storage::Account>{}};
    if (jid) {
        auto task = worker_->storage().accounts().find(*jid);
        found = co_await task;
    }
    if (!found) {
        log::warn("login not possible", {{"stream", id_}, {"why", found.error().text}});
        if (phase_ != Phase::closing) refuse(SaslCondition::temporary_auth_failure);  // the client may have gone meanwhile
        go_on();
        co_return;
    }
    if (*found) {
        const storage::Account& account = **found;
        credentials.salt = account.salt;
        credentials.iterations = account.iterations;
        credentials.disabled = account.disabled;
        for (const storage::Device& device : account.devices)
            if (may_come_from(device, transport_ ? transport_->peer_address() : std::string{})) credentials.keys.push_back({device.id, device.verifiers});
        auto adding = add_tokens(account, credentials);
        co_await adding;
        // Tokens stand for keys.
        std::erase_if(credentials.tokens, [&](const auto& token) { return std::ranges::find(credentials.keys, token.device, &auth::Credentials::Key::device) == credentials.keys.end(); });
    } else {
        const std::uint32_t iterations = iterations_of_nobody(*worker_->config, jid ? jid->view() : xmpp::JidView{});
        credentials = auth::fake_credentials(worker_->server.fake_salt_secret(), username, iterations);
        auto adding = add_tokens({}, credentials);   // as long as it takes for one that exists
        co_await adding;
    }
    if (phase_ != Phase::closing && login_->exchange) {
        const bool has_no_verifier = login_->hash && !credentials.keys.empty() &&
                                     std::ranges::all_of(credentials.keys, [&](const auto& key) { return key.verifiers[static_cast<std::size_t>(*login_->hash)].stored_key.empty(); });
        if (credentials.are_incomplete) refuse(SaslCondition::temporary_auth_failure);
        else if (has_no_verifier) refuse(SaslCondition::invalid_mechanism);   // its client may know another, and was not told of this one if it said who it is
        else {
            auth::Step step = login_->exchange->credentials(std::move(credentials));
            if (*found) {
                auto spending = spend_token(**found, step);
                co_await spending;
            }
            if (phase_ != Phase::closing) on_sasl_step(std::move(step));
        }
    }
    go_on();
}

storage::Task<void> Stream::add_tokens(const storage::Account& account, auth::Credentials& credentials) {
    const Stanza request = login_ ? login_->request : Stanza{};
    for (const auto& hook : worker_->host.credentials.entries()) {
        if (!request) co_return;
        auto adding = hook.call(hook.module, account, request, credentials);
        co_await adding;
    }
}

// Who gave out a token may refuse it though it is right: as if it were wrong (XEP-0388 §2.6), since nothing has begun yet.
storage::Task<void> Stream::spend_token(const storage::Account& account, auth::Step& step) {
    const auto* const success = std::get_if<auth::Success>(&step);
    if (!success || !success->token || is_another(account.jid)) co_return;
    const Stanza request = login_->request;
    for (const auto& hook : worker_->host.token_uses.entries()) {
        auto asking = hook.call(hook.module, account, request, *success->token);
        const auto refusal = co_await asking;
        if (!refusal) continue;
        step = auth::Refused{*refusal, {}};
        co_return;
    }
}

// XEP-0388 §2.3: than who the stream's header claims to come from.
bool Stream::is_another(const xmpp::Jid& account) const { return login_->request && !login_->claimed.empty() && login_->claimed != account; }

storage::Task<void> Stream::hash_password(auth::HashPassword wanted) {
    const auto self = shared_from_this();
    hold();
    auto task = worker_->server.hashes().derive(std::move(wanted.password), std::move(wanted.salt), wanted.iterations);
    const std::optional<storage::Verifiers> derived = co_await task;
    if (phase_ != Phase::closing && login_->exchange) {
        if (derived) {
            auth::Step step = login_->exchange->verifiers(*derived);
            if (const auto* const success = std::get_if<auth::Success>(&step)) worker_->host.password_seen.tell(*this, *success, *derived);
            on_sasl_step(std::move(step));
        } else refuse(SaslCondition::temporary_auth_failure);
    }
    go_on();
}

void Stream::on_sasl_success(const auth::Success& success) {
    if (is_another(*xmpp::Jid::from_parts(success.username, login_->domain, {}))) return refuse(SaslCondition::invalid_authzid);
    login_->exchange.reset();
    if (login_->request && worker_->host.login_tasks(*this, success)) return;
    succeed(success);
}

const Stanza& Stream::login_request() const { return login_->request; }

LoginTasks* Stream::tasks() const { return login_ ? login_->tasks.get() : nullptr; }

void Stream::begin_tasks(std::unique_ptr<LoginTasks> tasks) {
    login_->tasks = std::move(tasks);
    login_->was_continued = true;
}

// RFC 6120 §6.4.6. From here on the account is known: the stream goes to live where the account does.
void Stream::succeed(const auth::Success& success) {
    xmpp::Jid account = *xmpp::Jid::from_parts(success.username, login_->domain, {});
    login_->tasks.reset();
    ++worker_->counters.logins;
    is_authenticated_ = true;
    worker_->server.logged_in(transport_->peer_address());
    phase_ = Phase::bind;
    Worker& home = worker_->server.worker_of(account.text());
    login_->account = std::move(account);
    login_->device = success.device;
    hold();
    if (login_->request) {
        transport_->move_to(home, [self = shared_from_this(), success] {
            self->worker_->host.logged_in(*self, self->login_->request, success);
        });
        return;
    }
    xmpp::XmlWriter w;
    w.leaf_ns("success", ns::sasl, success.data.empty() ? std::string{} : xmpp::base64(success.data));
    send_xml(w.take());
    expect_restart();
    transport_->move_to(home, [self = shared_from_this()] { self->go_on(); });
}

void Stream::completed_login(std::string_view success, bool is_resumed) {
    send_xml(success);
    if (!is_resumed) send_features();
}

void Stream::refuse(SaslCondition condition, std::string_view text) {
    ++worker_->counters.logins_refused;
    const std::string address = transport_->peer_address();
    if (condition == SaslCondition::not_authorized) worker_->server.failed_logins().take(auth::network_of(address), worker_->now());
    login_->exchange.reset();
    login_->tasks.reset();
    xmpp::XmlWriter w;
    w.open("failure", login_->ns).leaf_ns(to_string(condition), ns::sasl);
    if (!text.empty()) w.open("text").attr("xml:lang", "en").text(text).close();
    send_xml(w.take());
    log::info("login refused", {{"stream", id_}, {"address", address}, {"user", auth::masked(login_->username)}, {"condition", to_string(condition)}});
    // §6.4.5: a number of retries, then the stream ends.
    if (++login_->failures >= worker_->config->limits.login_attempts)
        close(StreamError{StreamCondition::policy_violation, "Too many failed logins."});
}

// ---- resource binding --------------------------------------------------------------------------------------------------

storage::Task<void> Stream::bind(Stanza request) {
    const auto self = shared_from_this();
    hold();
    auto task = worker_->load(login_->account);
    const std::shared_ptr<Account> account = co_await task;
    if (phase_ == Phase::closing) co_return;
    if (!account)
        reply(request, xmpp::StanzaError{xmpp::ErrorType::wait, Condition::resource_constraint, "The account cannot be loaded now."});
    else
        reply(request, bind_to(account, request));
    if (session_) announce_session();
    go_on();
}

void Stream::announce_session() {
    worker_->host.bound.tell(*session_);
    log::info("session bound", {{"jid", session_->jid().text()}, {"device", session_->device()}, {"stream", id_}, {"address", transport_->peer_address()}});
    session_->account().mark_seen(session_->device());
}

IqReply Stream::bind_to(const std::shared_ptr<Account>& account, const Stanza& request) {
    const std::string wanted{request.child("bind", ns::bind).child_text("resource", ns::bind)};
    if (auto refused = take_resource(account, wanted)) return std::move(*refused);
    xmpp::XmlWriter w;
    w.open("bind", ns::bind).leaf("jid", session_->jid().text()).close();
    return w.take();
}

std::optional<xmpp::StanzaError> Stream::take_resource(const std::shared_ptr<Account>& account, const std::string& wanted) {
    // Between login and now its key may have been replaced, and the account disabled.
    const bool is_still_there = worker_->find(account->jid().text()) == account.get();
    if (!is_still_there || !account->device(login_->device) || account->record().disabled) return xmpp::StanzaError{Condition::not_authorized};

    // §7.6, §7.7
    std::string resource = auth::random_token(9);
    if (!wanted.empty()) {
        const auto normal = xmpp::normalise_resourcepart(wanted);
        if (!normal) return xmpp::StanzaError{Condition::bad_request};
        resource = *normal;
    }
    // §7.7.2.2: the newer one wins; who holds the name is dead more often than not.
    if (Session* const holder = account->session(resource))
        holder->end({StreamCondition::conflict, "Another client has taken this resource."});
    if (account->sessions().size() >= worker_->config->limits.sessions_per_account)  // §7.6.2.1
        return xmpp::StanzaError{xmpp::ErrorType::wait, Condition::resource_constraint};

    take_session(std::make_shared<Session>(account, account->jid().with_resource(resource), login_->device, this));
    account->add(session_);
    return std::nullopt;
}

}  // namespace server
