// SPDX-License-Identifier: MIT
// The route of a stanza, in the order of RFC 6120 §10 and RFC 6121 §8.
#include "server/router.h"

#include <tuple>
#include <utility>

#include "server/account.h"
#include "server/log.h"
#include "server/message_content.h"
#include "server/presence.h"
#include "server/server.h"
#include "server/stream.h"
#include "server/subscription.h"
#include "server/worker.h"
#include "xmpp/namespaces.h"

namespace server {

using xmpp::Condition;
using xmpp::JidView;
using xmpp::Kind;
using xmpp::Stanza;
using xmpp::StanzaError;

bool is_subscription(const Stanza& presence) {
    const std::string_view type = presence.type();
    return type == "subscribe" || type == "subscribed" || type == "unsubscribe" || type == "unsubscribed";
}

namespace {

constexpr std::size_t most_waiting = 1000;          // stanzas for an account that is being fetched
constexpr std::size_t longest_answer = 16U << 20;   // that travels to another worker
const StanzaError service_unavailable{Condition::service_unavailable};
const StanzaError try_later{xmpp::ErrorType::wait, Condition::resource_constraint, "The server cannot reach its storage now."};

std::string escaped(std::string_view text) {
    std::string xml;
    xmpp::append_escaped_attribute(xml, text);
    return xml;
}

std::string error_for(const Stanza& stanza, JidView asked, const StanzaError& error) {
    static constexpr std::string_view names[] = {"message", "presence", "iq"};
    xmpp::XmlWriter w;
    w.open(names[static_cast<int>(stanza.kind())]).attr("type", "error").attr_if("id", stanza.id());
    w.attr_if("from", asked.empty() ? stanza.element().attr("to") : asked.text()).attr("to", stanza.from().text());
    return w.raw(error.xml()).take();
}

}  // namespace

// ---- the sender's half: RFC 6120 §10.1, RFC 6121 §8.1 ------------------------------------------------------------------

struct Router::Sending {
    Sending(Router& router, Session& session) : router_{router} { router_.sender_ = &session; }
    ~Sending() { router_.sender_ = nullptr; }
    Router& router_;
};

void Router::from_client(Session& session, const Stanza& stanza) {
    const Sending whose{*this, session};
    Counters::count(worker_.counters.received, stanza.kind());
    // RFC 6120 §8.3.3.8
    if (stanza.has_bad_to()) return bounce(stanza, {}, Condition::jid_malformed);
    const JidView to = stanza.to();
    const bool to_itself = to.empty() || to == session.account().jid().view() || worker_.config->is_local(to.text());

    if (stanza.kind() != Kind::iq || !to_itself) {
        const JidView addressee = to.empty() ? session.account().jid().view() : to;
        Passage passage{storage::Direction::outgoing, stanza, session.account(), &session, stanza.from(), addressee};
        if (Verdict verdict = run(worker_.host.outbound, passage); !verdict.passes()) {
            if (verdict.error()) bounce(stanza, to, *verdict.error());
            return;
        }
    }
    if (to.empty()) return to_own_account(session, stanza);                               // RFC 6120 §10.3
    if (stanza.kind() == Kind::presence) return presence_from_client(session, stanza);
    if (to.localpart().empty() && worker_.config->is_local(to.domainpart())) return to_server(&session, stanza);  // §10.5.1, §10.5.2
    route(stanza, to);
}

// RFC 6120 §10.3: no 'to' address.
void Router::to_own_account(Session& session, const Stanza& stanza) {
    switch (stanza.kind()) {
        case Kind::message: return to_account(session.account(), stanza, session.account().jid());  // §10.3.1
        case Kind::presence: return worker_.presence.from_client(session, stanza);                   // §10.3.2
        case Kind::iq: return iq_to_account(session.account(), stanza, session.account().jid());     // §10.3.3
        case Kind::other: break;
    }
}

void Router::presence_from_client(Session& session, const Stanza& stanza) {
    if (is_subscription(stanza)) return worker_.subscriptions.from_client(session, stanza, stanza.to());
    if (stanza.type().empty() || stanza.type() == "unavailable") return worker_.presence.directed(session, stanza, stanza.to());
    if (stanza.type() != "probe" && stanza.type() != "error") return bounce(stanza, stanza.to(), Condition::bad_request);  // RFC 6121 §4.7.1
    send(stanza, stanza.to());
}

void Router::send(const Stanza& stanza, JidView to) {
    if (Account* const account = worker_.find(stanza.from().bare().text())) {
        Passage passage{storage::Direction::outgoing, stanza, *account, nullptr, stanza.from(), to};
        if (!worker_.host.outbound[static_cast<std::size_t>(Station::screen)].ask(passage).passes()) return;
    }
    route(stanza, to);
}

void Router::route(const Stanza& stanza, JidView to) {
    if (const auto service = worker_.host.services.find(to.domainpart()); service != worker_.host.services.end())
        return service->second.entities ? go_home(stanza, to, &Router::to_service) : to_service(stanza, to);
    // RFC 6120 §10.4: a remote domain. No other server is reachable from here.
    if (!worker_.config->is_local(to.domainpart())) return bounce(stanza, to, Condition::remote_server_not_found);
    if (to.localpart().empty()) return to_server(nullptr, stanza);
    go_home(stanza, to, &Router::arrive);
}

void Router::go_home(const Stanza& stanza, JidView to, Arrival arrival) {
    Worker& home = worker_.server.worker_of(to.bare().text());
    if (&home == &worker_) return (this->*arrival)(stanza, to);
    if (const auto& receipt = Receipt::current()) receipt->travels();
    if (to == stanza.to())
        home.loop.post([&home, stanza, arrival, receipt = Receipt::current()] {
            const Receipt::Scope because{receipt};
            (home.router.*arrival)(stanza, stanza.to());
        });
    else
        home.loop.post([&home, stanza, arrival, receipt = Receipt::current(), addressee = xmpp::Jid{to}] {
            const Receipt::Scope because{receipt};
            (home.router.*arrival)(stanza, addressee);
        });
    has_posted_to(home);
}

void Router::has_posted_to(Worker& home) {
    if (sender_ && home.loop.is_behind()) hold_back(*std::exchange(sender_, nullptr), home);
}

// Back-pressure: its client sends faster than that worker takes it. It is read on when what it sent has been taken.
void Router::hold_back(Session& session, Worker& behind) {
    if (!session.stream()) return;
    auto held = session.stream()->shared_from_this();
    held->hold();
    behind.loop.post([stream = std::move(held), &here = worker_.loop]() mutable {
        here.post([back = std::move(stream)] { back->go_on(); });
    });
}

// ---- the recipient's half: RFC 6120 §10.5, RFC 6121 §8.5 ---------------------------------------------------------------

void Router::arrive(const Stanza& stanza, JidView to) {
    if (Account* const account = worker_.find(to.bare().text())) return to_account(*account, stanza, to);
    // Nobody is there to see presence, which is never stored (RFC 6121 §8.5.2.2.2): the account need not be fetched for it.
    if (stanza.kind() == Kind::presence && !is_subscription(stanza) && !worker_.is_loading(to.bare().text())) {
        if (stanza.type() != "probe") return;
        // §4.3.2: the answer is in the roster and in what the user said last; neither is urgent, nor waited for by an ack.
        return worker_.unhurried.with_account(to.bare(), [this, stanza, addressee = xmpp::Jid{to}](Account* account, bool failed) {
            if (account) to_account(*account, stanza, addressee);
            else if (!failed) to_nobody(stanza, addressee);
        });
    }
    // A database that hangs does not answer for a while, and its clients may not stop sending meanwhile.
    if (worker_.waiting_for(to.bare().text()) >= most_waiting) return bounce(stanza, to, try_later);
    worker_.awaited.begin(stanza.from());
    worker_.with_account(to.bare(), [this, stanza, receipt = Receipt::current(), addressee = xmpp::Jid{to}](Account* account, bool failed) {
        worker_.awaited.end(stanza.from());
        const Receipt::Scope because{receipt};
        if (account)
            to_account(*account, stanza, addressee);
        else if (failed)
            bounce(stanza, addressee, try_later);
        else
            to_nobody(stanza, addressee);
    });
}

// RFC 6120 §10.5.1, §10.5.2: addressed to the server itself.
void Router::to_server(Session* session, const Stanza& stanza) {
    if (stanza.kind() == Kind::presence) return;
    // RFC 6120 §10.5.1: a message to the domain is handled or refused; there is nobody to read it.
    if (stanza.kind() == Kind::message) return bounce(stanza, stanza.to(), service_unavailable);
    if (!is_request(stanza)) return;  // a result: the answer to a ping, a push acknowledged
    std::shared_ptr<Account> account = session ? session->shared_account() : nullptr;
    std::shared_ptr<Session> asking = session ? session->shared_from_this() : nullptr;
    ask(Iq{worker_, stanza, stanza.element().first_child(), Asked::server, std::move(account), std::move(asking),
           xmpp::Jid{stanza.from()}, xmpp::Jid{stanza.to()}});
}

// RFC 6120 §10.5.1: the same, for one of its services, or what that has beneath it.
void Router::to_service(const Stanza& stanza, JidView to) {
    const ServiceOf& service = worker_.host.services.find(to.domainpart())->second;
    if (service.entities && (!to.is_domain() || stanza.kind() != Kind::iq)) return service.entities(stanza, to);
    if (stanza.kind() == Kind::presence) return;
    if (stanza.kind() == Kind::message || !to.localpart().empty()) return bounce(stanza, to, service_unavailable);
    if (!is_request(stanza)) return;
    ask(Iq{worker_, stanza, stanza.element().first_child(), Asked::service, nullptr, nullptr, xmpp::Jid{stanza.from()}, xmpp::Jid{to}}, &service);
}

void Router::to_account(Account& account, const Stanza& stanza, JidView to) try {
    Passage passage{storage::Direction::incoming, stanza, account, nullptr, stanza.from(), to};
    if (Verdict verdict = run(worker_.host.inbound, passage); !verdict.passes()) {
        if (verdict.error()) bounce(stanza, to, *verdict.error());
        return;
    }
    if (stanza.kind() == Kind::presence) {
        if (is_subscription(stanza)) return worker_.subscriptions.to_account(account, stanza);  // RFC 6121 §3
        return worker_.presence.to_account(account, stanza, to);                               // §4, §8.5.2.1.2
    }
    if (to.is_full()) return to_full(passage);                                                 // §8.5.3
    if (stanza.kind() == Kind::message) return message_to_bare(passage);                       // §8.5.2
    iq_to_account(account, stanza, to);                                                        // §8.5.2.1.3
} catch (const std::exception& bug) {
    log::error("a module failed", {{"jid", account.jid().text()}, {"stanza", stanza.id()}, {"why", bug.what()}});
    bounce(stanza, to, Condition::internal_server_error);
}

// RFC 6121 §8.5.1: no such user. Message and IQ are answered as for a user who is offline; presence never is.
void Router::to_nobody(const Stanza& stanza, JidView to) {
    if (stanza.kind() == Kind::presence) {
        // §4.3.2: a probe by who is not subscribed, to somebody or nobody, is answered alike.
        if (stanza.type() == "probe")
            send_xml("<presence type='unsubscribed' from='" + escaped(to.bare().text()) + "'/>", stanza.from().bare());
        return;
    }
    if (stanza.kind() == Kind::message) {
        // What people would read is refused, and so is what an offline user is refused. Anything else is dropped in silence, as
        // it is kept or dropped for an offline user: it could ask who exists without anybody noticing.
        const bool is_missed = stanza.child("body", xmpp::ns::client) || (has_content(stanza) && has_hint(stanza, "no-store"));
        if (stanza.type() == "groupchat" || (is_missed && stanza.type() != "headline")) bounce(stanza, to, service_unavailable);
        return;
    }
    const bool is_set = stanza.type() == "set";
    const auto entry_of = [&](const xmpp::Element& payload) { return worker_.host.iq.find(Asked::account, is_set, payload.ns(), payload.name()); };
    if (to.is_full()) {
        for (const xmpp::Element child : stanza.children())
            if (const auto* const entry = entry_of(child); entry && entry->guards_resources && is_request(stanza)) return bounce(stanza, to, entry->to_strangers);
        return bounce(stanza, to, service_unavailable);
    }
    if (!is_request(stanza) || is_malformed(stanza)) return bounce(stanza, to, Condition::bad_request);
    const xmpp::Element payload = stanza.element().first_child();
    const auto* const entry = entry_of(payload);
    bounce(stanza, to, entry ? entry->to_strangers : worker_.host.iq.condition_for_unknown(Asked::account, is_set, payload));
}

// RFC 6121 §8.5.2.1.1, §8.5.2.2.1: to every available resource with non-negative priority.
void Router::message_to_bare(Passage& passage) {
    const std::string_view type = passage.stanza.type();
    if (type == "error") return;                                        // silently ignored
    if (type == "groupchat") return bounce(passage.stanza, passage.to, service_unavailable);
    bool delivered = false;
    const auto sessions = passage.account.sessions();  // a copy: a hook may end one
    for (const auto& session : sessions) {
        if (!session->takes_messages()) continue;
        deliver(*session, passage);
        delivered = true;
    }
    if (!delivered) unclaimed(passage, type == "headline" ? nullptr : &service_unavailable);
}

// RFC 6121 §8.5.3
void Router::to_full(Passage& passage) {
    const Stanza& stanza = passage.stanza;
    if (Session* const session = passage.account.session(passage.to.resourcepart())) return deliver(*session, passage);  // §8.5.3.1
    // §8.5.3.2: no resource matches.
    if (stanza.kind() == Kind::iq) return bounce(stanza, passage.to, service_unavailable);   // §8.5.3.2.3
    if (stanza.type() == "headline" || stanza.type() == "error") return;                     // §8.5.3.2.1
    message_to_bare(passage);
}

void Router::deliver(Session& session, Passage& passage) {
    // Stored messages reach a session that is behind through the log, in their order.
    if (passage.logged_as != 0 && !session.is_sent_live()) return;
    session.send(&passage.stanza, passage.wire(), {passage.logged_as, session.is_caught_up()});
}

void Router::unclaimed(Passage& passage, const StanzaError* otherwise) {
    const Verdict verdict = worker_.host.unclaimed.ask(passage);
    if (verdict.error()) return bounce(passage.stanza, passage.to, *verdict.error());
    if (verdict.passes() && otherwise) bounce(passage.stanza, passage.to, *otherwise);
}

// ---- IQ requests: RFC 6120 §8.2.3 --------------------------------------------------------------------------------------

void Router::iq_to_account(Account& account, const Stanza& stanza, JidView to) {
    if (!is_request(stanza)) {
        if (stanza.type() != "result" && stanza.type() != "error") return bounce(stanza, to, Condition::bad_request);
        return worker_.host.answered.tell(account, stanza);
    }
    std::shared_ptr<Session> session;
    if (stanza.from().bare() == account.jid().view())
        if (Session* const own = account.session(stanza.from().resourcepart())) session = own->shared_from_this();
    ask(Iq{worker_, stanza, stanza.element().first_child(), Asked::account, account.shared_from_this(), std::move(session),
           xmpp::Jid{stanza.from()}, xmpp::Jid{to}});
}

void Router::ask(Iq iq, const ServiceOf* service) {
    if (is_malformed(iq.stanza)) return answer(iq.stanza, iq.to, Condition::bad_request);
    const auto* entry = service ? service->iq.find(iq.asked, iq.is_set(), iq.payload.ns(), iq.payload.name()) : nullptr;
    if (!entry) entry = worker_.host.iq.find(iq.asked, iq.is_set(), iq.payload.ns(), iq.payload.name());
    if (!entry) return answer(iq.stanza, iq.to, worker_.host.iq.condition_for_unknown(iq.asked, iq.is_set(), iq.payload));
    if (entry->start) return worker_.spawn(entry->name, ask_and_wait(*entry, std::move(iq)));
    const IqReply reply = entry->call(entry->module, iq);
    answer(iq.stanza, iq.to, reply);
}

storage::Task<void> Router::ask_and_wait(const IqTable::Entry& entry, Iq iq) {
    // The client's further stanzas wait, so that it sees its requests answered in order.
    const std::shared_ptr<Session> session = iq.session;
    const std::shared_ptr<Stream> stream = session && session->stream() ? session->stream()->shared_from_this() : nullptr;
    const std::shared_ptr<Account> account = iq.account;
    const Stanza request = iq.stanza;
    const xmpp::Jid asked = iq.to;
    const std::shared_ptr<Receipt> receipt = Receipt::current();
    if (stream) stream->hold();
    else worker_.awaited.begin(request.from());
    if (account) ++account->busy;
    IqReply reply{Condition::internal_server_error};
    try {
        auto task = entry.start(entry.module, std::move(iq));
        reply = co_await task;
    } catch (const std::exception& bug) {
        log::error("a module failed", {{"stanza", request.id()}, {"why", bug.what()}});
    }
    answer(request, asked, reply);
    if (account && --account->busy == 0) worker_.became_idle(*account);
    if (stream) stream->go_on();
    else worker_.awaited.end(request.from());
}

// ---- answers ----------------------------------------------------------------------------------------------------------

void Router::bounce(const Stanza& stanza, JidView asked, const StanzaError& error) {
    // RFC 6120 §8.3.1: an error is never answered; §8.2.3: nor is a result.
    if (stanza.is_error() || (stanza.kind() == Kind::iq && !is_request(stanza) && stanza.type() == "result")) return;
    if (stanza.from().empty()) return;
    if (stanza.kind() == Kind::other) return;
    ++worker_.counters.errors_returned;
    send_back(stanza, error_for(stanza, asked, error));
}

void Router::answer(const Stanza& request, JidView asked, const IqReply& reply) {
    if (reply.error()) return bounce(request, request.to().empty() ? JidView{} : asked, *reply.error());
    xmpp::XmlWriter w;
    w.open("iq").attr("type", "result").attr("id", request.id());
    if (!request.to().empty()) w.attr("from", asked.text());  // no 'to', no 'from': it is the client's own account
    w.attr("to", request.from().text()).raw(reply.payload());
    send_back(request, w.take());
}

// To the session that asked when it lives here, else by the route.
void Router::send_back(const Stanza& request, std::string_view xml) {
    const JidView to = request.from();
    Account* const account = worker_.find(to.bare().text());
    Session* const session = account ? account->session(to.resourcepart()) : nullptr;
    if (session && request.kind() == Kind::message) {  // that it failed is part of the conversation
        const Stanza error = xmpp::parse_trusted(xml);
        Passage passage{storage::Direction::incoming, error, *account, nullptr, error.from(), to};
        std::ignore = worker_.host.inbound[static_cast<std::size_t>(Station::copy)].ask(passage);
    }
    if (session) return session->send_xml(xml);
    if (!to.is_full() && to.localpart().empty()) return;
    Stanza back = xml.size() <= longest_answer ? xmpp::parse_or_empty(xml) : Stanza{};
    // What was found is more than a stanza may be.
    if (!back) back = xmpp::parse_or_empty(error_for(request, {}, Condition::resource_constraint));
    if (back) route(back, to);
}

}  // namespace server
