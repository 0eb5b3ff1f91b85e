// SPDX-License-Identifier: MIT
// An account as an actor on its worker: who it is, its roster, its sessions, its log. Loaded when somebody needs it,
// kept while sessions or work are there, dropped when the worker keeps too many idle ones.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "server/account_log.h"
#include "server/roster.h"
#include "server/session.h"
#include "server/slots.h"
#include "storage/storage.h"

namespace server {

class Worker;

class Account final : public std::enable_shared_from_this<Account> {
public:
    Account(Worker& worker, storage::Account record);
    ~Account();

    Worker& worker() const { return worker_; }
    storage::AccountId id() const { return record_.id; }
    const xmpp::Jid& jid() const { return record_.jid; }
    const storage::Account& record() const { return record_; }
    void set_last_logout(storage::Time when, std::string status);   // remembered here and stored
    // Storage has it, or has it no more; linked and revoked while the account was loaded.
    void add_device(storage::Device device);              // what was logged until now is not its to get
    void remove_device(std::string_view device);          // its sessions end with not-authorized
    std::span<storage::Device> devices() { return record_.devices; }   // without what proves who they are
    storage::Device* device(std::string_view id) { return record_.device(id); }
    const storage::Device* device(std::string_view id) const { return record_.device(id); }
    // It is here now: remembered, and stored unless that was done a moment ago.
    void mark_seen(std::string_view device, storage::Time::duration moment = std::chrono::minutes{1});
    void set_software(std::string_view device, std::string software);   // remembered here and stored
    Slots& slots() { return slots_; }

    Roster roster;          // RFC 6121 §2
    AccountLog log;

    const std::vector<std::shared_ptr<Session>>& sessions() const { return sessions_; }
    Session* session(std::string_view resourcepart) const;
    void add(std::shared_ptr<Session> session);
    void remove(Session& session);
    void forget_sessions() { sessions_.clear(); }   // at the end of the worker: nobody is told
    bool is_idle() const { return sessions_.empty() && log.is_idle() && busy == 0; }

    int busy = 0;            // coroutines that work on it
    // For its worker: where it stands among those that became idle.
    enum class Idle : std::uint8_t { unlisted, listed, again } idle = Idle::unlisted;

private:
    Worker& worker_;
    storage::Account record_;
    Slots slots_;
    std::vector<std::shared_ptr<Session>> sessions_;
};

// Whether a device may log in from there: its user or an admin may have said where it is used (Device::networks). Elsewhere
// its key is as good as none.
bool may_come_from(const storage::Device& device, std::string_view address);
std::string_view to_string(storage::DeviceRole role);

}  // namespace server
