// SPDX-License-Identifier: MIT
// One stanza for many sessions.
#include "server/fan_out.h"

#include <algorithm>

#include "server/account.h"
#include "server/server.h"
#include "server/worker.h"
#include "xmpp/parser.h"
#include "xmpp/xml_writer.h"

namespace server {

using xmpp::JidView;

Copies::Copies(std::string xml)
    : xml_{std::move(xml)}, name_end_{std::min(xml_.find_first_of(" />"), xml_.size())}, stanza_{xmpp::parse_trusted(xml_)} {}

xmpp::Wire Copies::addressed(std::string_view to) const {
    const std::string_view xml = xml_;
    return xmpp::Wire{xml.substr(0, name_end_), " to='", to, "'", xml.substr(name_end_)};
}

Audience::Audience(std::span<const xmpp::Jid* const> seats, std::size_t insiders) : insiders_{insiders} {
    struct Place { std::size_t jid, attribute, end; };
    std::vector<Place> places;
    places.reserve(seats.size());
    for (const xmpp::Jid* const seat : seats) {
        const std::size_t begin = text_.size();
        text_ += seat->text();
        const std::size_t attribute = text_.size();
        xmpp::append_escaped_attribute(text_, seat->text());
        const bool is_the_same = text_.size() - attribute == attribute - begin;   // nothing was to be escaped
        if (is_the_same) text_.resize(attribute);
        places.push_back({begin, is_the_same ? begin : attribute, text_.size()});
    }
    seats_.reserve(seats.size());
    const std::string_view text = text_;
    for (std::size_t i = 0; i < seats.size(); ++i) {
        const std::string_view jid = text.substr(places[i].jid, seats[i]->text().size());
        seats_.push_back({JidView{jid, jid.find('@'), jid.find('/')}, text.substr(places[i].attribute, places[i].end - places[i].attribute)});
    }
}

namespace {

Session* session_of(Worker& here, JidView full) {
    Account* const account = here.find(full.bare().text());
    return account ? account->session(full.resourcepart()) : nullptr;
}

// RFC 6121 §8.5.3.1
void is_gone(Worker& here, const xmpp::Stanza& stanza, JidView seat) {
    if (stanza.kind() == xmpp::Kind::message) here.router.bounce(stanza, seat, xmpp::Condition::recipient_unavailable);
}

void failed(const xmpp::Stanza& stanza, JidView to, const std::exception& bug) {
    log::error("a module failed", {{"jid", to.text()}, {"stanza", stanza.id()}, {"why", bug.what()}});
}

void deliver(Worker& here, const Copies& copies, const Audience::Seat& seat, JidView by = {}) try {
    const xmpp::Stanza& stanza = copies.stanza();
    Session* session = session_of(here, seat.jid);
    if (!session) return is_gone(here, stanza, seat.jid);
    Passage passage{storage::Direction::incoming, stanza, session->account(), nullptr, stanza.from(), seat.jid};
    passage.is_reflected = !by.empty() && seat.jid.bare() == by;
    if (!run(here.host.inbound, passage).passes()) return;
    session = session_of(here, seat.jid);                             // a hook may have ended it
    if (!session) return is_gone(here, stanza, seat.jid);
    if (passage.logged_as != 0 && !session->is_sent_live()) return;   // it gets it from there
    session->send(&stanza, passage.is_edited() ? passage.wire() : copies.addressed(seat.attribute), {passage.logged_as, session->is_caught_up()});
} catch (const std::exception& bug) {
    failed(copies.stanza(), seat.jid, bug);
}

void deliver(Worker& here, const Announcement& announcement) {
    const auto seats = announcement.audience->seats();
    for (std::size_t i = 0; i < seats.size(); ++i) {
        const auto is_this = [&](const xmpp::Jid& jid) { return jid.view() == seats[i].jid; };
        if (!announcement.except.empty() && std::ranges::any_of(announcement.except, is_this)) continue;
        deliver(here, i < announcement.audience->insiders() ? *announcement.to_insiders : *announcement.to_others, seats[i], announcement.by);
    }
}

void deliver(Worker& here, const std::vector<SharedCopies>& stanzas, const xmpp::Jid& to) {
    std::string attribute;
    xmpp::append_escaped_attribute(attribute, to.text());
    for (const SharedCopies& copies : stanzas) deliver(here, *copies, {to, attribute});
}

// XEP-0313 §6.1.1: stored once, "irrespective of multiple connected clients receiving copies".
void deliver_once(Worker& here, const Copies& copies, const std::vector<xmpp::Jid>& sessions) try {
    const xmpp::Stanza& stanza = copies.stanza();
    std::optional<Passage> first;
    for (const xmpp::Jid& each : sessions) {
        Session* session = session_of(here, each);
        if (session && !first) {
            first.emplace(storage::Direction::incoming, stanza, session->account(), nullptr, stanza.from(), each);
            if (!run(here.host.inbound, *first).passes()) return;
            session = session_of(here, each);
        }
        if (!session) {
            is_gone(here, stanza, each);
            continue;
        }
        if (first->logged_as != 0 && !session->is_sent_live()) continue;
        Passage passage{storage::Direction::incoming, stanza, session->account(), nullptr, stanza.from(), each};
        passage.appended = first->appended;
        passage.stripped = first->stripped;
        session->send(&stanza, passage.wire(), {first->logged_as, session->is_caught_up()});
    }
} catch (const std::exception& bug) {
    failed(copies.stanza(), sessions.front(), bug);
}

void send_found(Worker& here, const std::vector<SharedCopies>& found, const xmpp::Jid& to) {
    std::string attribute;
    xmpp::append_escaped_attribute(attribute, to.text());
    for (const SharedCopies& copies : found)
        if (Session* const session = session_of(here, to)) session->send(&copies->stanza(), copies->addressed(attribute), {});
}

// XEP-0191: whose block list has its sender does not hear of it either.
void tell_each(Worker& here, const std::vector<xmpp::Jid>& accounts, const SharedCopies& message) {
    const Receipt::Scope because_of_nothing{nullptr};   // no ack waits for it
    for (const xmpp::Jid& jid : accounts)
        here.unhurried.with_account(jid, [&here, message](Account* account, bool) {
            if (!account) return;
            Passage passage{storage::Direction::incoming, message->stanza(), *account, nullptr, message->stanza().from(), account->jid()};
            if (here.host.inbound[static_cast<std::size_t>(Station::screen)].ask(passage).passes()) here.host.missed.tell(passage);
        });
}

template <class Job>
void run_at(Worker& home, Worker& from, Job job) {
    if (&home == &from) return job();
    if (const auto& receipt = Receipt::current()) receipt->travels();
    home.loop.post([job = std::move(job), receipt = Receipt::current()] {
        const Receipt::Scope because{receipt};
        job();
    });
    from.router.has_posted_to(home);
}

}  // namespace

void announce(Worker& from, Worker& home, Announcement announcement) {
    run_at(home, from, [&home, announcement = std::move(announcement)] { deliver(home, announcement); });
}

void send_all(Worker& from, std::vector<SharedCopies> stanzas, const xmpp::Jid& to) {
    Worker& home = from.server.worker_of(to.view().bare().text());
    run_at(home, from, [&home, stanzas = std::move(stanzas), to] { deliver(home, stanzas, to); });
}

void send_once(Worker& from, SharedCopies stanza, std::vector<xmpp::Jid> sessions) {
    Worker& home = from.server.worker_of(sessions.front().view().bare().text());
    run_at(home, from, [&home, stanza = std::move(stanza), sessions = std::move(sessions)] { deliver_once(home, *stanza, sessions); });
}

void hand_out(Worker& from, std::vector<SharedCopies> found, const xmpp::Jid& to) {
    Worker& home = from.server.worker_of(to.view().bare().text());
    run_at(home, from, [&home, found = std::move(found), to] { send_found(home, found, to); });
}

void tell_missed(Worker& from, Worker& home, std::vector<xmpp::Jid> accounts, SharedCopies message) {
    run_at(home, from, [&home, accounts = std::move(accounts), message = std::move(message)] { tell_each(home, accounts, message); });
}

}  // namespace server
