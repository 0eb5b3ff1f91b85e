// SPDX-License-Identifier: MIT
// What a room may do with the world around it: a room itself does no I/O. The service (rooms.h) has the real ones, unit
// tests others. What a room causes here may come back to it as a stanza, but only when it is done with the one at hand.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/config.h"
#include "server/fan_out.h"
#include "server/iq.h"
#include "server/rooms/affiliations.h"
#include "server/rooms/history.h"
#include "server/rooms/room_config.h"
#include "storage/storage.h"

namespace server::rooms {

// What is to be stored of a room before anybody hears of it; what is not set stays as it is.
struct Change {
    std::optional<RoomConfig> config;
    std::optional<std::string> subject;      // the message, as it is sent to who comes in
    std::vector<std::pair<xmpp::Jid, Affiliations::Entry>> affiliations;
    bool is_removal = false;                 // nothing of it is to be kept
};

enum class Replaced : std::uint8_t { yes, not_there, not_now };   // not_now: the storage did not answer

class Surroundings {
public:
    virtual ~Surroundings() = default;
    virtual storage::Time now() const = 0;
    virtual const Config::Rooms& rules() const = 0;
    virtual bool is_admin(xmpp::JidView bare) const = 0;                         // of the server
    virtual Histories& histories() = 0;
    virtual std::string new_id() = 0;                                            // nobody can guess it
    virtual bool may_invite(xmpp::JidView inviter, std::uint32_t count) = 0;     // so many more now; then they are paid for
    virtual std::size_t home_of(xmpp::JidView bare) const = 0;                   // the worker where that account lives

    virtual void announce(std::size_t home, Announcement announcement) = 0;
    virtual void send_all(std::vector<SharedCopies> stanzas, const xmpp::Jid& to) = 0;   // to a session
    virtual void send_once(SharedCopies stanza, std::vector<xmpp::Jid> sessions) = 0;    // of one account
    virtual void tell_missed(std::size_t home, std::vector<xmpp::Jid> accounts, SharedCopies message) = 0;
    virtual void send(std::string_view xml, xmpp::JidView to) = 0;               // to anybody, by the route
    virtual void bounce(const xmpp::Stanza& stanza, xmpp::JidView asked, const xmpp::StanzaError& error) = 0;
    virtual void answer(const xmpp::Stanza& request, xmpp::JidView asked, const IqReply& reply) = 0;

    // XEP-0313: what is said there is kept. So long as the room is not stored it is not.
    virtual bool has_archive() const = 0;
    virtual storage::LogId next_place() = 0;                                     // in the archive
    virtual std::string archive_id(storage::LogId place) = 0;
    // `said`: what its sender sent, `xml`: what all get of it. False: it is refused at once; later the sender is told.
    virtual bool keep(storage::LogId place, const xmpp::Stanza& said, std::string_view xml) = 0;
    virtual void read_archive(const xmpp::Stanza& request, bool sees_addresses) = 0;   // answers it
    virtual std::optional<storage::LogId> archive_place(std::string_view id) = 0;      // that archive_id() made
    // What `rewritten` makes of what is kept there takes its place; an empty text: it is not there, or stays. Until `then` has
    // been called nothing else comes to the room.
    using Rewritten = std::function<std::string(const xmpp::Stanza&)>;
    virtual void replace(storage::LogId place, Rewritten rewritten, std::function<void(Replaced)> then) = 0;

    // Of a persistent room, or one that becomes so. Until `then` has been called nothing else comes to the room.
    virtual void store(Change change, std::function<void(bool stored)> then) = 0;
    virtual void listing_changed() = 0;                                          // its name, whether it is public, or that it is
};

}  // namespace server::rooms
