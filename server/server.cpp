// SPDX-License-Identifier: MIT
// The whole server: making, starting, reloading and stopping what is common to the workers.
#include "server/server.h"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>

#include "auth/crypto.h"
#include "server/connection.h"
#include "server/key_file.h"
#include "server/listener.h"
#include "server/log.h"
#include "server/net/listening.h"

namespace server {

constexpr std::chrono::seconds queue_watch{1};
constexpr std::chrono::seconds stop_wait{6}, stop_wait_without_storage{2}, store_wait{10};
constexpr std::chrono::seconds linger_wait{1};   // for clients that have been told all, to close their half
constexpr std::uint32_t most_logging_in = 50'000;

struct Server::ConnectionCounts {
    std::mutex mutex;
    struct Count { std::uint32_t all = 0, logging_in = 0; };
    std::map<std::string, Count> by_network;
    std::uint32_t logging_in = 0;   // of all networks
};

namespace {

const xmpp::StreamError going_down{xmpp::StreamCondition::system_shutdown, "The server is going down."};

std::unique_ptr<auth::SmsGateway> make_gateway(const Config::Sms& sms) {
    const auth::Log log = [](std::string_view level, std::string_view text) {
        log::write(level == "error" ? log::Level::error : level == "warn" ? log::Level::warn : log::Level::info, text);
    };
    if (sms.gateway == "file") return auth::file_gateway(sms.file, log);
    if (sms.gateway != "http") return auth::console_gateway(log);
    auth::HttpGatewayRules rules;
    rules.url = sms.url;
    if (!sms.body.empty()) rules.body = sms.body;
    rules.content_type = sms.content_type;
    rules.timeout = sms.timeout;
    rules.per_second = sms.per_second;
    rules.headers = header_lines(sms.headers);
    return auth::http_gateway(std::move(rules), log);
}

auth::RegistrationRules rules_of(const Config& config) {
    auth::RegistrationRules rules;
    rules.enabled = config.registration.phone;
    rules.domain = config.domains.front();
    rules.pin_digits = config.registration.pin_digits;
    rules.tries = config.registration.tries;
    rules.lifetime = config.registration.pin_lifetime;
    rules.resend_after = config.registration.resend_after;
    rules.per_number_a_day = config.registration.per_number_a_day;
    rules.per_address_an_hour = config.registration.per_address_an_hour;
    rules.per_range_an_hour = config.registration.per_range_an_hour;
    rules.per_minute = config.registration.per_minute;
    rules.per_day = config.registration.per_day;
    rules.few_left = [](std::uint32_t left) { log::warn("most PINs of this day are gone", {{"left", std::to_string(left)}}); };
    rules.prefixes = config.registration.prefixes;
    rules.sms_text = config.sms.text;
    return rules;
}

std::string with_domain(std::string path, const std::string& domain) {
    if (const std::size_t at = path.find("{domain}"); at != std::string::npos) path.replace(at, 8, domain);
    return path;
}

}  // namespace

Server::Server(Config config, std::unique_ptr<storage::Storage> storage, const net::Clock& clock, unsigned workers)
    : config_{std::make_shared<const Config>(std::move(config))},
      clock_{clock},
      started_at_{clock.wall()},
      storage_{std::move(storage)},
      sms_{make_gateway(config_->sms)},
      push_gateway_{config_->push.url.empty() ? nullptr : std::make_unique<PushGateway>(config_->push)},
      counts_{std::make_unique<ConnectionCounts>()} {
    const bool threaded = dynamic_cast<const net::ManualClock*>(&clock) == nullptr;
    hashes_ = std::make_unique<auth::HashPool>(threaded ? std::max(1U, std::thread::hardware_concurrency()) : 0);
    auth::RegistrationRules registration_rules = rules_of(*config_);
    registration_rules.invited_only = [this] { return this->config()->registration.invited_only; };
    registration_ = std::make_unique<auth::Registration>(std::move(registration_rules), *storage_, *hashes_, *sms_,
                                                         [&clock] { return clock.wall(); },
                                                         [this](const xmpp::Jid& account) { keys_changed(account); });
    auth::InvitationRules invitation_rules;
    invitation_rules.per_account_a_day = config_->invitations.per_account_a_day;
    invitations_ = std::make_unique<auth::Invitations>(invitation_rules, *storage_, [&clock] { return clock.wall(); });
    for (unsigned i = 0; i < std::max(1U, workers); ++i) workers_.push_back(std::make_unique<Worker>(*this, i, clock_));
    retention_ = std::make_unique<Retention>(*workers_.front());
    workers_.front()->loop.post([this] { retention_->start(); });
}

Server::~Server() {
    stop();
    // Whoever still awaits something gets an answer, and comes to an end while all that it uses is there.
    if (push_gateway_) push_gateway_->close();
    storage_->close();
    hashes_->close();
    settle();
    storage_.reset();
    // What is left is for nobody, but accounts may hang on it, which must go before their worker does.
    bool dropped = true;
    while (dropped) {
        dropped = false;
        for (const auto& worker : workers_) dropped |= worker->loop.discard();
    }
}

storage::Task<storage::Result<void>> Server::prepare() {
    auto secret = storage_->secrets().load_or_store("fake-salt", auth::random_bytes(32));
    auto loaded = co_await secret;
    if (!loaded) co_return storage::Failure{loaded.error()};
    fake_salt_secret_ = std::move(*loaded);
    auto archive_secret = storage_->secrets().load_or_store("archive-ids", auth::random_bytes(auth::BlockCipher::key_size));
    loaded = co_await archive_secret;
    if (!loaded) co_return storage::Failure{loaded.error()};
    archive_id_secret_ = std::move(*loaded);
    auto key = key_in_file(config_->data + "/tokens.key");
    if (!key) co_return storage::Failure{storage::StorageError{storage::StorageError::Kind::broken, key.error()}};
    token_key_ = std::move(*key);
    auto link_secret = storage_->secrets().load_or_store("link-codes", auth::random_bytes(32));
    loaded = co_await link_secret;
    if (!loaded) co_return storage::Failure{loaded.error()};
    auth::LinkRules rules;
    rules.devices = [this] { return config()->limits.devices; };
    linking_ = std::make_unique<auth::Linking>(std::move(rules), *storage_, *hashes_, std::move(*loaded), [this] { return clock_.wall(); },
                                               [this](const xmpp::Jid& account, const storage::Device& device) { device_linked(account, device); });
    auto looking = read_partial_accounts();
    const auto looked = co_await looking;
    if (!looked) co_return storage::Failure{looked.error()};
    auto reading = restart_.read();
    auto read = co_await reading;
    co_return read;
}

storage::Task<storage::Result<void>> Server::read_partial_accounts() {
    auto reading = storage_->accounts().partial();
    const auto all = co_await reading;
    if (!all) co_return storage::Failure{all.error()};
    partial_accounts_.set(*all);
    co_return storage::Result<void>{};
}

Worker& Server::worker_of(std::string_view bare_jid) const {
    return *workers_[std::hash<std::string_view>{}(bare_jid) % workers_.size()];
}

void Server::keys_changed(const xmpp::Jid& account) {
    Worker& home = worker_of(account.text());
    export_links_.forget(account);
    home.loop.post([this, &home, account] {
        home.unload(account.text());
        export_links_.forget(account);   // a session that had to end may have asked for another meanwhile
        if (partial_accounts_.lacks(account) == PartialAccounts::Lacks{}) return;
        home.spawn("looking at an account's verifiers", [](Server& self, xmpp::Jid jid) -> storage::Task<void> {
            auto finding = self.storage().accounts().find(jid);
            const auto found = co_await finding;
            if (found) self.partial_accounts().set(jid, *found ? lacks_of(**found) : PartialAccounts::Lacks{});
        }(*this, account));
    });
}

void Server::account_removed(const xmpp::Jid& account) {
    for (const auto& worker : workers_)
        worker->loop.post([&host = worker->host, account] { host.account_removed.tell(account); });
    keys_changed(account);
}

void Server::device_revoked(const xmpp::Jid& account, const std::string& device) {
    export_links_.forget(account);
    Worker& home = worker_of(account.text());
    home.loop.post([this, &home, account, device] {
        home.with_account(account.view(), [this, account, device](Account* found, bool) {
            if (found) found->remove_device(device);
            export_links_.forget(account);   // its session may have asked for another meanwhile
        });
    });
}

void Server::device_linked(const xmpp::Jid& account, const storage::Device& device) {
    Worker& home = worker_of(account.text());
    home.loop.post([&home, account, device] {
        home.with_account(account.view(), [&home, device](Account* found, bool) {
            if (!found) return;
            home.host.device_linked.tell(*found, device);   // the others hear of it before it is one of them
            found->add_device(device);
        });
    });
}

void Server::befriend(const xmpp::Jid& one, const xmpp::Jid& other) {
    const auto enter = [this](const xmpp::Jid& account, const xmpp::Jid& contact, std::function<void()> then) {
        Worker& home = worker_of(account.text());
        home.loop.post([&home, account, contact, then = std::move(then)] {
            home.with_account(account.view(), [&home, account, contact, then](Account* found, bool failed) {
                if (found) home.subscriptions.befriend(*found, contact, then);
                else if (failed) log::warn("a new contact was not stored", {{"jid", account.text()}});
            });
        });
    };
    enter(one, other, [enter, one, other] { enter(other, one, [] {}); });
}

// ---- start, reload, stop -----------------------------------------------------------------------------------------------

xmpp::Result<void, std::string> Server::load_certificates() {
    const auto config = this->config();
    std::vector<net::TlsContext::Domain> domains;
    for (const std::string& domain : config->domains) {
        net::TlsContext::Domain files{domain, with_domain(config->tls.certificate, domain), with_domain(config->tls.key, domain)};
        if (config->tls.certificate.empty()) {
            files.certificate_file = config->data + "/" + domain + ".crt";
            files.key_file = config->data + "/" + domain + ".key";
            if (auto made = net::ensure_self_signed(domain, files.certificate_file, files.key_file); !made) return xmpp::Failure{made.error().text};
        }
        domains.push_back(std::move(files));
    }
    auto loaded = net::TlsContext::load(domains);
    if (!loaded) return xmpp::Failure{loaded.error().text};
    std::atomic_store(&tls_, *loaded);
    return {};
}

xmpp::Result<void, std::string> Server::start(net::Handover& left) {
    if (auto loaded = load_certificates(); !loaded) return loaded;
    const auto config = this->config();
    const auto listen = [&](const std::vector<std::string>& wanted, bool direct_tls, std::vector<std::string>& bound) -> std::optional<std::string> {
        for (const std::string& address : wanted) {
            const std::string purpose = (direct_tls ? "direct_tls " : "c2s ") + address;
            auto sockets = net::listen_together(address, workers_.size(), left.take(purpose));
            if (!sockets) return sockets.error();
            bound.push_back(net::bound_address(sockets->front()));
            for (std::size_t i = 0; i < sockets->size(); ++i)   // more than workers, when there were more of these before
                listeners_.push_back(std::make_unique<Listener>(*workers_[i % workers_.size()], std::move((*sockets)[i]), purpose, direct_tls));
        }
        return std::nullopt;
    };
    if (auto problem = listen(config->c2s.listen, false, addresses_.c2s)) return xmpp::Failure{*problem};
    if (auto problem = listen(config->c2s.direct_tls, true, addresses_.direct_tls)) return xmpp::Failure{*problem};
    workers_.front()->loop.post([this] { watch_queues(); });
    for (const auto& worker : workers_) threads_.emplace_back([here = worker.get()] { here->loop.run(); });
    restore_sessions();
    if (!restart_.wait()) return xmpp::Failure{std::string{"the sessions of the last run cannot be removed from the storage"}};
    // Who comes for its session now finds it.
    for (const auto& listener : listeners_) listener->worker().loop.post([here = listener.get()] { here->start(); });
    return {};
}

void Server::restore_sessions() { restart_.begin(); }

void Server::hand_over(net::Handover& next) const {
    for (const auto& listener : listeners_) next.add(listener->purpose(), listener->socket());
}

// A database that is down is not waited for: what was to be stored is lost with this process, messages are not.
void Server::store_sessions() {
    struct Progress {
        std::mutex mutex;
        std::condition_variable changed;
        std::size_t storing;   // workers
    };
    const auto progress = std::make_shared<Progress>();   // who comes too late finds it still
    progress->storing = workers_.size();
    for (const auto& worker : workers_)
        worker->loop.post([here = worker.get(), progress] {
            here->spawn("storing sessions", [](Worker& at, std::shared_ptr<Progress> of_all) -> storage::Task<void> {
                auto storing = Restart::store(at);
                co_await storing;
                const std::lock_guard lock{of_all->mutex};
                --of_all->storing;
                of_all->changed.notify_one();
            }(*here, progress));
        });
    if (threads_.empty()) return settle();
    std::unique_lock lock{progress->mutex};
    if (!progress->changed.wait_for(lock, store_wait, [&] { return progress->storing == 0; })) log::warn("not all sessions were stored in time");
}

void Server::stop() {
    if (std::exchange(stopped_, true)) return;
    if (threads_.empty()) {
        for (const auto& worker : workers_) worker->host.going_down.tell();
        settle();
        for (const auto& worker : workers_) worker->go_down(going_down);
        settle();
        return store_sessions();
    }
    std::mutex mutex;
    std::condition_variable changed;
    const auto everywhere = [&](const std::function<void(Worker&)>& what) {
        std::size_t waiting = workers_.size();
        for (const auto& worker : workers_)
            worker->loop.post([&, here = worker.get()] {
                what(*here);
                const std::lock_guard lock{mutex};
                --waiting;
                changed.notify_one();
            });
        std::unique_lock lock{mutex};
        changed.wait(lock, [&] { return waiting == 0; });
    };
    linking_->stop_waiting();
    everywhere([this](Worker& worker) {
        if (worker.index == 0) {
            queue_timer_.cancel();
            retention_->stop();
        }
        for (const auto& listener : listeners_)
            if (&listener->worker() == &worker) listener->stop();
    });
    // What modules say last reaches the workers of those who hear it before their streams end.
    everywhere([](Worker& worker) { worker.host.going_down.tell(); });
    // Whoever sees its stream end and comes back at once is not taken in by a worker that has not heard of it yet.
    everywhere([](Worker& worker) { worker.go_down(going_down); });
    // Streams end by themselves when the last bytes are out and the clients have closed their half; stanzas that wait for
    // an account to be loaded go on when it is. Nothing, twice: what was on its way between two workers has arrived.
    const auto begin = std::chrono::steady_clock::now();
    const auto deadline = begin + (storage_->is_healthy() ? stop_wait : stop_wait_without_storage);
    int quiet_rounds = 0;
    while (quiet_rounds < 2 && std::chrono::steady_clock::now() < deadline) {
        std::atomic<std::size_t> counted{0};
        const bool have_lingered = std::chrono::steady_clock::now() - begin > linger_wait;
        everywhere([&](Worker& worker) { counted += worker.connection_count() + worker.loading_count() - (have_lingered ? worker.lingering_count() : 0); });
        std::size_t open = counted;
        for (const storage::QueueDepth& queue : storage_->queues()) open += queue.depth;
        quiet_rounds = open == 0 ? quiet_rounds + 1 : 0;
        if (open > 0) std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    if (storage_->is_healthy()) store_sessions();
    else log::warn("sessions are not stored: the database does not answer");
    for (const auto& worker : workers_) worker->loop.stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    listeners_.clear();
}

void Server::settle() {
    bool worked = true;
    while (worked) {
        worked = false;
        for (const auto& worker : workers_) worked |= worker->loop.turn(net::Duration::zero());
    }
}

std::vector<std::string> Server::reload(Config fresh) {
    const auto before = config();
    std::vector<std::string> later;
    for (const ConfigChange& change : differences(*before, fresh))
        if (!change.live) later.push_back(change.name);
    keep_restart_keys(*before, fresh);
    const auto shared = std::make_shared<const Config>(std::move(fresh));
    std::atomic_store(&config_, shared);
    for (const auto& worker : workers_) worker->loop.post([here = worker.get(), shared] { here->configure(shared); });
    if (auto loaded = load_certificates(); !loaded) log::error("certificates not reloaded", {{"why", loaded.error()}});
    return later;
}

// ---- limits of connections ---------------------------------------------------------------------------------------------

bool Server::admit(const std::string& address) {
    const auto config = this->config();
    const std::lock_guard lock{counts_->mutex};
    if (counts_->logging_in >= most_logging_in) return false;
    auto& count = counts_->by_network[auth::network_of(address)];
    if (count.all >= config->limits.connections_per_address || count.logging_in >= config->limits.logins_per_address) return false;
    ++count.all;
    ++count.logging_in;
    ++counts_->logging_in;
    return true;
}

void Server::logged_in(const std::string& address) {
    const std::lock_guard lock{counts_->mutex};
    const auto found = counts_->by_network.find(auth::network_of(address));
    if (found == counts_->by_network.end()) return;
    --found->second.logging_in;
    --counts_->logging_in;
}

void Server::leave(const std::string& address, bool had_logged_in) {
    const std::lock_guard lock{counts_->mutex};
    const auto found = counts_->by_network.find(auth::network_of(address));
    if (found == counts_->by_network.end()) return;
    if (!had_logged_in) {
        --found->second.logging_in;
        --counts_->logging_in;
    }
    if (--found->second.all == 0) counts_->by_network.erase(found);
}

// ---- queues: the first gauge of health -------------------------------------------------------------------------------------

std::vector<storage::QueueDepth> Server::queues() const {
    std::vector<storage::QueueDepth> all;
    const auto show = [&all](const net::Loop& loop) {
        const auto mailbox = loop.mailbox();
        all.push_back({loop.name() + " mailbox", mailbox.depth, mailbox.high_water, mailbox.oldest});
    };
    for (const auto& worker : workers_) {
        show(worker->loop);
        all.push_back(worker->unhurried.depth());
    }
    {
        const std::lock_guard lock{other_loops_mutex_};
        for (const net::Loop* const loop : other_loops_) show(*loop);
    }
    for (storage::QueueDepth& queue : storage_->queues()) all.push_back(std::move(queue));
    all.push_back(hashes_->depth());
    all.push_back(sms_->depth());
    if (push_gateway_) all.push_back(push_gateway_->depth());
    return all;
}

void Server::show_queue_of(const net::Loop& loop) {
    const std::lock_guard lock{other_loops_mutex_};
    other_loops_.push_back(&loop);
}

void Server::hide_queue_of(const net::Loop& loop) {
    const std::lock_guard lock{other_loops_mutex_};
    std::erase(other_loops_, &loop);
}

// Warns once when a queue is too deep or too old, and says so once when it is back to half of that.
void Server::watch_queues() {
    const auto config = this->config();
    for (const storage::QueueDepth& queue : queues()) {
        const bool alarming = queue.depth > config->alerts.queue_depth || queue.oldest > config->alerts.queue_age;
        const bool calm = queue.depth <= config->alerts.queue_depth / 2 && queue.oldest <= config->alerts.queue_age / 2;
        const bool warned = alarmed_.contains(queue.name);
        const std::string depth = std::to_string(queue.depth);
        if (alarming && !warned) {
            alarmed_.insert(queue.name);
            log::warn("a queue is too long", {{"queue", queue.name}, {"depth", depth}, {"oldest_ms", std::to_string(queue.oldest.count() / 1000)}});
        } else if (calm && warned) {
            alarmed_.erase(queue.name);
            log::info("a queue is back to normal", {{"queue", queue.name}, {"depth", depth}});
        }
    }
    queue_timer_.start(workers_.front()->loop, queue_watch, [this] { watch_queues(); });
}

}  // namespace server
