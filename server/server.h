// SPDX-License-Identifier: MIT
// All of it: configuration, storage, authentication, the workers, and what is common to them. Made once by main, or by a
// test with a manual clock and no threads.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "auth/hash_pool.h"
#include "auth/invitations.h"
#include "auth/linking.h"
#include "auth/rate_limit.h"
#include "auth/registration.h"
#include "auth/sms.h"
#include "server/config.h"
#include "server/export_links.h"
#include "server/net/loop.h"
#include "server/net/tls.h"
#include "server/partial_accounts.h"
#include "server/push_gateway.h"
#include "server/restart.h"
#include "server/retention.h"
#include "server/worker.h"
#include "storage/storage.h"

namespace server {

class Listener;
namespace net { class Handover; }

class Server {
public:
    // `workers`: threads are not started before run(). The storage is open.
    Server(Config config, std::unique_ptr<storage::Storage> storage, const net::Clock& clock, unsigned workers);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Fetches what every worker needs before the first client (the server's secret). Call on a thread with an Executor.
    storage::Task<storage::Result<void>> prepare();

    // Opens the c2s listeners, starts one thread per worker. Problems are returned as text, one per line. `left`: what the
    // process before this one listened on.
    xmpp::Result<void, std::string> start(net::Handover& left);
    void hand_over(net::Handover& next) const;              // between start() and stop()
    // What start() does; in-process scenes, which do not start, do it themselves.
    void restore_sessions();
    // Ends every stream, waits for what is stored, stores what waits to be resumed, ends the threads. From the main thread;
    // once. Without threads: settles.
    void stop();

    // In-process scenes: turns all workers' loops until none has anything to do.
    void settle();

    std::shared_ptr<const Config> config() const { return std::atomic_load(&config_); }   // any thread
    // Takes over what is live; any thread. What needs a restart keeps its old value; names of it are returned.
    std::vector<std::string> reload(Config fresh);

    storage::Storage& storage() { return *storage_; }
    auth::HashPool& hashes() { return *hashes_; }
    auth::SmsGateway& sms() { return *sms_; }
    PushGateway* push_gateway() { return push_gateway_.get(); }   // nullptr: push.url is empty
    auth::Registration& registration() { return *registration_; }
    auth::Invitations& invitations() { return *invitations_; }
    auth::Linking& linking() { return *linking_; }        // after prepare()
    const Retention& retention() const { return *retention_; }
    const std::string& fake_salt_secret() const { return fake_salt_secret_; }
    const std::string& archive_id_secret() const { return archive_id_secret_; }
    const std::string& token_key() const { return token_key_; }   // not in the storage
    PartialAccounts& partial_accounts() { return partial_accounts_; }
    storage::Task<storage::Result<void>> read_partial_accounts();   // again, from storage
    ExportLinks& export_links() { return export_links_; }
    auth::RateLimit& room_invitations() { return room_invitations_; }   // by who invites; any thread
    std::shared_ptr<net::TlsContext> tls() const { return std::atomic_load(&tls_); }     // any thread
    const net::Clock& clock() const { return clock_; }
    storage::Time started_at() const { return started_at_; }

    const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }
    Worker& worker_of(std::string_view bare_jid) const;     // where the account lives
    // Any thread: the account's keys have changed or it is gone; its sessions end with not-authorized.
    void keys_changed(const xmpp::Jid& account);
    // Any thread: storage has the account no more; all workers hear of it.
    void account_removed(const xmpp::Jid& account);
    // Any thread: storage has a device of the account less, or one more.
    void device_revoked(const xmpp::Jid& account, const std::string& device);
    void device_linked(const xmpp::Jid& account, const storage::Device& device);
    // Any thread: both have agreed to be contacts, so each enters the other's roster (XEP-0401 §5.5); unless `one` has no room.
    void befriend(const xmpp::Jid& one, const xmpp::Jid& other);

    // Connections of each client (auth::network_of), and those before login of all, over all listeners (any thread).
    bool admit(const std::string& address);
    void leave(const std::string& address, bool logged_in);
    void logged_in(const std::string& address);
    auth::RateLimit& failed_logins() { return failed_logins_; }   // of a client; each costs a hash; any thread

    // Every queue of the process: mailboxes, outboxes, SQL, commit, hashing, SMS (any thread).
    std::vector<storage::QueueDepth> queues() const;
    // The mailbox of a loop that is no worker's is one of them while it lives (any thread).
    void show_queue_of(const net::Loop& loop);
    void hide_queue_of(const net::Loop& loop);
    struct Addresses { std::vector<std::string> c2s, direct_tls; };
    const Addresses& addresses() const { return addresses_; }   // as bound: port 0 resolved

private:
    xmpp::Result<void, std::string> load_certificates();
    void store_sessions();
    void watch_queues();

    std::shared_ptr<const Config> config_;
    const net::Clock& clock_;
    storage::Time started_at_;
    std::unique_ptr<storage::Storage> storage_;
    std::unique_ptr<auth::HashPool> hashes_;
    std::unique_ptr<auth::SmsGateway> sms_;
    std::unique_ptr<PushGateway> push_gateway_;
    std::unique_ptr<auth::Registration> registration_;
    std::unique_ptr<auth::Invitations> invitations_;
    std::unique_ptr<auth::Linking> linking_;
    std::shared_ptr<net::TlsContext> tls_;
    std::string fake_salt_secret_, archive_id_secret_, token_key_;
    PartialAccounts partial_accounts_;
    ExportLinks export_links_;
    auth::RateLimit room_invitations_{config_->rooms.invitations_an_hour, std::chrono::hours{1}};
    auth::RateLimit failed_logins_{60, std::chrono::minutes{1}};
    struct ConnectionCounts;
    std::unique_ptr<ConnectionCounts> counts_;              // before the workers, whose connections leave it at their end
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<std::unique_ptr<Listener>> listeners_;
    Restart restart_{*this};
    std::vector<std::thread> threads_;
    bool stopped_ = false;
    Addresses addresses_;
    std::set<std::string> alarmed_;                         // queues that were warned of; the first worker's alone
    net::Timer queue_timer_;
    std::unique_ptr<Retention> retention_;                  // the first worker's
    mutable std::mutex other_loops_mutex_;
    std::vector<const net::Loop*> other_loops_;             // guarded by that
};

}  // namespace server
