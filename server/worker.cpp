// SPDX-License-Identifier: MIT
// The session table of one worker: which accounts are loaded, and how they come and go.
#include "server/worker.h"

#include <algorithm>

#include "server/config.h"
#include "server/connection.h"
#include "server/log.h"
#include "server/server.h"

namespace server {

constexpr std::size_t idle_accounts_kept = 20000;  // without a session, per worker: roster and block list at hand
constexpr std::size_t read_buffer_bytes = 64 * 1024;

Worker::Worker(Server& owner, unsigned number, const net::Clock& clock)
    : server{owner},
      index{number},
      loop{"worker " + std::to_string(number), clock},
      host{*this},
      router{*this},
      presence{host},
      subscriptions{host},
      roster_iq{host},
      unhurried{*this},
      read_buffer(read_buffer_bytes) {
    configure(owner.config());
    modules_ = make_modules(host);
}

Worker::~Worker() {
    // A session that waits to be resumed holds its account, which holds it.
    for (const auto& [jid, entry] : accounts_)
        if (entry.account) entry.account->forget_sessions();
}

void Worker::configure(std::shared_ptr<const Config> fresh) {
    config = std::move(fresh);
    limits = login_limits = config->limits.stanza;
    login_limits.stanza_bytes = config->limits.stanza_bytes_before_login;
    parser = std::make_unique<xmpp::Parser>(limits);
}

storage::Storage& Worker::storage() const { return server.storage(); }

void Worker::spawn(std::string_view what, storage::Task<void> task) {
    storage::detach(std::move(task), [what, receipt = Receipt::current()](const std::exception_ptr& failure) {
        if (!failure) return;
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& bug) {
            log::error("a task failed", {{"task", what}, {"why", bug.what()}});
        }
    });
}

// ---- accounts ----------------------------------------------------------------------------------------------------------

Account* Worker::find(std::string_view bare) const {
    const auto found = accounts_.find(bare);
    return found == accounts_.end() ? nullptr : found->second.account.get();
}

bool Worker::is_loading(std::string_view bare) const {
    const auto entry = accounts_.find(bare);
    return entry != accounts_.end() && entry->second.fetching;
}

std::size_t Worker::waiting_for(std::string_view bare) const {
    const auto entry = accounts_.find(bare);
    return entry != accounts_.end() && entry->second.fetching ? entry->second.fetching->waiting.size() : 0;
}

void Worker::with_account(xmpp::JidView bare, Found found) {
    auto entry = accounts_.find(bare.text());
    if (entry == accounts_.end()) entry = accounts_.try_emplace(std::string{bare.text()}).first;
    if (entry->second.account) return found(entry->second.account.get(), false);
    const bool is_asked_for = entry->second.fetching != nullptr;
    if (!is_asked_for) entry->second.fetching = std::make_unique<Fetching>();
    entry->second.fetching->waiting.push_back(std::move(found));
    if (!is_asked_for) spawn("loading an account", fetch(xmpp::Jid{bare}));
}

storage::Task<void> Worker::fetch(xmpp::Jid bare) {
    auto record = co_await storage().accounts().find(bare);
    if (!record) {
        if (const std::uint64_t times = not_loaded.count(now()))
            log::warn("account not loaded", {{"jid", bare.text()}, {"why", record.error().text}, {"times", std::to_string(times)}});
        settle(bare.text(), nullptr, true);
        co_return;
    }
    if (!*record) {
        settle(bare.text(), nullptr, false);
        co_return;
    }
    auto account = std::make_shared<Account>(*this, std::move(**record));
    auto items = co_await storage().rosters().load(account->id());
    auto last = co_await storage().messages().last_id(account->id());
    bool complete = items.ok() && last.ok();
    if (complete) {
        account->roster.open(std::move(*items));
        account->log.open(*last);
        for (const auto& hook : host.loading.entries()) {
            auto task = hook.call(hook.module, *account);
            const auto loaded = co_await task;
            complete = complete && loaded.ok();
        }
    }
    if (!complete) log::warn("account not loaded", {{"jid", bare.text()}, {"why", "its roster, log or lists could not be read"}});
    settle(bare.text(), complete ? std::move(account) : nullptr, !complete);
}

// Those who waited are called in the order in which they came; one of them may already ask for the account again.
void Worker::settle(const std::string& bare, const std::shared_ptr<Account>& account, bool failed) {
    const auto entry = accounts_.find(bare);
    if (entry == accounts_.end() || !entry->second.fetching) return;
    if (std::exchange(entry->second.fetching->is_stale, false)) return spawn("loading an account", fetch(*xmpp::Jid::parse(bare)));
    const std::unique_ptr<Fetching> fetched = std::move(entry->second.fetching);
    if (account) entry->second.account = account;
    else accounts_.erase(entry);
    for (const Found& found : fetched->waiting) found(account.get(), failed);
    if (account && account->is_idle()) became_idle(*account);
}

namespace {

// Lives in the coroutine's frame until it is resumed; with_account calls back exactly once, perhaps before it returns.
struct LoadedAccount {
    Worker& worker;
    xmpp::Jid bare;
    std::shared_ptr<Account> account = nullptr;
    bool asking = true, answered = false;

    bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> waiter) {
        worker.with_account(bare, [this, waiter](Account* found, bool) {
            if (found) account = found->shared_from_this();
            answered = true;
            if (!asking) waiter.resume();
        });
        asking = false;
        return !answered;
    }
    std::shared_ptr<Account> await_resume() { return std::move(account); }
};

}  // namespace

storage::Task<std::shared_ptr<Account>> Worker::load(xmpp::Jid bare) {
    LoadedAccount loaded{*this, std::move(bare)};
    auto account = co_await loaded;
    co_return account;
}

void Worker::unload(std::string_view bare) {
    const auto entry = accounts_.find(bare);
    if (entry == accounts_.end()) return;
    if (entry->second.fetching) entry->second.fetching->is_stale = true;
    if (!entry->second.account) return;
    const std::shared_ptr<Account> account = entry->second.account;
    const auto sessions = account->sessions();
    for (const auto& session : sessions)
        session->end({xmpp::StreamCondition::not_authorized, "The keys of this account have changed."});
    host.unloading.tell(*account);
    accounts_.erase(account->jid().text());  // ending sessions may have loaded others: the iterator is stale
}

std::size_t Worker::session_count() const {
    std::size_t count = 0;
    for_each_account([&](const Account& account) { count += account.sessions().size(); });
    return count;
}

std::size_t Worker::loading_count() const {
    return static_cast<std::size_t>(std::ranges::count_if(accounts_, [](const auto& entry) { return entry.second.fetching != nullptr; }));
}

void Worker::became_idle(Account& account) {
    if (!account.is_idle()) return;
    if (account.idle != Account::Idle::unlisted) {
        account.idle = Account::Idle::again;
        return;
    }
    account.idle = Account::Idle::listed;
    idle_.push_back(account.jid().text());
    if (idle_.size() > idle_accounts_kept) loop.post([this] { drop_idle(); });
}

void Worker::drop_idle() {
    while (idle_.size() > idle_accounts_kept) {
        const auto entry = accounts_.find(idle_.front());
        idle_.pop_front();
        if (entry == accounts_.end() || !entry->second.account) continue;
        const std::shared_ptr<Account> account = entry->second.account;
        const bool was_used = std::exchange(account->idle, Account::Idle::unlisted) == Account::Idle::again;
        if (!account->is_idle()) continue;
        if (was_used) {
            became_idle(*account);   // behind the others
            continue;
        }
        host.unloading.tell(*account);
        accounts_.erase(account->jid().text());
    }
}

// ---- connections -------------------------------------------------------------------------------------------------------

void Worker::adopt(std::unique_ptr<Connection> connection) {
    Connection* const key = connection.get();
    connections_.emplace(key, std::move(connection));
}

std::unique_ptr<Connection> Worker::release(Connection& connection) {
    auto node = connections_.extract(&connection);
    return node ? std::move(node.mapped()) : nullptr;
}

void Worker::destroy(Connection& connection) {
    // The job's closure owns it until the mailbox drops the job.
    if (auto owned = release(connection)) loop.post([gone = std::move(owned)] {});
}

std::size_t Worker::lingering_count() const {
    return static_cast<std::size_t>(std::ranges::count_if(connections_, [](const auto& entry) { return entry.first->is_lingering(); }));
}

void Worker::go_down(const xmpp::StreamError& error) {
    going_down_ = error;
    std::vector<Connection*> open;
    for (const auto& [connection, owned] : connections_) open.push_back(connection);
    for (Connection* const connection : open) connection->stream().go_down(error);
}

}  // namespace server
