// SPDX-License-Identifier: MIT
// RFC 6121 §3 and appendix A: presence subscriptions.
#include "server/subscription.h"

#include "server/account.h"
#include "server/log.h"
#include "server/stream.h"
#include "server/worker.h"
#include "xmpp/parser.h"

namespace server {

using storage::RosterItem;
using xmpp::Condition;
using xmpp::Jid;
using xmpp::JidView;
using xmpp::Stanza;
using xmpp::StanzaError;

namespace {

// What strangers may make the server keep for one account: so many requests, and so many bytes of each. A longer one
// is kept without its extended content.
constexpr std::size_t most_requests = 1000;
constexpr std::size_t longest_request = 4096;

// The session's further stanzas wait until this goes.
class Held {
public:
    explicit Held(Session& session) : session_{session.shared_from_this()} {
        if (!session.stream()) return;
        stream_ = session.stream()->shared_from_this();
        stream_->hold();
    }
    ~Held() {
        if (stream_) stream_->go_on();
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

private:
    std::shared_ptr<Session> session_;
    std::shared_ptr<Stream> stream_;
};

// RFC 6121 §3.1.2, §3.1.3: subscriptions are between bare JIDs, whatever the client wrote.
Stanza between(const Stanza& stanza, JidView from, JidView to) {
    Stanza::Rewrite rewrite;
    rewrite.from = from;
    rewrite.to = to;
    std::string xml;
    stanza.write(xml, rewrite);
    return xmpp::parse_trusted(xml);
}

std::string written(std::string_view type, JidView from, JidView to, std::string_view id = {}) {
    xmpp::XmlWriter w;
    w.open("presence").attr("type", type).attr_if("id", id).attr("from", from.text()).attr("to", to.text());
    return w.take();
}

// RFC 6121 §3.1.3: the complete stanza, to be delivered again whenever a resource becomes available.
std::string kept(const Stanza& request, JidView from, JidView to) {
    std::string xml = request.xml();
    return xml.size() <= longest_request ? xml : written("subscribe", from, to);
}

enum class Which { available, interested };

void deliver(Account& account, const Stanza& stanza, Which which) {
    std::string xml;
    stanza.write(xml, {});
    const xmpp::Wire wire{xml};
    const auto sessions = account.sessions();  // a copy: sending may end one
    for (const auto& session : sessions)
        if (which == Which::available ? session->is_available() : session->is_interested()) session->send(&stanza, wire);
}

const StanzaError not_stored{xmpp::ErrorType::wait, Condition::resource_constraint, "The roster cannot be changed now."};

}  // namespace

std::optional<Request> parse_request(std::string_view type) {
    if (type == "subscribe") return Request::subscribe;
    if (type == "subscribed") return Request::subscribed;
    if (type == "unsubscribe") return Request::unsubscribe;
    if (type == "unsubscribed") return Request::unsubscribed;
    return std::nullopt;
}

std::string_view to_string(Request request) {
    switch (request) {
        case Request::subscribe: return "subscribe";
        case Request::subscribed: return "subscribed";
        case Request::unsubscribe: return "unsubscribe";
        case Request::unsubscribed: return "unsubscribed";
    }
    return "";
}

// ---- the states: RFC 6121 appendix A -----------------------------------------------------------------------------------

SubscriptionStep outbound_step(SubscriptionState state, Request request) {
    SubscriptionState next = state;
    switch (request) {
        case Request::subscribe:     // §A.2.1
            if (!state.to) next.pending_out = true;
            return {next, true};
        case Request::unsubscribe:   // §A.2.2
            next.to = next.pending_out = false;
            return {next, true};
        case Request::subscribed:    // §A.2.3
            if (state.pending_in) {
                next.from = true;
                next.pending_in = next.approved = false;
                return {next, true};
            }
            if (!state.from) next.approved = true;   // §3.4.2: in advance
            return {next, false};
        case Request::unsubscribed:  // §A.2.4
            next.from = next.pending_in = next.approved = false;
            return {next, state.from || state.pending_in};
    }
    return {state, false};
}

SubscriptionStep inbound_step(SubscriptionState state, Request request) {
    SubscriptionState next = state;
    switch (request) {
        case Request::subscribe:     // §A.3.1
            if (state.from || state.pending_in) return {next, false};
            if (state.approved) {    // §3.4.2
                next.from = true;
                next.approved = false;
                return {next, false};
            }
            next.pending_in = true;
            return {next, true};
        case Request::unsubscribe:   // §A.3.2
            next.from = next.pending_in = false;
            return {next, state.from || state.pending_in};
        case Request::subscribed:    // §A.3.3
            if (!state.pending_out) return {next, false};
            next.to = true;
            next.pending_out = false;
            return {next, true};
        case Request::unsubscribed:  // §A.3.4
            next.to = next.pending_out = false;
            return {next, state.to || state.pending_out};
    }
    return {state, false};
}

SubscriptionState state_of(const RosterItem& item) {
    using enum storage::Subscription;
    SubscriptionState state;
    state.to = item.subscription == to || item.subscription == both;
    state.from = item.subscription == from || item.subscription == both;
    state.pending_out = item.ask;
    state.pending_in = item.pending_in;
    state.approved = item.approved;
    return state;
}

void set_state(RosterItem& item, SubscriptionState state) {
    using enum storage::Subscription;
    item.subscription = state.to ? (state.from ? both : to) : (state.from ? from : none);
    item.ask = state.pending_out;
    item.approved = state.approved;
    item.pending_in = state.pending_in;
    if (!item.pending_in) item.request.clear();
}

// ---- the sender's half -------------------------------------------------------------------------------------------------

void Subscriptions::from_client(Session& session, const Stanza& stanza, JidView to) {
    const auto request = parse_request(stanza.type());
    if (!request) return host_.worker.router.bounce(stanza, to, Condition::bad_request);
    // One's own presence needs no subscription (RFC 6121 §4.2.2), and cannot be without.
    if (to.bare() == session.account().jid().view()) return host_.worker.router.bounce(stanza, to, Condition::not_allowed);
    host_.worker.spawn("a subscription", send(session.shared_from_this(), stanza, Jid{to.bare()}, *request));
}

storage::Task<void> Subscriptions::send(std::shared_ptr<Session> session, Stanza stanza, Jid contact, Request request) {
    const Held held{*session};
    const std::shared_ptr<Receipt> receipt = Receipt::current();
    const std::shared_ptr<Account> account = session->shared_account();
    Roster& roster = account->roster;
    Router& router = host_.worker.router;
    const Roster::Turn turn = co_await roster.turn();

    RosterItem item;
    if (const RosterItem* const known = roster.find(contact)) {
        item = *known;
    } else {
        item.jid = contact;
        item.in_roster = false;
    }
    const SubscriptionState before = state_of(item);
    const SubscriptionStep step = outbound_step(before, request);
    // RFC 6121 §3.1.2, §3.1.5, §3.4.2: who is asked, let in or approved in advance is in the roster.
    const bool approves = request == Request::subscribed && step.next != before;
    const bool joins = !item.in_roster && (request == Request::subscribe || approves);
    if (joins && !roster.has_room_for(item))
        co_return router.bounce(stanza, contact, {Condition::resource_constraint, "The roster is full."});
    if (joins || step.next != before) {
        item.in_roster = item.in_roster || joins;
        set_state(item, step.next);
        auto changing = roster.change(std::move(item));
        auto changed = co_await changing;
        if (!changed) {
            log::warn("subscription not stored", {{"jid", account->jid().text()}, {"why", changed.error().text}});
            co_return router.bounce(stanza, contact, not_stored);
        }
    }
    // RFC 6121 §3.2.2: unavailable presence goes out while the contact still expects presence.
    if (request == Request::unsubscribed && before.from) host_.worker.presence.withdraw(*account, contact);
    if (!step.passes) co_return;
    const Receipt::Scope because{receipt};   // the client's ack waits for the contact's half as well
    router.send(between(stanza, account->jid(), contact), contact);
    // RFC 6121 §3.1.5: then the presence of every available resource.
    if (request == Request::subscribed) host_.worker.presence.share(*account, contact);
}

// ---- the recipient's half ----------------------------------------------------------------------------------------------

void Subscriptions::to_account(Account& account, const Stanza& stanza) {
    const auto request = parse_request(stanza.type());
    const JidView from = stanza.from().bare();
    if (!request || from.empty() || from == account.jid().view()) return;
    host_.worker.spawn("a subscription", receive(account.shared_from_this(), stanza, *request));
}

storage::Task<void> Subscriptions::receive(std::shared_ptr<Account> account, Stanza stanza, Request request) {
    const std::shared_ptr<Receipt> receipt = Receipt::current();
    const Jid contact{stanza.from().bare()};
    stanza = between(stanza, contact, account->jid());
    Roster& roster = account->roster;
    const Roster::Turn turn = co_await roster.turn();

    RosterItem item;
    if (const RosterItem* const known = roster.find(contact)) {
        item = *known;
    } else {
        item.jid = contact;
        item.in_roster = false;
    }
    const SubscriptionState before = state_of(item);
    Agreement agreement;
    if (request == Request::subscribe && roster.has_room_for(item)) {
        auto asking = has_agreed(*account, stanza, before);
        agreement = co_await asking;
    }
    const auto is_invited = static_cast<bool>(agreement);
    SubscriptionState known = before;
    if (is_invited) {   // as if approved in advance, and the user asks in turn
        item.in_roster = known.approved = true;
        known.pending_in = false;
        known.pending_out = !known.to;
    }
    const SubscriptionStep step = inbound_step(known, request);
    // RFC 6121 §3.1.3, §3.4.2: subscribed already, or approved in advance: answered for the user, who need not know.
    const bool is_granted = request == Request::subscribe && step.next.from;
    if (step.next != before) {
        if (step.next.pending_in && !before.pending_in && !item.in_roster && roster.requests() >= most_requests)
            co_return host_.worker.router.bounce(stanza, account->jid(), not_stored);
        set_state(item, step.next);
        if (step.next.pending_in && item.request.empty()) item.request = kept(stanza, contact, account->jid());
        auto storing = roster.store(std::move(item));
        auto stored = co_await storing;
        if (!stored) {
            log::warn("subscription not stored", {{"jid", account->jid().text()}, {"why", stored.error().text}});
            if (is_invited) agreement.undo();
            if (request == Request::subscribe) host_.worker.router.bounce(stanza, account->jid(), not_stored);
            co_return;
        }
        // RFC 6121 §3.1.3: a request goes to all available resources. §3.1.6, §3.2.3, §3.3.3: everything else to all
        // interested ones, before the roster push.
        if (step.passes) deliver(*account, stanza, request == Request::subscribe ? Which::available : Which::interested);
        if (*stored) roster.push(contact);
    }
    const Receipt::Scope because{receipt};
    if (is_granted) {
        send_as_account(*account, Request::subscribed, contact);
        host_.worker.presence.share(*account, contact);
    }
    if (is_invited && !before.to) send_as_account(*account, Request::subscribe, contact);
    // RFC 6121 §3.3.3: the contact sees the user's resources go.
    if (request == Request::unsubscribe && before.from) host_.worker.presence.withdraw(*account, contact);
}

storage::Task<Agreement> Subscriptions::has_agreed(Account& account, const Stanza& request, SubscriptionState state) {
    if (state.from || state.approved) co_return Agreement{};
    for (const auto& hook : host_.agreed.entries()) {
        auto asking = hook.call(hook.module, account, request);
        auto agreement = co_await asking;
        if (agreement) co_return std::move(agreement);
    }
    co_return Agreement{};
}

void Subscriptions::befriend(Account& account, const Jid& contact, std::function<void()> then) {
    host_.worker.spawn("a new contact", enter(account.shared_from_this(), contact.bare(), std::move(then)));
}

storage::Task<void> Subscriptions::enter(std::shared_ptr<Account> account, Jid contact, std::function<void()> then) {
    Roster& roster = account->roster;
    const Roster::Turn turn = co_await roster.turn();
    RosterItem item;
    item.jid = contact;
    item.in_roster = false;
    if (const RosterItem* const known = roster.find(contact)) item = *known;
    if (!roster.has_room_for(item)) {
        log::info("no room for a new contact", {{"jid", account->jid().text()}});
        co_return;
    }
    SubscriptionState state;
    state.to = state.from = true;
    if (!item.in_roster || state_of(item) != state) {
        set_state(item, state);
        item.in_roster = true;
        auto changing = roster.change(std::move(item));
        const auto changed = co_await changing;
        if (!changed) {
            log::warn("a new contact was not stored", {{"jid", account->jid().text()}, {"why", changed.error().text}});
            co_return;
        }
        host_.worker.presence.share(*account, contact);
    }
    then();
}

// ---- the end of a contact: RFC 6121 §2.5.2 -----------------------------------------------------------------------------

storage::Task<storage::Result<void>> Subscriptions::remove_contact(std::shared_ptr<Account> account, RosterItem item, std::shared_ptr<Receipt> receipt) {
    const SubscriptionState before = state_of(item);
    const Jid contact = item.jid;
    set_state(item, {});
    item.in_roster = false;
    auto changing = account->roster.change(std::move(item));
    auto changed = co_await changing;
    if (!changed) co_return xmpp::Failure{changed.error()};
    const Receipt::Scope because{std::move(receipt)};
    if (before.to || before.pending_out) send_as_account(*account, Request::unsubscribe, contact);
    if (before.from) host_.worker.presence.withdraw(*account, contact);
    if (before.from || before.pending_in) send_as_account(*account, Request::unsubscribed, contact);
    co_return storage::Result<void>{};
}

void Subscriptions::send_as_account(Account& account, Request request, JidView contact) {
    host_.worker.router.send_xml(written(to_string(request), account.jid(), contact), contact);
}

}  // namespace server
