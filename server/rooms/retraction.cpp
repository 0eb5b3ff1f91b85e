// SPDX-License-Identifier: MIT
// XEP-0424 0.4.2, XEP-0425 0.3.0: what is taken back, by who said it or by a moderator, is gone from what is remembered for
// those who come in, and in the archive a tombstone stands in its place. That it was taken back is said to all, and kept.
#include "server/account_log.h"
#include "server/rooms/room.h"
#include "server/tombstone.h"
#include "xmpp/parser.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

using xmpp::Condition;
using xmpp::Element;
using xmpp::Stanza;
using xmpp::StanzaError;

namespace {

constexpr std::size_t longest_id = 1024;   // bytes

}  // namespace

// `original`: its stanza-id. `author`: the occupant-id of who alone may have said it (XEP-0424 §5); empty: anybody.
void Room::take_back(const std::string& original, const std::string& author, const std::string& retracted, std::function<void(Replaced)> then) {
    const auto place = keeps_archive() ? around_.archive_place(original) : std::nullopt;
    // What a room without an archive has forgotten is still on its occupants' screens.
    if (!place) return then(history_.forget(original, author) || !keeps_archive() ? Replaced::yes : Replaced::not_there);
    const auto rewritten = [author, retracted](const Stanza& said) {
        return (author.empty() || author_of(said) == author) && !is_tombstone(said) ? tombstone(said, retracted) : std::string{};
    };
    around_.replace(*place, rewritten, [this, original, author, then = std::move(then)](Replaced replaced) {
        if (replaced == Replaced::yes) history_.forget(original, author);
        then(replaced);
    });
}

// Somebody else's is not touched, but the message passes like any other: "clients MUST check".
void Room::retract(const Stanza& stanza, const Occupant& who) {
    const std::string original{stanza.child("retract", ns_retract).attr("id")};
    take_back(original, who.id, retracted(stanza.id(), around_.now()), [this, stanza](Replaced replaced) {
        if (replaced == Replaced::not_now) return refuse(stanza, jid_, AccountLog::not_stored);
        if (const Occupant* const still = occupants_.at(stanza.from())) pass_on(stanza, *still);
    });
}

// XEP-0425 §3
void Room::moderate(const Stanza& stanza, const Element& moderate) {
    const Occupant* const who = occupant_of(stanza);
    if (!who || who->role != Role::moderator)
        return around_.answer(stanza, jid_, StanzaError{Condition::forbidden, "Only moderators are allowed to moderate other participants' messages."});
    const std::string original{moderate.attr("id")};
    if (original.empty() || original.size() > longest_id || !moderate.child("retract", ns_retract)) return around_.answer(stanza, jid_, Condition::bad_request);
    xmpp::XmlWriter moderated{ns_retract};
    moderated.open("moderated", ns_moderate).attr("by", who->address.text());
    moderated.open("occupant-id", xmpp::ns::occupant_id).attr("id", who->id).close().close();
    if (const std::string reason = reason_of(moderate, ns_moderate); !reason.empty()) moderated.leaf("reason", reason);
    const std::string by = moderated.take(), id = around_.new_id();
    take_back(original, {}, retracted(id, around_.now(), by), [this, stanza, original, by, id](Replaced replaced) {
        if (replaced == Replaced::not_there) return around_.answer(stanza, jid_, Condition::item_not_found);
        if (replaced == Replaced::not_now) return around_.answer(stanza, jid_, StanzaError{xmpp::ErrorType::wait, Condition::resource_constraint});
        announce_retraction(id, original, by);
        around_.answer(stanza, jid_, IqReply::result());
    });
}

void Room::announce_retraction(std::string_view id, std::string_view original, std::string_view by) {
    const storage::LogId place = keeps_archive() ? around_.next_place() : 0;
    Said said{{}, new_id(place), {}};
    xmpp::XmlWriter w;
    w.open("message").attr("type", "groupchat").attr("id", id).attr("from", jid_.text());
    w.open("retract", ns_retract).attr("id", original).raw(by).close().raw(stanza_id(said.id));
    said.xml = w.take();
    if (place != 0) around_.keep(place, xmpp::parse_trusted(said.xml), said.xml);   // refused or not, the original is gone
    const auto copies = std::make_shared<const Copies>(said.xml);
    tell_all(copies, copies);
    if (config_.history > 0) history_.add(std::move(said), around_.now(), config_.history);
}

}  // namespace server::rooms
