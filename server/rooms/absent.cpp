// SPDX-License-Identifier: MIT
// Members who may be away (XEP-0045 §5.2) are told that something was said, so that a module can wake their phones; then these come
// in and fetch it. Each once, until it has come or gone again, and after an hour once more: what wakes a phone may be lost.
// Whoever is there hears it as well: one account has several devices.
#include <map>

#include "server/rooms/room.h"

namespace server::rooms {

constexpr std::chrono::hours until_told_again{1};

// Most of what is said finds nobody to be told, and looks at no list.
void Room::tell_absent(const SharedCopies& said, xmpp::JidView by) {
    const storage::Time now = around_.now();
    if (now < nobody_to_tell_until_ && (speaker_not_told_.empty() || by.text() == speaker_not_told_)) return;
    storage::Time next = now + until_told_again;
    speaker_not_told_.clear();
    std::map<std::size_t, std::vector<xmpp::Jid>> absent;   // by the worker where they live
    for (const auto& [jid, entry] : affiliations_.entries()) {
        if (entry.affiliation < Affiliation::member || jid.localpart().empty()) continue;
        const auto told = told_absent_.find(jid.text());
        const storage::Time due = told == told_absent_.end() ? now : told->second + until_told_again;
        if (due > now) {
            next = std::min(next, due);
            continue;
        }
        if (jid.view() == by) {
            speaker_not_told_ = by.text();
            continue;
        }
        told_absent_.insert_or_assign(jid.text(), now);
        absent[around_.home_of(jid)].push_back(jid);
    }
    nobody_to_tell_until_ = next;
    for (auto& [home, accounts] : absent) around_.tell_missed(home, std::move(accounts), said);
}

void Room::comes_or_goes(xmpp::JidView bare) {
    told_absent_.erase(std::string{bare.text()});
    nobody_to_tell_until_ = {};
}

}  // namespace server::rooms
