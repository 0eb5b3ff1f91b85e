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
constexpr std::size_t idle_rooms_kept = 1000;                         // per worker: what was said last at hand
constexpr std::size_t page = 200;                                     // public rooms in one answer at most

bool asks_to_enter(const Stanza& stanza) { return stanza.kind() == Kind::presence && stanza.type().empty() && stanza.child("x", ns_muc); }

}  // namespace

// ---- a room and its world -------------------------------------------------------------------------------------------------

class Rooms::Place final : public Surroundings {
public:
    Place(Rooms& service, xmpp::Jid jid) : service_{service}, jid_{std::move(jid)} {}

    const xmpp::Jid& jid() const { return jid_; }
    const std::string& founder() const { return founder_; }
    bool has_room() const { return room_.has_value(); }
    bool is_idle() const { return room_ && room_->occupants().empty() && !is_working_ && !is_storing_ && waiting_.empty(); }
    bool is_stored() const { return is_stored_; }

    void found(const xmpp::Jid& founder) {
        founder_ = founder.text();
        room_.emplace(*this, jid_, auth::random_bytes(secret_bytes));
        room_->found(founder);
        is_new_ = true;
    }
    // `newest`: of its archive.
    void restore(storage::Room stored, RoomConfig config, const std::vector<storage::LogEntry>& newest) {
        founder_ = stored.founder.text();
        is_stored_ = true;
        log_ = stored.log;
        listed_as_ = std::move(stored.listed_as);
        room_.emplace(*this, jid_, std::move(stored.secret));
        Affiliations affiliations;
        for (storage::RoomAffiliation& each : stored.affiliations)
            affiliations.set(each.jid, {each.affiliation, std::move(each.nick), std::move(each.reason)});
        room_->restore(std::move(config), std::move(stored.subject), std::move(affiliations));
        for (const storage::LogEntry& entry : newest) {
            last_place_ = entry.id;
            room_->remember(entry);
        }
    }

    void wait(const Stanza& stanza, JidView to) {
        const bool is_inside = room_ && room_->occupants().at(stanza.from());
        if (waiting_.has_place_for(stanza) || waiting_.is_needed(stanza, is_inside)) return waiting_.add({stanza, xmpp::Jid{to}, Receipt::current()});
        if (stanza.kind() == Kind::presence && !stanza.type().empty()) return;   // neither enters nor leaves
        StanzaError error{xmpp::ErrorType::wait, Condition::resource_constraint, "Too much waits for this room."};
        error.by = jid_.text();
        if (stanza.kind() == Kind::presence) error.beside = muc_child;
        worker().router.bounce(stanza, to, error);
    }
    WaitingList& waiting() { return waiting_; }
    // What the room causes comes back here while it is at work, and waits. At the end it may be gone, and this with it.
    void work() {
        if (is_working_ || is_storing_ || !room_) return;
        is_working_ = true;
        for (const xmpp::Jid& account : std::exchange(removed_, {})) room_->account_removed(account);
        // A new one is empty until who makes it has entered.
        while (!waiting_.empty() && !is_storing_ && (is_new_ || !room_->is_over())) {
            is_new_ = false;
            handle(waiting_.take_first());
        }
        is_working_ = false;
        if (is_storing_) return;
        if (room_->is_over()) service_.forget(*this);
        else if (is_idle()) service_.became_idle(*this);
    }

    // What was read of the room before, or is just being stored, may still have it.
    void account_removed(const xmpp::Jid& account) {
        removed_.push_back(account);
        work();
    }
    void going_down() {
        if (room_) room_->shut_down();
    }

    storage::Time now() const override { return worker().now(); }
    const Config::Rooms& rules() const override { return worker().config->rooms; }
    bool is_admin(JidView bare) const override { return worker().config->is_admin(bare); }
    Histories& histories() override { return service_.histories_; }
    std::string new_id() override { return auth::random_token(id_bytes); }
    bool may_invite(JidView inviter, std::uint32_t count) override { return worker().server.room_invitations().take(inviter.text(), now(), count).count() == 0; }
    std::size_t home_of(JidView bare) const override { return worker().server.worker_of(bare.text()).index; }

    void announce(std::size_t home, Announcement announcement) override {
        server::announce(worker(), *worker().server.workers()[home], std::move(announcement));
    }
    void send_all(std::vector<SharedCopies> stanzas, const xmpp::Jid& to) override { server::send_all(worker(), std::move(stanzas), to); }
    void send_once(SharedCopies stanza, std::vector<xmpp::Jid> sessions) override { server::send_once(worker(), std::move(stanza), std::move(sessions)); }
    void tell_missed(std::size_t home, std::vector<xmpp::Jid> accounts, SharedCopies message) override {
        server::tell_missed(worker(), *worker().server.workers()[home], std::move(accounts), std::move(message));
    }
    void send(std::string_view xml, JidView to) override { worker().router.send_xml(xml, to); }
    void bounce(const Stanza& stanza, JidView asked, const StanzaError& error) override { worker().router.bounce(stanza, asked, error); }
    void answer(const Stanza& request, JidView asked, const IqReply& reply) override { worker().router.answer(request, asked, reply); }

    bool has_archive() const override { return is_stored_ && service_.archives_.are_kept(); }
    storage::LogId next_place() override {
        return last_place_ = std::max(last_place_ + 1, static_cast<storage::LogId>(now().time_since_epoch().count()));
    }
    std::string archive_id(storage::LogId place) override { return service_.archives_.id(log_, place); }
    bool keep(storage::LogId place, const Stanza& said, std::string_view xml) override { return service_.archives_.append(log_, place, said, xml); }
    void read_archive(const Stanza& request, bool sees_addresses) override {
        worker().spawn("reading a room's archive", service_.archives_.answer(request, jid_, log_, sees_addresses));
    }

    std::optional<storage::LogId> archive_place(std::string_view id) override { return service_.archives_.place(log_, id); }
    void replace(storage::LogId place, Rewritten rewritten, std::function<void(Replaced)> then) override {
        is_storing_ = true;
        worker().spawn("replacing what was said", write_over(place, std::move(rewritten), std::move(then)));
    }

    void store(Change change, std::function<void(bool)> then) override {
        is_storing_ = true;
        worker().spawn("storing a room", write(std::move(change), std::move(then)));
    }
    void listing_changed() override {
        const std::string name = room_->is_listed() ? listed_name(room_->config()) : std::string{};
        if (std::exchange(listed_as_, name) == name) return;
        xmpp::XmlWriter w;
        w.open("message").attr("from", jid_.text()).attr("to", service_.service_);
        w.open("listing", ns_listing).attr_if("name", name);
        worker().router.send_xml(w.take(), *xmpp::Jid::parse(service_.service_));
    }

    bool is_in_idle_list = false;   // is in the service's list of idle rooms

private:
    Worker& worker() const { return service_.worker_; }

    std::string listed_name(const RoomConfig& config) const {
        if (!config.is_public) return {};
        return config.name.empty() ? std::string{jid_.localpart()} : config.name;
    }

    void handle(const Waiting& next) try {
        const Receipt::Scope because{next.receipt};
        room_->take(next.stanza, next.to);
    } catch (const std::exception& bug) {
        log::error("a room failed", {{"room", jid_.text()}, {"stanza", next.stanza.id()}, {"why", bug.what()}});
        worker().router.bounce(next.stanza, next.to, Condition::internal_server_error);
    }

    storage::Task<void> write(Change change, std::function<void(bool)> then) {
        const std::shared_ptr<Receipt> receipt = Receipt::current();
        const bool is_removal = change.is_removal;
        if (!is_removal && !is_stored_) {   // §10.1.1: what was made on other workers meanwhile counts as well
            auto counting = worker().storage().rooms().count_founded(*xmpp::Jid::parse(founder_));
            const auto stored = co_await counting;
            if (!stored || *stored >= rules().per_account) co_return written(receipt, [&] { then(false); });
        }
        auto writing = write_to_storage(change);
        const auto result = co_await writing;
        if (result) service_.count_temporary(*this, is_removal, is_stored_);
        else log::warn("a room is not stored", {{"room", jid_.text()}, {"why", result.error().text}});
        if (result) is_stored_ = !is_removal;
        written(receipt, [&] { then(result.ok()); });
    }
    storage::Task<void> write_over(storage::LogId place, Rewritten rewritten, std::function<void(Replaced)> then) {
        const std::shared_ptr<Receipt> receipt = Receipt::current();
        auto replacing = service_.archives_.replace(log_, place, std::move(rewritten));
        const Replaced replaced = co_await replacing;
        written(receipt, [&] { then(replaced); });
    }
    storage::Task<storage::Result<void>> write_to_storage(const Change& change) {
        auto& rooms = worker().storage().rooms();
        if (change.is_removal || is_stored_) {
            auto writing = change.is_removal ? rooms.remove(jid_) : rooms.change(jid_, changes(change));
            co_return co_await writing;
        }
        auto writing = rooms.put(whole(change));
        const auto log = co_await writing;
        if (!log) co_return storage::Failure{log.error()};
        log_ = *log;
        co_return storage::Result<void>{};
    }
    template <class Then>
    void written(const std::shared_ptr<Receipt>& receipt, Then then) {
        is_storing_ = false;
        const bool was_working = std::exchange(is_working_, true);
        {
            const Receipt::Scope because{receipt};
            then();
        }
        is_working_ = was_working;
        work();
    }

    static std::vector<storage::RoomAffiliation> affiliations_of(const Change& change) {
        std::vector<storage::RoomAffiliation> all;
        for (const auto& [jid, entry] : change.affiliations) {
            storage::RoomAffiliation& each = all.emplace_back();
            each.jid = jid;
            each.affiliation = entry.affiliation;
            each.nick = entry.nick;
            each.reason = entry.reason;
        }
        return all;
    }
    storage::RoomChange changes(const Change& change) const {
        storage::RoomChange changes;
        if (change.config) {
            changes.config = change.config->stored();
            changes.listed_as = listed_name(*change.config);
        }
        changes.subject = change.subject;
        changes.affiliations = affiliations_of(change);
        return changes;
    }
    storage::Room whole(const Change& change) const {
        const RoomConfig& config = change.config ? *change.config : room_->config();
        storage::Room room;
        room.jid = jid_;
        room.founder = *xmpp::Jid::parse(founder_);
        room.secret = room_->secret();
        room.config = config.stored();
        room.subject = change.subject.value_or(room_->subject());
        room.listed_as = listed_name(config);
        room.created = worker().now();
        room.affiliations = affiliations_of(change);
        return room;
    }

    Rooms& service_;
    const xmpp::Jid jid_;
    std::string founder_;
    std::optional<Room> room_;           // none: it is being looked for
    WaitingList waiting_;
    std::vector<xmpp::Jid> removed_;     // accounts
    std::string listed_as_;
    storage::AccountId log_ = 0;         // once it is stored
    storage::LogId last_place_ = 0;      // in it
    bool is_new_ = false;
    bool is_working_ = false;
    bool is_storing_ = false;
    bool is_stored_ = false;
};

// ---- the service ----------------------------------------------------------------------------------------------------------

Rooms::Rooms(Worker& worker, std::string service, Histories& histories) : worker_{worker}, service_{std::move(service)}, histories_{histories} {}
Rooms::~Rooms() = default;

void Rooms::take(const Stanza& stanza, JidView to) {
    if (to.localpart().empty()) return take_for_service(stanza);
    auto entry = places_.find(to.bare().text());
    if (entry != places_.end()) {
        entry->second->wait(stanza, to);
        return entry->second->work();
    }
    // Nobody is in a room that is not here: for these it need not be fetched.
    const bool is_for_occupants = (stanza.kind() == Kind::presence && !asks_to_enter(stanza)) || (stanza.kind() == Kind::iq && to.is_full());
    if (is_for_occupants) return to_no_room(stanza, to);
    const xmpp::Jid jid{to.bare()};
    entry = places_.emplace(jid.text(), std::make_unique<Place>(*this, jid)).first;
    entry->second->wait(stanza, to);
    worker_.spawn("loading a room", load(jid));
}

void Rooms::account_removed(const xmpp::Jid& account) {
    std::vector<std::string> rooms;      // some end by it
    for (const auto& [jid, place] : places_) rooms.push_back(jid);
    for (const std::string& room : rooms)
        if (const auto entry = places_.find(room); entry != places_.end()) entry->second->account_removed(account);
}

void Rooms::going_down() {
    for (const auto& [jid, place] : places_) place->going_down();
}

storage::Task<void> Rooms::load(xmpp::Jid jid) {
    auto finding = worker_.storage().rooms().find(jid);
    auto found = co_await finding;
    Place& place = *places_.find(jid.text())->second;   // stays while it has no room
    RoomConfig config;
    std::vector<storage::LogEntry> newest;
    if (found && *found) {
        config = RoomConfig::read((*found)->config);
        auto reading = archives_.newest((*found)->log, std::max<std::size_t>(config.history, 1));
        auto read = co_await reading;
        if (read) newest = std::move(*read);
        else found = storage::Failure{read.error()};
    }
    if (!found) {
        log::warn("a room was not loaded", {{"room", jid.text()}, {"why", found.error().text}});
        while (!place.waiting().empty()) {
            const Waiting next = place.waiting().take_first();
            worker_.router.bounce(next.stanza, next.to, {xmpp::ErrorType::wait, Condition::resource_constraint, "The server cannot reach its storage now."});
        }
    } else if (*found) {
        place.restore(std::move(**found), std::move(config), newest);
    } else {
        auto answering = answer_for_none(place);
        co_await answering;
    }
    if (place.has_room()) place.work();
    else forget(place);
}

// Until somebody makes it.
storage::Task<void> Rooms::answer_for_none(Place& place) {
    while (!place.waiting().empty() && !place.has_room()) {
        const Waiting next = place.waiting().take_first();
        if (!asks_to_enter(next.stanza)) {
            const Receipt::Scope because{next.receipt};
            to_no_room(next.stanza, next.to);
            continue;
        }
        const xmpp::Jid founder{next.stanza.from().bare()};
        auto counting = worker_.storage().rooms().count_founded(founder);
        const auto stored = co_await counting;
        auto error = stored ? forbids_founding(founder, *stored) : std::optional<StanzaError>{{xmpp::ErrorType::wait, Condition::resource_constraint}};
        if (error) {
            error->by = place.jid().text();
            error->beside = muc_child;
            worker_.router.bounce(next.stanza, next.to, *error);
            continue;
        }
        place.found(founder);
        ++temporary_[founder.text()];
        place.waiting().put_back(next);
    }
}

// Rooms speak to it; others have nothing to say to it.
void Rooms::take_for_service(const Stanza& stanza) {
    const JidView from = stanza.from();
    const xmpp::Element listing = stanza.child("listing", ns_listing);
    if (from.domainpart() != service_ || !listing) return worker_.router.bounce(stanza, stanza.to(), Condition::service_unavailable);
    if (reading_listed_ > 0) told_.emplace(from.text());
    if (listing.attr("name").empty()) {
        if (const auto gone = listed_.find(from.text()); gone != listed_.end()) listed_.erase(gone);
    } else {
        listed_[std::string{from.text()}] = listing.attr("name");
    }
}

void Rooms::to_no_room(const Stanza& stanza, JidView to) {
    if (stanza.kind() != Kind::presence) {
        StanzaError error{to.is_full() && stanza.kind() == Kind::iq ? forbids_asking_occupants(stanza) : Condition::item_not_found};
        error.by = to.bare().text();
        return worker_.router.bounce(stanza, to, error);
    }
    if (stanza.type().empty() && to.is_full()) worker_.router.send_xml(no_occupant(to, Affiliation::none), stanza.from());
}

// §10.1.1
std::optional<StanzaError> Rooms::forbids_founding(JidView founder, std::uint64_t stored) const {
    const Config& config = *worker_.config;
    const bool may = config.rooms.create == "everybody" || (config.rooms.create == "admins" && config.is_admin(founder));
    if (!may) return Condition::not_allowed;
    const auto temporary = temporary_.find(founder.text());
    if (stored + (temporary == temporary_.end() ? 0 : temporary->second) < config.rooms.per_account) return std::nullopt;
    return StanzaError{Condition::resource_constraint, "You have made too many rooms."};
}

void Rooms::count_temporary(const Place& place, bool is_temporary, bool was_stored) {
    if (is_temporary == !was_stored) return;
    if (is_temporary) ++temporary_[place.founder()];
    else if (const auto count = temporary_.find(place.founder()); count != temporary_.end() && --count->second == 0) temporary_.erase(count);
}

void Rooms::became_idle(Place& place) {
    if (!std::exchange(place.is_in_idle_list, true)) idle_.push_back(place.jid().text());
    while (idle_.size() > idle_rooms_kept) {
        const auto entry = places_.find(idle_.front());
        idle_.pop_front();
        if (entry == places_.end()) continue;
        entry->second->is_in_idle_list = false;
        if (entry->second->is_idle() && entry->second.get() != &place) places_.erase(entry);
    }
}

// What still waits for it is for a room that is not there, or for a new one.
void Rooms::forget(Place& place) {
    const auto entry = places_.find(place.jid().text());
    const std::unique_ptr<Place> gone = std::move(entry->second);
    places_.erase(entry);
    if (gone->has_room()) {
        count_temporary(*gone, false, gone->is_stored());
        gone->listing_changed();
    }
    while (!gone->waiting().empty()) {
        const Waiting next = gone->waiting().take_first();
        const Receipt::Scope because{next.receipt};
        take(next.stanza, next.to);
    }
}

// §6.3
storage::Task<IqReply> Rooms::items(Iq iq) {
    if (!has_read_listed_) {
        auto reading = worker_.storage().rooms().listed(service_);
        ++reading_listed_;
        const auto stored = co_await reading;
        --reading_listed_;
        if (stored && !std::exchange(has_read_listed_, true))   // others may have asked at the same time
            for (const storage::ListedRoom& room : *stored)
                if (!told_.contains(room.jid.text())) listed_[room.jid.text()] = room.name;
        if (reading_listed_ == 0) told_.clear();
        if (!has_read_listed_) co_return IqReply{stored.error()};
    }
    IqReply reply = listing(iq.payload);
    co_return reply;
}

IqReply Rooms::listing(const xmpp::Element& query) const {
    if (!query.attr("node").empty()) return Condition::item_not_found;
    const auto request = xmpp::RsmRequest::parse(query.child("set", xmpp::ns::rsm));
    if (!request) return request.error();
    const std::size_t most = std::min<std::size_t>(request->max.value_or(page), page);
    auto begin = listed_.begin(), end = listed_.end();
    if (request->after) begin = listed_.upper_bound(*request->after);
    else if (request->before && !request->before->empty()) end = listed_.lower_bound(*request->before);
    else if (request->index) begin = std::next(listed_.begin(), std::min<std::ptrdiff_t>(*request->index, static_cast<std::ptrdiff_t>(listed_.size())));
    const auto there = static_cast<std::size_t>(std::distance(begin, end));
    const std::size_t count = std::min(there, most);
    if (request->before) begin = std::next(begin, static_cast<std::ptrdiff_t>(there - count));
    xmpp::XmlWriter w;
    w.open("query", xmpp::ns::disco_items);
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
    if (query.child("set", xmpp::ns::rsm) || count < listed_.size()) answer.write(w);
    return w.take();
}

}  // namespace server::rooms
