// SPDX-License-Identifier: MIT
// XEP-0313 §6.1.2: the archives of one worker's rooms, each in its room's log (storage/rooms.h). A room (room.h) says what
// is kept and who may read it; here it is written, read and sent.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/archive_protocol.h"
#include "server/iq.h"
#include "server/rooms/surroundings.h"
#include "storage/storage.h"
#include "xmpp/jid.h"
#include "xmpp/stanza.h"

namespace server {
class Worker;
}

namespace server::rooms {

class Archives {
public:
    explicit Archives(Worker& worker);

    bool are_kept() const;           // by the server's configuration
    std::string id(storage::AccountId log, storage::LogId place) { return protocol_.id(log, place); }
    std::optional<storage::LogId> place(storage::AccountId log, std::string_view id) { return protocol_.place(log, id); }
    // `said`: what its sender sent, `xml`: what all get of it. False: it is refused at once. When storing it fails later, its
    // sender is told.
    bool append(storage::AccountId log, storage::LogId place, const xmpp::Stanza& said, std::string_view xml);
    // See Surroundings::replace.
    storage::Task<Replaced> replace(storage::AccountId log, storage::LogId place, Surroundings::Rewritten rewritten);
    // So many, oldest first.
    storage::Task<storage::Result<std::vector<storage::LogEntry>>> newest(storage::AccountId log, std::size_t count);
    // A request in XEP-0313's namespace, by who may read it. `sees_addresses`: of those who spoke.
    storage::Task<void> answer(xmpp::Stanza request, xmpp::Jid room, storage::AccountId log, bool sees_addresses);

private:
    using Entry = std::pair<storage::AccountId, storage::LogId>;

    storage::Task<IqReply> reply_to(xmpp::Stanza request, xmpp::Jid room, storage::AccountId log, bool sees_addresses);
    storage::Task<IqReply> metadata(storage::AccountId log);
    storage::Task<IqReply> query(xmpp::Stanza request, xmpp::Jid room, storage::AccountId log, bool sees_addresses);

    Worker& worker_;
    ArchiveProtocol protocol_;
    Entry appending_;                // that is being given to storage
    bool is_refused_ = false;        // and was refused at once
    struct Asking { unsigned all = 0, searches = 0; };
    std::map<std::string, Asking, std::less<>> asking_;     // requests under way, by the account that asks
};

}  // namespace server::rooms
