// SPDX-License-Identifier: MIT
// An account's ordered message log as its worker sees it: gives out positions, hands entries to storage, follows each
// device's cursor, and sends a device what lies behind it (offline messages, XEP-0160, XEP-0203). An entry is counted as
// delivered when the session's stream has handed it to the kernel, or when a module says so (stream management's ack).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/hooks.h"
#include "storage/storage.h"

namespace server {

class Account;
class Session;

class AccountLog {
public:
    explicit AccountLog(Account& account) : account_{account} {}

    void open(storage::LogId last, const std::vector<storage::Device>& devices);   // at load
    // Appends a stanza; its position comes back at once, `done` with true when it is committed, false when it could not be.
    storage::LogId append(storage::Direction direction, xmpp::JidView peer, const xmpp::Stanza& stanza, xmpp::Wire standing_alone,
                          std::function<void(bool)> done);
    storage::LogId last() const { return last_; }

    // The entry reached that session's client. In turn it moves the device's cursor, out of turn it is marked.
    void delivered(Session& session, storage::LogId entry);
    // Sends the session what its device lacks, oldest first and stamped with <delay/>, at the pace of its socket. Until
    // it is done, stored messages reach the session this way only. Starts by itself and ends by itself.
    void catch_up(Session& session);

    bool is_idle() const { return pending_ == 0; }

private:
    struct DeviceCursor { std::string device; storage::LogId at = 0; };
    DeviceCursor* cursor_of(const std::string& device);
    storage::Task<void> run_catch_up(std::shared_ptr<Session> session);
    void send_entry(Session& session, const storage::LogEntry& entry);

    Account& account_;
    storage::LogId last_ = 0;
    std::size_t pending_ = 0;      // appends not committed yet
    std::vector<DeviceCursor> cursors_;
};

}  // namespace server
