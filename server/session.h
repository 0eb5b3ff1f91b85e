// SPDX-License-Identifier: MIT
// A connected resource (RFC 6120 §7): one row of the session table. Ownership, for all of server/:
// 1. An account, its sessions, roster, presence and module state are touched only on the account's worker; a connection
//    moves there when it has authenticated.
// 2. Whatever crosses from one worker to another is a value, put into a mailbox; what all share (limits by address, links,
//    partial accounts) is small and behind a lock of its own.
// 3. The sender's half of a route runs on the sender's worker, the recipient's half on the recipient's, each top to
//    bottom; order per sender and recipient follows from the mailbox.
// 4. What can block runs on a pool and is reached only by co_await; the online chat path contains none.
#pragma once

#include <coroutine>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "server/hooks.h"
#include "server/net/loop.h"
#include "server/slots.h"
#include "xmpp/jid.h"
#include "xmpp/shared_text.h"

namespace server {

class SessionState;
class Stream;
class Worker;

class Session final : public std::enable_shared_from_this<Session> {
public:
    Session(std::shared_ptr<Account> account, xmpp::Jid jid, xmpp::SharedText device, Stream* stream);
    ~Session();

    const xmpp::Jid& jid() const { return jid_; }
    Account& account() const { return *account_; }
    const std::shared_ptr<Account>& shared_account() const { return account_; }
    Worker& worker() const;
    const xmpp::SharedText& device() const { return device_; }   // its id
    Stream* stream() const { return stream_; }       // nullptr: the connection is gone, a module keeps the session
    void attach(Stream* stream) { stream_ = stream; }
    void detach();                                   // nobody waits for the socket any more, or for acks of what is not stored
    Slots& slots() { return slots_; }
    storage::Time bound_at() const { return bound_at_; }

    // RFC 6121 §4.2: set by presence.cpp alone.
    bool is_available() const { return available_; }
    int priority() const { return priority_; }       // RFC 6121 §4.7.2.3; meaningless when not available
    const xmpp::Stanza& presence() const { return presence_; }   // the last available presence
    bool takes_messages() const { return available_ && priority_ >= 0; }
    bool is_interested() const { return interested_; }   // RFC 6121 §2.1.6: asked for the roster
    void set_available(const xmpp::Stanza& presence, int priority);
    void set_unavailable();
    void set_interested() { interested_ = true; }
    // RFC 6121 §4.6: where presence was sent directly, to be told of the end.
    std::set<xmpp::Jid>& directed() ;
    bool has_directed() const { return directed_ && !directed_->empty(); }

    // What was stored for the session's device before it came (account_log.cpp).
    enum class Backlog : std::uint8_t {
        unsent,      // nothing of it is on its way
        fetched,     // its client fetches it from the archive; live messages are sent as they come
        being_sent,  // stored messages reach this session through the log, in order
        sent,        // live messages move the device's cursor
    };
    Backlog backlog = Backlog::unsent;
    bool has_read_archive = false;                   // all that was stored when it did
    std::unique_ptr<net::Timer> archive_patience;    // Backlog::fetched: how long the client may take
    bool is_caught_up() const { return backlog == Backlog::sent; }
    // Messages that are logged are sent as they come. Else the session gets them by its log.
    bool is_sent_live() const { return backlog == Backlog::sent || backlog == Backlog::fetched || !takes_messages(); }

    // Sends through LEAVING. The stanza may be nullptr (IQ results and the like).
    void send(const xmpp::Stanza* stanza, xmpp::Wire wire, LogPlace logged_as = {});
    void send_xml(std::string_view xml);             // a stanza the server wrote
    // Past LEAVING: for modules that held it back.
    void send_now(Leaving& leaving);
    // Log entries that were sent and of which nobody knows yet whether they arrived, in the order of sending.
    struct Outstanding { LogPlace place; bool is_acknowledged_later; };
    std::span<const Outstanding> outstanding() const { return std::span{outstanding_}.subspan(arrived_); }
    void sent_before(LogPlace place) { outstanding_.push_back({place, true}); }   // by the process before this one; not acknowledged
    // Its own part of what is stored for the next process. `restore`: it is new, without a stream.
    void store(SessionState& state) const;
    void restore(const SessionState& state);
    void no_longer_outstanding(storage::LogId entry);   // account_log.cpp alone
    void finish();                                   // nobody will resume it: unavailable, forgotten
    void leave() { has_left_ = true; }               // its client says goodbye; the end follows
    bool has_left() const { return has_left_; }
    void on_flushed();                               // its stream has handed everything to the kernel
    // Awaits that fewer than `unsent` bytes are queued for its socket, or that the stream is gone.
    struct Drained;
    Drained drained(std::size_t unsent);
    void on_drained();                               // some of the queue went out, or the stream did
    void end(xmpp::StreamError error);               // closes its stream with that error; ended when the stream is

private:
    void stop_live();

    std::shared_ptr<Account> account_;
    xmpp::Jid jid_;
    xmpp::SharedText device_;
    Stream* stream_;
    Slots slots_;
    storage::Time bound_at_;
    xmpp::Stanza presence_;
    std::unique_ptr<std::set<xmpp::Jid>> directed_;
    struct DrainWaiter { std::coroutine_handle<> handle; std::size_t unsent; };
    std::unique_ptr<std::vector<DrainWaiter>> waiting_for_drain_;   // seldom anybody
    std::vector<Outstanding> outstanding_;           // the first arrived_ of them are outstanding no more
    std::size_t arrived_ = 0;
    std::int16_t priority_ = 0;
    bool available_ = false;
    bool interested_ = false;
    bool is_finished_ = false;
    bool has_left_ = false;
};

struct Session::Drained {
    Session& session;
    std::size_t unsent;
    bool await_ready() const;
    void await_suspend(std::coroutine_handle<> waiter);
    void await_resume() const {}
};

}  // namespace server
