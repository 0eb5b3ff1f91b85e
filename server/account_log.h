// SPDX-License-Identifier: MIT
// An account's ordered message log as its worker sees it: gives out places, hands entries to storage, follows each
// device's cursor, and sends a device what lies behind it (offline messages, XEP-0160, XEP-0203). An entry is counted as
// delivered when the session's stream has handed it to the kernel, or when a module says so (stream management's ack).
// The cursor of a device never passes an entry that one of its sessions was sent and may not have. An entry that is kept
// for devices alone, all of which have it when the turn ends, is never written at all; where nobody's ack promises that it
// is stored (messages.ack = "receive"), its clients' acks are waited for a second.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/hooks.h"
#include "server/net/loop.h"
#include "server/receipt.h"
#include "storage/storage.h"

namespace server {

class Account;
class Session;

class AccountLog final : public net::EndOfTurn {
public:
    explicit AccountLog(Account& account) : account_{account} {}
    ~AccountLog() override;

    void open(storage::LogId last);                      // at load: the last entry that is stored
    void add_device(storage::Device& device);            // its cursor stands at the end, here and in storage
    // Writing: Passage::keep takes a place, run() writes it. False: refused, too much waits for the database already.
    storage::LogId reserve();
    bool write(Passage& passage);
    // What a sender is told then; or later, when the commit fails, whoever was sent the message meanwhile.
    static const xmpp::StanzaError not_stored;
    storage::LogId last() const { return last_; }

    // The entry reached that session's client. In turn it moves the device's cursor, out of turn it is marked.
    void delivered(Session& session, LogPlace place);
    // Sends the session what its device lacks, oldest first and stamped with <delay/>, at the pace of its socket. Until
    // it is done, stored messages reach the session this way only. Starts by itself and ends by itself.
    void catch_up(Session& session);
    // The session's client was given a page of the archive that reaches back to its cursor (XEP-0313). A device that does
    // so is not sent its backlog as well, the next time: its client has some seconds to fetch it. `is_all`: with this
    // page it has everything that is stored.
    void archive_read(Session& session, bool is_all);
    void expects_archive(const Session& session);    // it says that it will do so (XEP-0386 §3.2)
    storage::LogId cursor(const Session& session);   // the last entry that its device has for certain

    // A session's stream is gone: nobody acknowledges what is not written yet.
    void lost() { write_postponed(net::Duration::max()); }
    // What the session was sent and did not acknowledge is owed to its device again.
    void ended(Session& session);

    bool is_idle() const { return uncommitted_.empty(); }

private:
    struct Uncommitted {
        storage::LogId entry;
        xmpp::Stanza stanza;
        bool is_incoming;
        xmpp::Wire xml{};                       // while it is postponed: not given to storage yet
        std::shared_ptr<Receipt> receipt{};     // who waits for that
        net::Duration since{};                  // when that began
        bool is_postponed = false;
    };
    void on_end_of_turn() override;
    // What is postponed since then or longer; what every device has got meanwhile is only forgotten.
    void write_postponed(net::Duration since);
    void append(storage::LogEntry entry, std::shared_ptr<Receipt> receipt);
    bool may_all_get_it_now() const;
    Uncommitted* find_uncommitted(storage::LogId entry);
    bool is_postponed(storage::LogId entry);
    Uncommitted* next_postponed(storage::LogId after);
    storage::Device* device_of(const Session& session);   // whose cursor and reads_archive are changed here alone
    void start(Session& session);
    void wait_for_client(Session& session);
    void set_reads_archive(storage::Device& device, bool reads);
    void settled(storage::LogId entry, const storage::Result<void>& committed, Receipt* receipt);
    bool is_owed_before(const Session& asking, storage::LogId entry) const;
    // What comes in while sessions catch up follows what they read, from here: were it to be read as well, who is written to
    // faster than the database answers would never be done.
    struct CatchingUp {
        struct Newer { storage::LogId entry; xmpp::Wire xml; };
        struct Scope {   // of one session
            explicit Scope(AccountLog& of);
            ~Scope();
            Scope(const Scope&) = delete;
            Scope& operator=(const Scope&) = delete;
            AccountLog& log;
        };
        storage::LogId all_behind;   // what came in behind that place is in `newer`
        std::vector<Newer> newer;
        std::size_t bytes;
        unsigned sessions;
    };
    void note_newer(storage::LogId entry, const xmpp::Wire& xml);
    storage::Task<void> run_catch_up(std::shared_ptr<Session> session);
    void send_newer(Session& session, storage::LogId after);
    void caught_up(Session& session, storage::LogId horizon);
    void send_entry(Session& session, const storage::LogEntry& entry);

    Account& account_;
    storage::LogId last_ = 0;
    std::vector<Uncommitted> uncommitted_;   // by rising place; empty most of the time
    storage::LogId writing_ = 0;             // the entry that is being given to storage
    bool is_refused_ = false;                // and was refused at once
    std::unique_ptr<net::Timer> patience_;   // while something is postponed beyond its turn
    std::unique_ptr<CatchingUp> catching_up_;   // while sessions do
};

}  // namespace server
