// SPDX-License-Identifier: MIT
// Every place where a module may take part in a stanza's passage and a session's life. A module appends itself to a
// chain when it is constructed; chains are frozen after that: no locks, no allocation, no names while running. Modules
// see a stanza in the order of modules.def, stations in the order of the enum; there are no priorities.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/storage.h"
#include "xmpp/error.h"
#include "xmpp/stanza.h"
#include "xmpp/wire.h"

namespace server {

class Account;
class Session;

//  screen   may refuse (blocking, limits)
//  stamp    may edit (strip forged ids, add a stanza-id)
//  archive  remembers
//  copy     sends to the account's other devices
enum class Station { screen, stamp, archive, copy };
inline constexpr std::size_t station_count = 4;
std::string_view to_string(Station station);

class [[nodiscard]] Verdict {  // what a hook decided
public:
    static Verdict pass() { return Verdict{Kind::pass}; }   // next hook, please
    static Verdict drop() { return Verdict{Kind::drop}; }   // handled, or silently discarded
    static Verdict bounce(xmpp::StanzaError error) {        // only the router turns this into <error/>
        Verdict verdict{Kind::bounce};
        verdict.error_ = std::make_unique<xmpp::StanzaError>(std::move(error));
        return verdict;
    }
    bool passes() const { return kind_ == Kind::pass; }
    const xmpp::StanzaError* error() const { return error_.get(); }

private:
    enum class Kind : std::uint8_t { pass, drop, bounce };
    explicit Verdict(Kind kind) : kind_{kind} {}
    Kind kind_;
    std::unique_ptr<xmpp::StanzaError> error_;
};

// An entry of an account's log on its way to one session's client.
struct LogPlace {
    storage::LogId entry = 0;   // 0: it is not logged
    bool in_turn = false;       // everything before it was sent to the session as well: the device's cursor moves with it
    explicit operator bool() const { return entry != 0; }
};

// What an account's log keeps an entry for.
enum class Keep : std::uint8_t {
    until_delivered,   // until every device of the account has it
    in_archive,        // as long as messages.retention says
};

// One stanza on its way through one account: the sender's (OUTBOUND) or the recipient's (INBOUND). Lives on the stack.
struct Passage {
    Passage(storage::Direction way, const xmpp::Stanza& s, Account& a, Session* f, xmpp::JidView from_jid, xmpp::JidView to_jid)
        : direction{way}, stanza{s}, account{a}, sender{f}, from{from_jid}, to{to_jid} {}

    const storage::Direction direction;   // outgoing: OUTBOUND, in the sender's account; incoming: INBOUND
    const xmpp::Stanza& stanza;
    Account& account;
    Session* sender;            // OUTBOUND: the session that sent it, or nullptr when the server did. INBOUND: nullptr
    xmpp::JidView from, to;     // stamped

    // Asks for a place in the account's log (archive station). It is written there before the copy station.
    storage::LogId keep(Keep why);
    storage::LogId logged_as = 0;   // that place
    Keep kept = Keep::until_delivered;
    bool may_be_archived = true;    // the account does not object
    std::string words;              // what a search of the archive finds it by
    bool is_reflected = false;      // INBOUND: what the account itself said, from a room that says it to all

    // Edits, seen by everyone after this hook: XML to add behind the payload, children to leave out.
    std::string appended;
    std::vector<xmpp::Element> stripped;
    bool is_edited() const { return !appended.empty() || !stripped.empty(); }
    xmpp::Wire wire();          // the stanza with its edits, written once

private:
    xmpp::Wire wire_;
    std::size_t written_with_ = 0;
};

// A stanza about to leave to one session.
struct Leaving {
    Session& session;
    const xmpp::Stanza* stanza;     // nullptr for what the server wrote itself (IQ results, errors)
    xmpp::Wire wire;
    LogPlace logged_as;             // entry of the session's account's log that this is, if it is one
    bool acknowledged_later = false;   // set by a hook that will call AccountLog::delivered itself (stream management)
};

// Functions of modules, called in the order in which they were added.
template <class R, class... A>
class Chain {
public:
    struct Entry {
        void* module;
        R (*call)(void*, A...);
        std::string_view name;
    };

    // chain.add<&Carbons::copy_sent>(this, "carbons")
    template <auto Method, class M>
    void add(M* module, std::string_view name) {
        entries_.push_back({module, [](void* self, A... arguments) -> R { return (static_cast<M*>(self)->*Method)(std::forward<A>(arguments)...); }, name});
    }
    const std::vector<Entry>& entries() const { return entries_; }
    bool empty() const { return entries_.empty(); }

    // For chains without a verdict: everybody hears of it.
    void tell(A... arguments) const requires std::is_void_v<R> {
        for (const Entry& entry : entries_) entry.call(entry.module, arguments...);
    }
    // For chains of verdicts: the first that does not pass decides.
    Verdict ask(A... arguments) const requires std::is_same_v<R, Verdict> {
        for (const Entry& entry : entries_)
            if (Verdict verdict = entry.call(entry.module, arguments...); !verdict.passes()) return verdict;
        return Verdict::pass();
    }
    // For chains of claims: the first that answers true has taken it.
    bool claim(A... arguments) const requires std::is_same_v<R, bool> {
        for (const Entry& entry : entries_)
            if (entry.call(entry.module, arguments...)) return true;
        return false;
    }

private:
    std::vector<Entry> entries_;
};

using Stations = std::array<Chain<Verdict, Passage&>, station_count>;
Verdict run(const Stations& stations, Passage& passage);   // all of them in order, and the log

}  // namespace server
