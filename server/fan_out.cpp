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

// RFC 6121 §8.5.3.1
void deliver(Worker& here, const Copies& copies, const Audience::Seat& seat) try {
    const xmpp::Stanza& stanza = copies.stanza();
    Account* const account = here.find(seat.jid.bare().text());
    const auto is_gone = [&] {
        if (stanza.kind() == xmpp::Kind::message) here.router.bounce(stanza, seat.jid, xmpp::Condition::recipient_unavailable);
    };
    if (!account || !account->session(seat.jid.resourcepart())) return is_gone();
    Passage passage{storage::Direction::incoming, stanza, *account, nullptr, stanza.from(), seat.jid};
    if (!run(here.host.inbound, passage).passes()) return;
    Session* const session = account->session(seat.jid.resourcepart());   // a hook may have ended it
    if (!session) return is_gone();
    if (passage.logged_as != 0 && !session->is_sent_live()) return;   // it gets it from there
    session->send(&stanza, passage.is_edited() ? passage.wire() : copies.addressed(seat.attribute), {passage.logged_as, session->is_caught_up()});
} catch (const std::exception& bug) {
    log::error("a module failed", {{"jid", seat.jid.text()}, {"stanza", copies.stanza().id()}, {"why", bug.what()}});
}

void deliver(Worker& here, const Announcement& announcement) {
    const auto seats = announcement.audience->seats();
    for (std::size_t i = 0; i < seats.size(); ++i) {
        const auto is_this = [&](const xmpp::Jid& jid) { return jid.view() == seats[i].jid; };
        if (!announcement.except.empty() && std::ranges::any_of(announcement.except, is_this)) continue;
        deliver(here, i < announcement.audience->insiders() ? *announcement.to_insiders : *announcement.to_others, seats[i]);
    }
}

void deliver(Worker& here, const std::vector<SharedCopies>& stanzas, const xmpp::Jid& to) {
    std::string attribute;
    xmpp::append_escaped_attribute(attribute, to.text());
    for (const SharedCopies& copies : stanzas) deliver(here, *copies, {to, attribute});
}

}  // namespace

void announce(Worker& from, Worker& home, Announcement announcement) {
    if (&home == &from) return deliver(home, announcement);
    if (const auto& receipt = Receipt::current()) receipt->travels();
    home.loop.post([&home, announcement = std::move(announcement), receipt = Receipt::current()] {
        const Receipt::Scope because{receipt};
        deliver(home, announcement);
    });
    from.router.has_posted_to(home);
}

void send_all(Worker& from, std::vector<SharedCopies> stanzas, const xmpp::Jid& to) {
    Worker& home = from.server.worker_of(to.view().bare().text());
    if (&home == &from) return deliver(home, stanzas, to);
    if (const auto& receipt = Receipt::current()) receipt->travels();
    home.loop.post([&home, stanzas = std::move(stanzas), to, receipt = Receipt::current()] {
        const Receipt::Scope because{receipt};
        deliver(home, stanzas, to);
    });
    from.router.has_posted_to(home);
}

}  // namespace server
