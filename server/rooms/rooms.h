// SPDX-License-Identifier: MIT
// The rooms of one service that live on one worker: XEP-0045 §6.3, §7.2.11, §10.1. Each takes one stanza after the other;
// what a room causes and what comes back of it waits until it is done, and so does everything while a change is being stored.
// Persistent rooms are fetched when somebody needs them; who was in them before a restart is not. On the worker where the
// service itself lives, the list of public rooms is kept: rooms tell it in a message what of them is to be listed.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "server/host.h"
#include "server/rooms/archives.h"
#include "server/rooms/room.h"
#include "server/rooms/waiting.h"

namespace server::rooms {

class Rooms {
public:
    Rooms(Worker& worker, std::string service, Histories& histories);   // "groups.localhost"
    ~Rooms();

    // For the service, a room of it or an occupant, on the worker where that lives.
    void take(const xmpp::Stanza& stanza, xmpp::JidView to);
    // On every worker, as the host's chains of these names.
    void account_removed(const xmpp::Jid& account);
    void going_down();
    // XEP-0030 §4.1 with XEP-0059: the public rooms. On the service's worker.
    storage::Task<IqReply> items(Iq iq);

private:
    class Place;                                     // where a room is: its world, and what waits for it

    void take_for_service(const xmpp::Stanza& stanza);
    void to_no_room(const xmpp::Stanza& stanza, xmpp::JidView to);
    storage::Task<void> load(xmpp::Jid room);
    storage::Task<void> answer_for_none(Place& place);
    std::optional<xmpp::StanzaError> forbids_founding(xmpp::JidView founder, std::uint64_t stored) const;
    void count_temporary(const Place& place, bool is_temporary, bool was_stored);
    void became_idle(Place& place);
    void forget(Place& place);
    IqReply listing(const xmpp::Element& query) const;

    Worker& worker_;
    const std::string service_;
    Histories& histories_;
    Archives archives_{worker_};
    std::unordered_map<std::string, std::unique_ptr<Place>, xmpp::TextHash, std::equal_to<>> places_;   // by the room's JID
    std::unordered_map<std::string, std::uint32_t, xmpp::TextHash, std::equal_to<>> temporary_;   // rooms that are not stored, by founder
    std::deque<std::string> idle_;                   // persistent rooms that nobody is in, oldest first
    // The service's worker alone: public rooms and their names, once those that are stored have been read.
    std::map<std::string, std::string, std::less<>> listed_;
    std::set<std::string, std::less<>> told_;        // by rooms while the others are being read: that is newer
    unsigned reading_listed_ = 0;
    bool has_read_listed_ = false;
};

}  // namespace server::rooms
