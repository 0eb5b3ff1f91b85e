// SPDX-License-Identifier: MIT
// What waits for a room.
#include "server/rooms/waiting.h"

#include <algorithm>
#include <ranges>

namespace server::rooms {

using xmpp::Kind;
using xmpp::Stanza;

namespace {

constexpr std::size_t most_stanzas = 1000, most_bytes = 4U << 20;

bool says_that_it_is_gone(const Stanza& stanza) {
    return (stanza.kind() == Kind::presence && stanza.type() == "unavailable") || (stanza.kind() != Kind::iq && stanza.is_error());
}

}  // namespace

// One waits however long it is.
bool WaitingList::has_place_for(const Stanza& stanza) const {
    return stanzas_.empty() || (stanzas_.size() < most_stanzas && bytes_ + stanza.size() <= most_bytes);
}

bool WaitingList::is_needed(const Stanza& stanza, bool is_inside) const {
    if (!says_that_it_is_gone(stanza)) return false;
    const auto same = [&stanza](const Waiting& each) { return each.stanza.from() == stanza.from(); };
    const auto newest_first = stanzas_ | std::views::reverse;
    const auto last = std::ranges::find_if(newest_first, same);
    return last == newest_first.end() ? is_inside : !says_that_it_is_gone(last->stanza);
}

void WaitingList::add(Waiting next) {
    bytes_ += next.stanza.size();
    stanzas_.push_back(std::move(next));
}

void WaitingList::put_back(Waiting first) {
    bytes_ += first.stanza.size();
    stanzas_.push_front(std::move(first));
}

Waiting WaitingList::take_first() {
    Waiting first = std::move(stanzas_.front());
    stanzas_.pop_front();
    bytes_ -= first.stanza.size();
    return first;
}

}  // namespace server::rooms
