// SPDX-License-Identifier: MIT
// One stanza for many sessions: parsed once, written once, and handed to each worker in one piece. The copies differ in
// 'to' alone. Past the sender's half of the route; the recipient's half is run for each, but what is sent is never stored
// for somebody who is not there.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "xmpp/jid.h"
#include "xmpp/stanza.h"
#include "xmpp/wire.h"

namespace server {

class Worker;

class Copies {
public:
    explicit Copies(std::string xml);                // of a stanza that bears its 'from', and no 'to'
    const xmpp::Stanza& stanza() const { return stanza_; }
    std::string_view xml() const { return xml_; }
    xmpp::Wire addressed(std::string_view to) const; // `to`: as it stands in an attribute

private:
    std::string xml_;
    std::size_t name_end_;                           // behind "<message"
    xmpp::Stanza stanza_;
};
using SharedCopies = std::shared_ptr<const Copies>;

// Full JIDs whose accounts live on one worker: a value that any thread may read.
class Audience {
public:
    // The first `insiders` of them may be sent something else than the others.
    Audience(std::span<const xmpp::Jid* const> seats, std::size_t insiders);
    Audience(const Audience&) = delete;
    Audience& operator=(const Audience&) = delete;

    struct Seat {
        xmpp::JidView jid;
        std::string_view attribute;                  // the same as it stands in one
    };
    std::span<const Seat> seats() const { return seats_; }
    std::size_t insiders() const { return insiders_; }

private:
    std::string text_;
    std::vector<Seat> seats_;
    std::size_t insiders_;
};
using SharedAudience = std::shared_ptr<const Audience>;

// What its audience gets, but for those in `except`.
struct Announcement {
    SharedAudience audience;
    SharedCopies to_insiders, to_others;
    std::vector<xmpp::Jid> except;
    xmpp::Jid by{};                                  // the account whose words these are, if they are somebody's
};

// To the worker where they live. A message for a session that is gone comes back as recipient-unavailable, presence does not;
// whoever does not want it is passed over in silence.
void announce(Worker& from, Worker& home, Announcement announcement);
// The same for several stanzas to one session, in their order.
void send_all(Worker& from, std::vector<SharedCopies> stanzas, const xmpp::Jid& to);
// One for several sessions of one account, whose stations see it once; at least one.
void send_once(Worker& from, SharedCopies stanza, std::vector<xmpp::Jid> sessions);
// What a session asked to see. It belongs to no conversation of its account's: no station sees it.
void hand_out(Worker& from, std::vector<SharedCopies> found, const xmpp::Jid& to);
// Accounts that `message` was not sent to, and that will find it where it is kept (Host::missed), when there is time for them.
void tell_missed(Worker& from, Worker& home, std::vector<xmpp::Jid> accounts, SharedCopies message);

}  // namespace server
