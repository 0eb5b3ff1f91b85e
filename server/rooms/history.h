// SPDX-License-Identifier: MIT
// XEP-0045 §7.2.13, §7.2.14: what was said last, for those who come in.
#pragma once

#include <deque>
#include <list>
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

// What was said to all: as it was sent, with its 'from'; the id that the room gave it (XEP-0359), and its author's (XEP-0421).
struct Said {
    std::string xml, id, author;
};

class History;

// What the rooms of one worker remember, all together. When it is more than `most` bytes, those lose their oldest that nothing
// was said in for longest.
class Histories {
public:
    explicit Histories(std::size_t most) : most_{most} {}
    std::size_t bytes() const { return bytes_; }

private:
    friend class History;
    void make_room();

    const std::size_t most_;
    std::size_t bytes_ = 0;
    std::list<History*> by_use_;     // that are not empty
};

class History {
public:
    explicit History(Histories& all) : all_{all} {}
    ~History();
    History(const History&) = delete;
    History& operator=(const History&) = delete;

    // The oldest are forgotten when there are more than so many, or more than 256 KiB; what is longer than 64 KiB is not
    // remembered.
    void add(Said said, xmpp::Time when, std::size_t most);
    // At most so many, each stamped (XEP-0203) by the room.
    std::vector<SharedCopies> read(const HistoryRequest& request, std::size_t most, const std::string& room);
    void trim(std::size_t most);
    // What has that id, if that author said it; empty: whoever did. False: it is not there.
    bool forget(std::string_view id, std::string_view author);

private:
    friend class Histories;
    struct Entry {
        Said said;
        xmpp::Time when;
        SharedCopies stamped;    // once somebody asked
        std::size_t bytes() const;
    };
    void forget(std::deque<Entry>::iterator entry);
    void forget_oldest() { forget(entries_.begin()); }

    Histories& all_;
    std::list<History*>::iterator place_;   // there, unless it is empty
    std::deque<Entry> entries_;
    std::size_t bytes_ = 0;                 // of messages
};

// A stanza with one more child: when it was sent first.
std::string stamped(std::string_view message, xmpp::Time when, const std::string& room);

}  // namespace server::rooms
