// SPDX-License-Identifier: MIT
// RFC 6121 §2: an account's roster in memory, written through to storage. The account's worker alone touches it.
// Subscription states (appendix A) are changed by subscription.cpp, presence goes by them in presence.cpp.
#pragma once

#include <coroutine>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/storage.h"
#include "xmpp/jid.h"
#include "xmpp/xml_writer.h"

namespace server {

std::string_view to_string(storage::Subscription subscription);   // RFC 6121 §2.1.2.5

class Account;
class Session;

class Roster {
public:
    struct ByText {
        using is_transparent = void;
        bool operator()(xmpp::JidView a, xmpp::JidView b) const { return a.text() < b.text(); }
    };
    using Items = std::map<xmpp::Jid, storage::RosterItem, ByText>;

    explicit Roster(Account& account) : account_{account} {}

    void open(std::vector<storage::RosterItem> items);     // at load
    const storage::RosterItem* find(xmpp::JidView bare) const;   // tombstones are not found
    const Items& items() const { return items_; }          // tombstones included
    std::uint64_t version() const { return version_; }
    std::size_t size() const { return shown_; }            // items that clients see
    std::size_t requests() const;                          // contacts that wait for an answer and are not in the roster
    // limits.roster_items, and bytes of all items together. What takes no more than it does now always has room.
    bool has_room_for(const storage::RosterItem& item) const;

    bool sends_presence_to(xmpp::JidView bare) const;      // the contact is subscribed to us: from or both
    bool receives_presence_from(xmpp::JidView bare) const; // we are subscribed to the contact: to or both

    // Visits every item but tombstones. The visitor may send stanzas, even such that change this roster.
    template <class F>
    void for_each(F visit) {
        ++visitors_;
        for (auto& [jid, item] : items_)
            if (!is_tombstone(item)) visit(std::as_const(item));
        if (--visitors_ == 0) sweep();
    }

    // Stores the item, with a new version when clients see a difference, and takes it over. What leaves the roster
    // becomes a tombstone; what nothing is left of is forgotten. True: push() it now. The caller holds the turn.
    storage::Task<storage::Result<bool>> store(storage::RosterItem item);
    // A roster push to every interested resource (§2.1.6).
    void push(xmpp::JidView bare);
    // Both.
    storage::Task<storage::Result<void>> change(storage::RosterItem item);

    // §2.6.3: the changes behind `known`, a version that a client has. nullopt: it is no version that can be told from.
    std::optional<std::vector<const storage::RosterItem*>> changes_since(std::string_view known) const;
    void push_to(Session& session, const storage::RosterItem& item);

    // Serialises read-modify-write across co_await: hold the turn while deciding and changing.
    class Turn;
    struct TurnAwaiter;
    TurnAwaiter turn();
    bool is_changing() const { return turn_taken_; }

private:
    friend class Turn;
    static bool is_tombstone(const storage::RosterItem& item);
    void count(const storage::RosterItem& item);
    void count_no_more(const storage::RosterItem& item);
    void take_over(storage::RosterItem item);
    void erase(Items::iterator at);
    void sweep();
    storage::Task<void> drop_old_tombstones();

    Account& account_;
    Items items_;
    std::uint64_t version_ = 0;
    std::uint64_t forgotten_ = 0;      // what was removed up to this version is not known: its tombstones are gone, or there was no account
    std::size_t shown_ = 0;
    std::size_t bytes_ = 0;            // of those
    std::uint64_t pushes_ = 0;
    std::uint32_t visitors_ = 0;
    bool needs_sweep_ = false;
    bool turn_taken_ = false;
    std::vector<std::coroutine_handle<>> waiting_;   // in their order; seldom more than one
};

// Held by the coroutine that may change the roster; given on when destroyed. Keeps the account in memory.
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
