// SPDX-License-Identifier: MIT
// XEP-0045 §7.2.13, §7.2.14: what was said last, for those who come in.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "server/fan_out.h"
#include "xmpp/date_time.h"
#include "xmpp/stanza.h"

namespace server::rooms {

// What who comes in wants of it: the <history/> of the join (§7.2.14). What cannot be read is as if it was not there.
struct HistoryRequest {
    std::optional<std::size_t> characters, messages;
    std::optional<xmpp::Time> since;

    static HistoryRequest parse(const xmpp::Element& history, xmpp::Time now);
};

class History {
public:
    // `message`: as it was sent to all, with its 'from'. The oldest are forgotten when there are more
    // than so many, or more than 256 KiB; what is longer than 64 KiB is not remembered.
    void add(std::string message, xmpp::Time when, std::size_t most);
    // At most so many, each stamped (XEP-0203) by the room.
    std::vector<SharedCopies> read(const HistoryRequest& request, std::size_t most, const std::string& room);
    void trim(std::size_t most);

private:
    struct Entry {
        std::string message;
        xmpp::Time when;
        SharedCopies stamped;    // once somebody asked
    };
    std::deque<Entry> entries_;
    std::size_t bytes_ = 0;
};

// A stanza with one more child: when it was sent first.
std::string stamped(std::string_view message, xmpp::Time when, const std::string& room);

}  // namespace server::rooms
