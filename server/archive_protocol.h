// SPDX-License-Identifier: MIT
// XEP-0313 1.1.3 §4, §5: what is asked of an archive and what it answers, in XML, whoever's it is: an account's
// (modules/archive.cpp) or a room's (rooms/archive.cpp).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "server/archive_id.h"
#include "storage/storage.h"
#include "xmpp/error.h"
#include "xmpp/result.h"
#include "xmpp/stanza.h"

namespace server {

class Server;

inline constexpr std::string_view ns_mam = "urn:xmpp:mam:2";
inline constexpr unsigned most_searches = 2;               // of one account under way: they take the time of others

struct ArchiveQuestion {
    storage::ArchiveQuery query;
    std::string queryid;
    bool is_flipped = false;
    bool is_synchronising = true;    // everything from some point on: not a search, not a conversation
};

xmpp::StanzaError too_many_searches();
xmpp::StanzaError too_much();                              // was asked for by ids: less than all of it is no answer

// One thread's.
class ArchiveProtocol {
public:
    explicit ArchiveProtocol(const Server& server) : server_{server} {}

    static std::span<const std::string_view> features();   // of who has an archive (§7)
    static std::string form();                             // §4.1.5
    // `query`: the client's <query/>. `log`: the account whose archive that is.
    xmpp::Result<ArchiveQuestion, xmpp::StanzaError> parse(storage::AccountId log, const xmpp::Element& query);

    std::string id(storage::AccountId log, storage::LogId place) { return ids().id(log, place); }
    std::optional<storage::LogId> place(storage::AccountId log, std::string_view id) { return ids().place(log, id); }
    // §4.2: <result/>; `stanza`: what it forwards, as on a stream of clients.
    std::string result(const ArchiveQuestion& question, const storage::LogEntry& entry, std::string_view stanza);
    std::string fin(storage::AccountId log, const storage::ArchivePage& page);            // §4.3
    std::string metadata(storage::AccountId log, const storage::ArchiveEnds& ends);       // §5

private:
    struct Reading;                                        // of one question
    // The secret is there once the server is prepared, which is after its modules are made.
    ArchiveIds& ids();

    const Server& server_;
    std::optional<ArchiveIds> ids_;
};

}  // namespace server
