// SPDX-License-Identifier: MIT
// Who is in a room: occupants by nickname, each with one or more sessions of one account (XEP-0045 §7.2.8), and the
// audiences that hear what is said there.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/fan_out.h"
#include "server/rooms/affiliations.h"
#include "xmpp/jid.h"
#include "xmpp/stanza.h"

namespace server::rooms {

// A session of an occupant.
struct Seat {
    xmpp::Jid jid;               // full
    std::size_t home = 0;        // the worker where its account lives
    std::uint64_t number = 0;    // in this room; never another's
    xmpp::Stanza presence;       // what it last said
};

struct Occupant {
    std::string_view nick() const { return address.resourcepart(); }
    xmpp::JidView bare() const { return seats.front().jid.view().bare(); }
    const Seat& foremost() const { return seats.back(); }   // whose presence the others see
    Seat* seat(xmpp::JidView full);

    xmpp::Jid address;           // room@service/nick
    Affiliation affiliation = Affiliation::none;
    Role role = Role::none;
    std::string id;              // XEP-0421
    std::vector<Seat> seats;     // at least one
    std::size_t place = 0;       // among those of its role
    SharedCopies shown, shown_with_jid;   // its presence as others see it; made when needed
    void changed() { shown = shown_with_jid = nullptr; }
};

std::vector<xmpp::Jid> sessions_of(const Occupant& who);

class Occupants {
public:
    std::size_t size() const { return by_nick_.size(); }
    bool empty() const { return by_nick_.empty(); }
    std::size_t presence_bytes() const { return presence_bytes_; }   // of all sessions
    Occupant* find(std::string_view nick) const;
    Occupant* at(xmpp::JidView full) const;          // whose session that is
    Occupant* of(xmpp::JidView bare) const;          // one of that account's
    template <class F>
    void for_each(F visit) const { for (const auto& [nick, occupant] : by_nick_) visit(*occupant); }
    std::vector<Occupant*> all() const;
    const std::vector<Occupant*>& with(Role role) const { return by_role_[static_cast<std::size_t>(role)]; }

    Occupant& add(Occupant occupant);                // its nickname is free
    void add(Occupant& occupant, Seat seat);
    void remove(Occupant& occupant);
    void remove(Occupant& occupant, xmpp::Jid full);   // not its last seat
    void rename(Occupant& occupant, xmpp::Jid address);
    void set_presence(Occupant& occupant, xmpp::JidView full, xmpp::Stanza presence);   // of that session, which is the foremost then
    void set_role(Occupant& occupant, Role role);

    // All sessions, those of moderators first; one audience for each worker where there are some.
    struct Hearers { std::size_t home; SharedAudience audience; };
    const std::vector<Hearers>& hearers();

private:
    void enlist(Occupant& occupant);
    void strike(Occupant& occupant);

    std::map<std::string, std::unique_ptr<Occupant>, std::less<>> by_nick_;
    std::unordered_map<std::string, Occupant*, xmpp::TextHash, std::equal_to<>> by_jid_;
    std::array<std::vector<Occupant*>, 4> by_role_;
    std::vector<Hearers> hearers_;
    std::size_t presence_bytes_ = 0;
    bool is_stale_ = false;      // hearers_
};

}  // namespace server::rooms
