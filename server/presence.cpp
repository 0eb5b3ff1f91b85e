// SPDX-License-Identifier: MIT
// RFC 6121 §4: presence of an account's resources.
#include "server/presence.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "server/account.h"
#include "server/config.h"
#include "server/worker.h"
#include "xmpp/date_time.h"
#include "xmpp/parser.h"

namespace server {

using storage::RosterItem;
using storage::Subscription;
using xmpp::Condition;
using xmpp::Jid;
using xmpp::JidView;
using xmpp::Stanza;
namespace ns = xmpp::ns;

namespace {

constexpr std::size_t most_directed = 2000;          // entities that one session sends presence to directly
constexpr std::size_t longest_last_status = 1000;    // bytes
constexpr std::chrono::minutes fresh{1};             // presence older than this is stamped when a probe is answered

// RFC 6121 §4.7.2.3: an integer between -128 and +127, zero when absent. nullopt: anything else, or more than one.
std::optional<int> priority_of(const Stanza& presence) {
    std::optional<int> priority;
    for (const xmpp::Element child : presence.children()) {
        if (!child.is("priority", ns::client)) continue;
        const std::string whole = child.text();
        std::string_view text = whole;
        constexpr std::string_view space = " \t\r\n";
        text.remove_prefix(std::min(text.find_first_not_of(space), text.size()));
        text.remove_suffix(text.size() - (text.find_last_not_of(space) + 1));
        if (text.starts_with('+') && text.size() > 1 && text[1] != '-') text.remove_prefix(1);
        int value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
        if (value < -128 || value > 127 || priority) return std::nullopt;
        priority = value;
    }
    return priority.value_or(0);
}

std::string status_of(const Stanza& presence) {
    std::string status = presence.child("status", ns::client).text();
    if (status.size() <= longest_last_status) return status;
    std::size_t end = longest_last_status;
    while (end > 0 && (static_cast<unsigned char>(status[end]) & 0xc0U) == 0x80U) --end;  // not inside a character
    status.resize(end);
    return status;
}

Stanza unavailable_from(const Jid& resource) {
    xmpp::XmlWriter w;
    w.open("presence").attr("type", "unavailable").attr("from", resource.text());
    return xmpp::parse_trusted(w.take());
}

void write_delay(xmpp::XmlWriter& w, const Account& account, storage::Time since) {
    w.open("delay", ns::delay).attr("from", account.jid().domainpart());
    w.attr("stamp", xmpp::format_date_time(since)).close();
}

bool is_available(const Account& account) {
    for (const auto& session : account.sessions())
        if (session->is_available()) return true;
    return false;
}

}  // namespace

Presence::Presence(Host& host) : host_{host}, last_{host} {}

// ---- the sender's half -------------------------------------------------------------------------------------------------

void Presence::from_client(Session& session, const Stanza& stanza) {
    if (stanza.type().empty()) return become_available(session, stanza);
    if (stanza.type() == "unavailable") return become_unavailable(session, stanza, true);
    // RFC 6121 §4.7.1: there is no other type, or (§3, §4.3) it makes no sense without a 'to'.
    if (!stanza.is_error()) host_.worker.router.bounce(stanza, {}, Condition::bad_request);
}

void Presence::become_available(Session& session, const Stanza& stanza) {
    const auto priority = priority_of(stanza);
    if (!priority)
        return host_.worker.router.bounce(stanza, {}, {Condition::bad_request, "the priority is no number from -128 to 127"});
    const bool is_initial = !session.is_available();
    session.set_available(stanza, *priority);
    Last& last = last_[session];
    last.since = host_.worker.now();
    last.stamped = {};
    broadcast(session, stanza);  // RFC 6121 §4.2.2, §4.4.2
    if (is_initial) {
        show_own_resources(session);
        probe_contacts(session);
        deliver_requests(session);
    }
    host_.available.tell(session, is_initial);
}

// RFC 6121 §4.2.2, §4.4.2, §4.5.2: to the contacts that are subscribed to the user, and to the user's available
// resources, the one that sent it among them.
void Presence::broadcast(Session& session, const Stanza& stanza) {
    Account& account = session.account();
    account.roster.for_each([&](const RosterItem& item) {
        if (item.subscription == Subscription::from || item.subscription == Subscription::both)
            host_.worker.router.send(stanza, item.jid);
    });
    deliver(account, stanza, account.jid());
}

// RFC 6121 §4.2.2: the user is subscribed to the user's own other resources.
void Presence::show_own_resources(Session& session) {
    const auto sessions = session.account().sessions();
    for (const auto& other : sessions) {
        if (other.get() == &session || !other->is_available()) continue;
        const Stanza& shown = last_presence(*other);
        session.send(&shown, addressed(shown, session.account().jid()));
    }
}

// RFC 6121 §4.3.1: what the user's contacts are doing, the first time a resource becomes available.
void Presence::probe_contacts(Session& session) {
    Account& account = session.account();
    const auto probe_from = [](const Jid& prober) {
        xmpp::XmlWriter w;
        w.open("presence").attr("type", "probe").attr("from", prober.text());
        return xmpp::parse_trusted(w.take());
    };
    // From the bare JID, as the RFC has it. Among ourselves from the resource, which alone then gets the answer.
    Stanza probe, probe_at_home;
    account.roster.for_each([&](const RosterItem& item) {
        if (item.subscription != Subscription::to && item.subscription != Subscription::both) return;
        const bool is_local = host_.worker.config->is_local(item.jid.domainpart());
        Stanza& used = is_local ? probe_at_home : probe;
        if (!used) used = probe_from(is_local ? session.jid() : account.jid());
        host_.worker.router.send(used, item.jid);
    });
}

// RFC 6121 §3.1.3: requests that wait for the user's answer, at every initial presence until there is one.
void Presence::deliver_requests(Session& session) {
    session.account().roster.for_each([&](const RosterItem& item) {
        if (!item.pending_in || item.request.empty()) return;
        const Stanza request = xmpp::parse_or_empty(item.request);
        if (!request) return;   // its user goes on without it
        session.send(&request, addressed(request, session.account().jid()));
    });
}

void Presence::become_unavailable(Session& session, const Stanza& stanza, bool tell_itself) {
    Account& account = session.account();
    const bool was_available = session.is_available();
    session.set_unavailable();
    last_[session] = {};
    if (was_available) broadcast(session, stanza);  // RFC 6121 §4.5.2
    if (session.has_directed()) {
        // RFC 6121 §4.6.3: and to those that it showed itself to directly, unless they have just been told.
        const std::set<Jid> directed = std::exchange(session.directed(), {});
        for (const Jid& entity : directed) {
            const JidView bare = entity.view().bare();
            if (was_available && (bare == account.jid().view() || account.roster.sends_presence_to(bare))) continue;
            host_.worker.router.send(stanza, entity);
        }
    }
    if (!was_available) return;
    if (tell_itself) session.send(&stanza, addressed(stanza, account.jid()));  // RFC 6121 §4.5.2
    if (!is_available(account)) account.set_last_logout(host_.worker.now(), status_of(stanza));
    host_.unavailable.tell(session);
}

// RFC 6121 §4.5.2: a session that ends without a word is unavailable all the same.
void Presence::session_lost(Session& session) {
    if (session.is_available() || session.has_directed()) become_unavailable(session, unavailable_from(session.jid()), false);
}

void Presence::store(Session& session, SessionState& state) {
    state["presence"] = {std::to_string(last_[session].since.time_since_epoch().count())};
}

void Presence::restore(Session& session, const SessionState& state) {
    const SessionState::Texts* const texts = state.find("presence");
    if (texts && !texts->empty()) last_[session].since = storage::Time{std::chrono::microseconds{number_of<std::int64_t>(texts->front())}};
}

// RFC 6121 §4.6.3
void Presence::directed(Session& session, const Stanza& stanza, JidView to) {
    Account& account = session.account();
    const JidView bare = to.bare();
    const bool is_covered = bare == account.jid().view() || account.roster.sends_presence_to(bare);
    if (stanza.type() == "unavailable") {
        if (session.has_directed()) session.directed().erase(Jid{to});
    } else if (stanza.type().empty() && !(session.is_available() && is_covered)) {
        // Whom a broadcast does not reach must hear of the end as well.
        std::set<Jid>& directed = session.directed();
        if (directed.size() >= most_directed && !directed.contains(Jid{to}))
            return host_.worker.router.bounce(stanza, to, Condition::resource_constraint);
        directed.emplace(to);
    }
    host_.worker.router.send(stanza, to);
}

// RFC 6121 §3.1.5
void Presence::share(Account& account, JidView contact) {
    const auto sessions = account.sessions();
    for (const auto& session : sessions)
        if (session->is_available()) host_.worker.router.send(last_presence(*session), contact);
}

// RFC 6121 §3.2.2, §3.3.3
void Presence::withdraw(Account& account, JidView contact) {
    const auto sessions = account.sessions();
    for (const auto& session : sessions)
        if (session->is_available()) host_.worker.router.send(unavailable_from(session->jid()), contact);
}

// ---- the recipient's half ----------------------------------------------------------------------------------------------

void Presence::to_account(Account& account, const Stanza& stanza, JidView to) {
    // A contact's approval and its presence come in that order, and leave in it (RFC 6121 §3.1.6).
    if (account.roster.is_changing())
        return host_.worker.spawn("presence", after_roster_changes(account.shared_from_this(), stanza, Jid{to}));
    receive(account, stanza, to);
}

storage::Task<void> Presence::after_roster_changes(std::shared_ptr<Account> account, Stanza stanza, Jid to) {
    const Roster::Turn turn = co_await account->roster.turn();
    receive(*account, stanza, to);
}

void Presence::receive(Account& account, const Stanza& stanza, JidView to) {
    if (stanza.type() == "probe") return answer_probe(account, to, stanza.from());
    // RFC 6121 §8.5.2.1.2: available, unavailable and errors.
    if (stanza.type().empty() || stanza.type() == "unavailable" || stanza.is_error()) deliver(account, stanza, to);
}

void Presence::deliver(Account& account, const Stanza& stanza, JidView to) {
    // RFC 6121 §8.5.3.1: to that resource, §8.5.3.2.2: or to none.
    if (to.is_full()) {
        if (Session* const session = account.session(to.resourcepart())) session->send(&stanza, addressed(stanza, to));
        return;
    }
    // RFC 6121 §4.2.3, §4.4.3, §4.5.3, §8.5.2.1.2: to all available resources. Most contacts have none.
    if (!is_available(account)) return;
    const xmpp::Wire wire = addressed(stanza, to);
    const auto sessions = account.sessions();  // a copy: sending may end one
    for (const auto& session : sessions)
        if (session->is_available()) session->send(&stanza, wire);
}

// RFC 6121 §4.3.2
void Presence::answer_probe(Account& account, JidView to, JidView prober) {
    if (prober.empty()) return;
    const bool is_own = prober.bare() == account.jid().view();
    if (!is_own && !account.roster.sends_presence_to(prober.bare())) return answer_stranger(account, prober);
    bool answered = false;
    const auto sessions = account.sessions();
    for (const auto& session : sessions) {
        if (!session->is_available() || (to.is_full() && session->jid().view() != to)) continue;
        host_.worker.router.send(last_presence(*session), prober);
        answered = true;
    }
    if (answered || is_own) return;
    // Third rule: nothing is available. When the user went, and with what words.
    xmpp::XmlWriter w;
    w.open("presence").attr("type", "unavailable").attr("from", to.text());
    const storage::Account& record = account.record();
    if (to.is_bare() && record.last_logout != storage::Time{}) {
        if (!record.last_status.empty()) w.leaf("status", record.last_status);
        write_delay(w, account, record.last_logout);
    }
    host_.worker.router.send_xml(w.take(), prober);
}

// RFC 6121 §4.3.2, first rule: not subscribed. Who was sent presence directly is told that much again (§4.6).
void Presence::answer_stranger(Account& account, JidView prober) {
    const Jid full{prober}, bare{prober.bare()};
    bool answered = false;
    const auto sessions = account.sessions();
    for (const auto& session : sessions) {
        if (!session->has_directed()) continue;
        if (!session->directed().contains(full) && !session->directed().contains(bare)) continue;
        xmpp::XmlWriter w;
        w.open("presence").attr("from", session->jid().text());
        host_.worker.router.send_xml(w.take(), prober);
        answered = true;
    }
    if (answered) return;
    xmpp::XmlWriter w;
    w.open("presence").attr("type", "unsubscribed").attr("from", account.jid().text());
    host_.worker.router.send_xml(w.take(), prober.bare());
}

// What the session last sent, with the time when it did unless that was just now (XEP-0203).
const Stanza& Presence::last_presence(Session& session) {
    Last& last = last_[session];
    if (host_.worker.now() - last.since < fresh) return session.presence();
    if (!last.stamped) {
        xmpp::XmlWriter delay;
        write_delay(delay, session.account(), last.since);
        const std::string stamp = delay.take();
        Stanza::Rewrite rewrite;
        rewrite.append = stamp;
        scratch_.clear();
        session.presence().write(scratch_, rewrite);
        last.stamped = xmpp::parse_trusted(scratch_);
    }
    return last.stamped;
}

xmpp::Wire Presence::addressed(const Stanza& stanza, JidView to) {
    Stanza::Rewrite rewrite;
    rewrite.to = to;
    scratch_.clear();
    stanza.write(scratch_, rewrite);
    return xmpp::Wire{scratch_};
}

}  // namespace server
