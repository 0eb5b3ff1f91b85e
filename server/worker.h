// SPDX-License-Identifier: MIT
// One thread with one event loop, the accounts that live on it and their connections. `hash(bare JID) mod workers`
// decides where an account lives.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "server/account.h"
#include "server/awaited.h"
#include "server/counters.h"
#include "server/host.h"
#include "server/log.h"
#include "server/net/loop.h"
#include "server/presence.h"
#include "server/roster_iq.h"
#include "server/router.h"
#include "server/subscription.h"
#include "server/unhurried.h"
#include "xmpp/parser.h"

namespace server {

class Connection;
class Server;
struct Config;

class Worker {
public:
    Worker(Server& server, unsigned index, const net::Clock& clock);
    ~Worker();

    Server& server;
    const unsigned index;
    net::Loop loop;
    Host host;
    Router router;
    Presence presence;                         // RFC 6121 §4
    Subscriptions subscriptions;               // RFC 6121 §3
    RosterIq roster_iq;                        // RFC 6121 §2
    Unhurried unhurried;                       // probes of accounts that are not loaded
    std::shared_ptr<const Config> config;      // swapped on this thread at reload
    xmpp::Limits limits, login_limits;         // what framers enforce, after and before a resource is bound
    std::unique_ptr<xmpp::Parser> parser;      // pooled: serves all streams of this worker
    std::vector<char> read_buffer;             // shared by all sockets of this worker
    Counters counters;
    log::Repeated not_stored;                  // messages that the database refused: a full disk refuses many
    log::Repeated not_loaded;                  // accounts, likewise
    Awaited awaited{*this};

    void configure(std::shared_ptr<const Config> fresh);
    storage::Storage& storage() const;
    storage::Time now() const { return loop.wall(); }

    // The session table: bare JID → account → sessions.
    Account* find(std::string_view bare) const;            // loaded, or nullptr
    bool is_loading(std::string_view bare) const;          // is being fetched
    std::size_t waiting_for(std::string_view bare) const;  // how many wait for that
    // Calls back at once when the account is loaded or known to be missing (nullptr), else when it has been fetched.
    // Order is kept: what is asked for one account is called back in order. `failed`: the database did not answer.
    using Found = std::function<void(Account*, bool failed)>;
    void with_account(xmpp::JidView bare, Found found);
    storage::Task<std::shared_ptr<Account>> load(xmpp::Jid bare);   // nullptr: missing or failed
    void unload(std::string_view bare);                    // ends its sessions (not-authorized) and forgets it
    template <class F>
    void for_each_account(F visit) const { for (const auto& [jid, entry] : accounts_) if (entry.account) visit(*entry.account); }
    std::size_t session_count() const;
    std::size_t loading_count() const;                     // accounts that are being fetched, for stanzas that wait
    void became_idle(Account& account);

    // Runs a task that belongs to nobody: errors are logged under `what`.
    void spawn(std::string_view what, storage::Task<void> task);

    // Connections whose streams live here.
    void adopt(std::unique_ptr<Connection> connection);
    std::unique_ptr<Connection> release(Connection& connection);
    void destroy(Connection& connection);                  // when nobody's function is on the stack any more
    std::size_t connection_count() const { return connections_.size(); }
    std::size_t lingering_count() const;
    void go_down(const xmpp::StreamError& error);          // ends all streams, those that still come as well; kept sessions stay
    const std::optional<xmpp::StreamError>& going_down() const { return going_down_; }

private:
    struct Fetching {
        bool is_stale = false;                             // what is being fetched was changed meanwhile
        std::vector<Found> waiting;
    };
    struct Entry {
        std::shared_ptr<Account> account;
        std::unique_ptr<Fetching> fetching;                // while it is loaded
    };
    storage::Task<void> fetch(xmpp::Jid bare);
    void settle(const std::string& bare, const std::shared_ptr<Account>& account, bool failed);
    void drop_idle();

    std::unordered_map<std::string, Entry, xmpp::TextHash, std::equal_to<>> accounts_;
    std::deque<std::string> idle_;                         // bare JIDs that became idle, oldest first; looked at again
    std::unordered_map<Connection*, std::unique_ptr<Connection>> connections_;
    std::vector<std::unique_ptr<Module>> modules_;
    std::optional<xmpp::StreamError> going_down_;
};

}  // namespace server
