// SPDX-License-Identifier: MIT
// The stations of a passage, and a passage's bytes.
#include "server/hooks.h"

#include "server/account.h"

namespace server {

std::string_view to_string(Station station) {
    switch (station) {
        case Station::screen: return "screen";
        case Station::stamp: return "stamp";
        case Station::archive: return "archive";
        case Station::copy: return "copy";
    }
    return "";
}

Verdict run(const Stations& stations, Passage& passage) {
    for (std::size_t station = 0; station < station_count; ++station) {
        if (Verdict verdict = stations[station].ask(passage); !verdict.passes()) return verdict;
        if (Station{static_cast<std::uint8_t>(station)} == Station::archive && passage.logged_as != 0 && !passage.account.log.write(passage))
            return Verdict::bounce(AccountLog::not_stored);
    }
    return Verdict::pass();
}

storage::LogId Passage::keep(Keep why) {
    if (logged_as == 0) logged_as = account.log.reserve();
    kept = std::max(kept, why);
    return logged_as;
}

namespace {

bool is_stripped(const xmpp::Element& child, const void* context) {
    const auto& stripped = *static_cast<const std::vector<xmpp::Element>*>(context);
    for (const xmpp::Element& gone : stripped)
        if (gone == child) return true;
    return false;
}

}  // namespace

xmpp::Wire Passage::wire() {
    const std::size_t edits = appended.size() + stripped.size();
    if (wire_ && written_with_ == edits) return wire_;
    static thread_local std::string scratch;
    scratch.clear();
    xmpp::Stanza::Rewrite rewrite;
    rewrite.from = from;
    rewrite.to = to;
    rewrite.append = appended;
    if (!stripped.empty()) {
        rewrite.strip = is_stripped;
        rewrite.context = &stripped;
    }
    stanza.write(scratch, rewrite);
    written_with_ = edits;
    return wire_ = xmpp::Wire{scratch};
}

}  // namespace server
