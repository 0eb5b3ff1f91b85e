// SPDX-License-Identifier: MIT
// RFC 6121 §2: an account's roster in memory, written through to storage. The account's worker alone touches it.
// Subscription states (appendix A) are changed by subscription.cpp, presence goes by them in presence.cpp.
#pragma once

#include <deque>
#include <coroutine>
#include <map>
#include <string>
#include <vector>

#include "storage/storage.h"
#include "xmpp/jid.h"
#include "xmpp/xml_writer.h"

namespace server {

class Account;

class Roster {
public:
    explicit Roster(Account& account) : account_{account} {}

    void open(std::vector<storage::RosterItem> items);     // at load
    const storage::RosterItem* find(xmpp::JidView bare) const;   // tombstones are not found
    const std::map<xmpp::Jid, storage::RosterItem>& items() const { return items_; }   // tombstones included
    std::uint64_t version() const { return version_; }
    std::size_t size() const;                              // items that clients see

    bool sends_presence_to(xmpp::JidView bare) const;      // the contact is subscribed to us: from or both
    bool receives_presence_from(xmpp::JidView bare) const; // we are subscribed to the contact: to or both

    // Stores the item, with a new version, then takes it over and pushes it to every interested resource (§2.1.6) when
    // it is one that clients see. A removed item becomes a tombstone. Changes of one account wait for each other.
    storage::Task<storage::Result<void>> change(storage::RosterItem item);

    // Serialises read-modify-write across co_await: hold the turn while deciding and changing.
    class Turn;
    struct TurnAwaiter;
    TurnAwaiter turn();

private:
    friend class Turn;
    void push(const storage::RosterItem& item);

    Account& account_;
    std::map<xmpp::Jid, storage::RosterItem> items_;
    std::uint64_t version_ = 0;
    bool turn_taken_ = false;
    std::deque<std::coroutine_handle<>> waiting_;
};

// Held by the coroutine that may change the roster; given on when destroyed.
class Roster::Turn {
public:
    explicit Turn(Roster* roster) : roster_{roster} {}
    Turn(Turn&& other) noexcept : roster_{std::exchange(other.roster_, nullptr)} {}
    Turn& operator=(Turn&&) = delete;
    ~Turn();

private:
    Roster* roster_;
};

struct Roster::TurnAwaiter {
    Roster& roster;
    bool await_ready() const noexcept;
    void await_suspend(std::coroutine_handle<> waiter);
    Turn await_resume() { return Turn{&roster}; }
};

void write_roster_item(xmpp::XmlWriter& w, const storage::RosterItem& item);   // <item …><group/>…</item>

}  // namespace server
