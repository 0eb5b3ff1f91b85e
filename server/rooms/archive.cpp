// SPDX-License-Identifier: MIT
// XEP-0313 §6.1.2: what is kept of what is said, and who may read it: who may come in.
#include "server/archive_protocol.h"
#include "server/rooms/room.h"
#include "server/tombstone.h"
#include "xmpp/namespaces.h"
#include "xmpp/parser.h"

namespace server::rooms {

using xmpp::Condition;
using xmpp::Stanza;

// §8.1: "a MUC archive for a private room might be restricted to room members"; a password cannot be asked for.
bool Room::may_read_archive(const Stanza& stanza) const {
    const Affiliation affiliation = affiliation_of(stanza);
    if (affiliation == Affiliation::outcast) return false;
    return affiliation >= Affiliation::member || !(config_.is_members_only || config_.has_password) || occupants_.at(stanza.from());
}

void Room::read_archive(const Stanza& stanza) {
    if (!keeps_archive()) return around_.answer(stanza, jid_, Condition::service_unavailable);
    if (!may_read_archive(stanza)) return around_.answer(stanza, jid_, Condition::forbidden);
    const Occupant* const who = occupants_.at(stanza.from());
    around_.read_archive(stanza, config_.is_non_anonymous || affiliation_of(stanza) >= Affiliation::admin || (who && shows_jids_to(*who)));
}

void Room::remember(const storage::LogEntry& said) {
    if (config_.history == 0 || !config_.is_archived) return;
    const Stanza stanza = xmpp::parse_trusted(said.xml.bytes());
    if (is_subject_change(stanza) || is_tombstone(stanza)) return;
    history_.add({std::string{said.xml.bytes()}, around_.archive_id(said.id), std::string{author_of(stanza)}},
                 storage::Time{std::chrono::microseconds{said.id}}, config_.history);
}

}  // namespace server::rooms
