// SPDX-License-Identifier: MIT
// The rooms of one service that live on one worker.
#include "server/rooms/rooms.h"

#include <algorithm>

#include "auth/crypto.h"
#include "server/log.h"
#include "server/server.h"
#include "server/worker.h"
#include "xmpp/rsm.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

using xmpp::Condition;
using xmpp::JidView;
using xmpp::Kind;
using xmpp::Stanza;
using xmpp::StanzaError;

namespace {

constexpr std::string_view ns_listing = "urn:tern:rooms:listing:0";   // between rooms and their service
constexpr std::size_t secret_bytes = 32, id_bytes = 15;
constexpr std::size_t page = 200;                                     // public rooms in one answer at most

bool asks_to_enter(const Stanza& stanza) { return stanza.kind() == Kind::presence && stanza.type().empty() && stanza.child("x", ns_muc); }

}  // namespace

// ---- a room and its world -------------------------------------------------------------------------------------------------

class Rooms::Place final : public Surroundings {
public:
    Place(Rooms& service, const xmpp::Jid& jid, std::string founder)
        : founder_{std::move(founder)}, service_{service}, room_{*this, jid, auth::random_bytes(secret_bytes)} {}

    Room& room() { return room_; }
    const std::string& founder() const { return founder_; }

    void take(Waiting next) {
        waiting_.push_back(std::move(next));
        work();
    }

    storage::Time now() const override { return worker().now(); }
    const Config::Rooms& rules() const override { return worker().config->rooms; }
    std::string new_id() override { return auth::random_token(id_bytes); }
    std::size_t home_of(JidView bare) const override { return worker().server.worker_of(bare.text()).index; }

    void announce(std::size_t home, Announcement announcement) override {
        server::announce(worker(), *worker().server.workers()[home], std::move(announcement));
    }
    void send_all(std::vector<SharedCopies> stanzas, const xmpp::Jid& to) override { server::send_all(worker(), std::move(stanzas), to); }
    void send(std::string_view xml, JidView to) override { worker().router.send_xml(xml, to); }
    void bounce(const Stanza& stanza, JidView asked, const StanzaError& error) override { worker().router.bounce(stanza, asked, error); }
    void answer(const Stanza& request, JidView asked, const IqReply& reply) override { worker().router.answer(request, asked, reply); }
    void store(Change, std::function<void(bool)> then) override { then(true); }

    void listing_changed() override {
        const std::string name = room_.is_listed() ? (room_.config().name.empty() ? std::string{room_.jid().localpart()} : room_.config().name) : std::string{};
        if (std::exchange(listed_as_, name) == name) return;
        xmpp::XmlWriter w;
        w.open("message").attr("from", room_.jid().text()).attr("to", service_.service_);
        w.open("listing", ns_listing).attr_if("name", name);
        worker().router.send_xml(w.take(), *xmpp::Jid::parse(service_.service_));
    }

private:
    Worker& worker() const { return service_.worker_; }

    // What the room causes comes back here while it is at work, and waits.
    void work() {
        if (is_working_) return;
        is_working_ = true;
        do {
            const Waiting next = std::move(waiting_.front());
            waiting_.pop_front();
            handle(next);
        } while (!waiting_.empty() && !room_.is_over());
        is_working_ = false;
        if (room_.is_over()) service_.forget(*this);   // this is gone now
    }

    void handle(const Waiting& next) try {
        const Receipt::Scope because{next.receipt};
        room_.take(next.stanza, next.to);
    } catch (const std::exception& bug) {
        log::error("a room failed", {{"room", room_.jid().text()}, {"stanza", next.stanza.id()}, {"why", bug.what()}});
        worker().router.bounce(next.stanza, next.to, Condition::internal_server_error);
    }

    friend class Rooms;
    const std::string founder_;
    Rooms& service_;
    Room room_;
    std::deque<Waiting> waiting_;
    std::string listed_as_;
    bool is_working_ = false;
};

// ---- the service ----------------------------------------------------------------------------------------------------------

Rooms::Rooms(Worker& worker, std::string service) : worker_{worker}, service_{std::move(service)} {}
Rooms::~Rooms() = default;

void Rooms::take(const Stanza& stanza, JidView to) {
    if (to.localpart().empty()) return take_for_service(stanza);
    const auto place = places_.find(to.bare().text());
    if (place != places_.end()) return place->second->take({stanza, xmpp::Jid{to}, Receipt::current()});
    if (asks_to_enter(stanza)) return found(stanza, to);
    to_no_room(stanza, to);
}

// Rooms speak to it; others have nothing to say to it.
void Rooms::take_for_service(const Stanza& stanza) {
    const JidView from = stanza.from();
    const xmpp::Element listing = stanza.child("listing", ns_listing);
    if (from.domainpart() != service_ || !listing) return worker_.router.bounce(stanza, stanza.to(), Condition::service_unavailable);
    if (listing.attr("name").empty()) {
        if (const auto gone = listed_.find(from.text()); gone != listed_.end()) listed_.erase(gone);
    } else {
        listed_[std::string{from.text()}] = listing.attr("name");
    }
}

void Rooms::to_no_room(const Stanza& stanza, JidView to) {
    if (stanza.kind() != Kind::presence) {
        // XEP-0410 §3.2: item-not-found would say that who asks is there by another name.
        StanzaError error{stanza.kind() == Kind::iq && to.is_full() ? Condition::not_acceptable : Condition::item_not_found};
        error.by = to.bare().text();
        return worker_.router.bounce(stanza, to, error);
    }
    if (stanza.type().empty() && to.is_full()) worker_.router.send_xml(no_occupant(to, Affiliation::none), stanza.from());
}

// §10.1.1
std::optional<StanzaError> Rooms::forbids_founding(JidView founder) const {
    const Config& config = *worker_.config;
    const bool may = config.rooms.create == "everybody" || (config.rooms.create == "admins" && config.is_admin(founder));
    if (!may) return Condition::not_allowed;
    const auto count = founded_.find(founder.text());
    if (count != founded_.end() && count->second >= config.rooms.per_account) return StanzaError{Condition::resource_constraint, "You have made too many rooms."};
    return std::nullopt;
}

void Rooms::found(const Stanza& presence, JidView to) {
    const xmpp::Jid founder{presence.from().bare()};
    if (auto error = forbids_founding(founder)) {
        error->by = to.bare().text();
        error->beside = "<x xmlns='http://jabber.org/protocol/muc'/>";
        return worker_.router.bounce(presence, to, *error);
    }
    const xmpp::Jid jid{to.bare()};
    Place& place = *places_.emplace(jid.text(), std::make_unique<Place>(*this, jid, founder.text())).first->second;
    ++founded_[founder.text()];
    place.room().found(founder);
    place.take({presence, xmpp::Jid{to}, Receipt::current()});
}

// What still waits for it is for a room that is not there, or for a new one.
void Rooms::forget(Place& place) {
    const auto entry = places_.find(place.room().jid().text());
    const std::unique_ptr<Place> gone = std::move(entry->second);
    places_.erase(entry);
    if (const auto count = founded_.find(gone->founder()); count != founded_.end() && --count->second == 0) founded_.erase(count);
    gone->listing_changed();
    for (const Waiting& next : gone->waiting_) {
        const Receipt::Scope because{next.receipt};
        take(next.stanza, next.to);
    }
}

// §6.3
IqReply Rooms::items(Iq& iq) const {
    if (!iq.payload.attr("node").empty()) return Condition::item_not_found;
    const auto request = xmpp::RsmRequest::parse(iq.payload.child("set", xmpp::ns::rsm));
    if (!request) return request.error();
    const std::size_t most = std::min<std::size_t>(request->max.value_or(page), page);
    auto begin = listed_.begin(), end = listed_.end();
    if (request->after) begin = listed_.upper_bound(*request->after);
    if (request->before && !request->before->empty()) end = listed_.lower_bound(*request->before);
    if (request->index) begin = std::next(listed_.begin(), std::min<std::ptrdiff_t>(*request->index, static_cast<std::ptrdiff_t>(listed_.size())));
    const auto there = static_cast<std::size_t>(std::distance(begin, end));
    const std::size_t count = std::min(there, most);
    if (request->before) begin = std::next(begin, static_cast<std::ptrdiff_t>(there - count));
    xmpp::XmlWriter w;
    w.open("query", ns_disco_items);
    xmpp::RsmAnswer answer;
    answer.count = static_cast<std::uint32_t>(listed_.size());
    if (count > 0) {
        answer.first = begin->first;
        answer.index = static_cast<std::uint32_t>(std::distance(listed_.begin(), begin));
    }
    for (std::size_t i = 0; i < count; ++i, ++begin) {
        w.open("item").attr("jid", begin->first).attr("name", begin->second).close();
        answer.last = begin->first;
    }
    if (iq.payload.child("set", xmpp::ns::rsm) || count < listed_.size()) answer.write(w);
    return w.take();
}

}  // namespace server::rooms
