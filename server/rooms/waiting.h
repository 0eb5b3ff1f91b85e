// SPDX-License-Identifier: MIT
// What waits for a room while it is being loaded, or stores a change: no more than so many stanzas and bytes.
#pragma once

#include <deque>
#include <memory>

#include "server/receipt.h"
#include "xmpp/jid.h"
#include "xmpp/stanza.h"

namespace server::rooms {

struct Waiting {
    xmpp::Stanza stanza;
    xmpp::Jid to;
    std::shared_ptr<Receipt> receipt;
};

class WaitingList {
public:
    bool empty() const { return stanzas_.empty(); }
    bool has_place_for(const xmpp::Stanza& stanza) const;
    // Beyond the limits as well, so that nobody is thought to be there who is gone, but not twice in a row: that a session, of
    // an occupant if `is_inside`, leaves or fails.
    bool is_needed(const xmpp::Stanza& stanza, bool is_inside) const;
    void add(Waiting next);
    void put_back(Waiting first);
    Waiting take_first();

private:
    std::deque<Waiting> stanzas_;
    std::size_t bytes_ = 0;
};

}  // namespace server::rooms
