// SPDX-License-Identifier: MIT
// XEP-0045: what comes to a room, and what all its parts need.
#include "server/rooms/room.h"

#include "auth/crypto.h"
#include "xmpp/namespaces.h"

namespace server::rooms {

using xmpp::JidView;
using xmpp::Stanza;

Room::Room(Surroundings& around, xmpp::Jid jid, std::string secret) : around_{around}, jid_{std::move(jid)}, secret_{std::move(secret)} {
    config_.history = around_.rules().history;
}

void Room::found(const xmpp::Jid& founder) {
    affiliations_.set(founder, {Affiliation::owner, {}, {}});
    has_owner_ = true;
    is_locked_ = true;
}

void Room::restore(RoomConfig config, std::string subject, Affiliations affiliations) {
    config_ = std::move(config);
    subject_ = std::move(subject);
    affiliations_ = std::move(affiliations);
    has_owner_ = affiliations_.has_owner();
}

Affiliation Room::affiliation_of(JidView bare) const {
    return affiliations_.has_owner() || !around_.is_admin(bare) ? affiliations_.of(bare) : Affiliation::owner;
}

const Occupant* Room::occupant_of(const Stanza& stanza) const {
    const Occupant* const who = occupants_.at(stanza.from());
    return who ? who : occupants_.of(stanza.from().bare());
}

void Room::account_removed(const xmpp::Jid& account) {
    if (!affiliations_.find(account)) return;
    affiliations_.set(account, {});
    comes_or_goes(account);
    apply(AffiliationChange{account, {}, {}}, {});
}

void Room::take(const Stanza& stanza, JidView to) {
    switch (stanza.kind()) {
        case xmpp::Kind::message: return message(stanza, to);
        case xmpp::Kind::iq: return iq(stanza, to);
        case xmpp::Kind::other: return;
        case xmpp::Kind::presence: break;
    }
    // §17.3: what bears another type neither enters nor leaves.
    if (stanza.type().empty()) return available(stanza, to);
    if (stanza.type() == "unavailable") return unavailable(stanza);
    if (stanza.is_error()) return failed(stanza);
}

void Room::refuse(const Stanza& stanza, JidView asked, xmpp::StanzaError error) {
    error.by = jid_.text();
    if (stanza.kind() == xmpp::Kind::presence) error.beside = muc_child;
    around_.bounce(stanza, asked, error);
}

// A room that does not stay has nothing to store.
void Room::commit(Change change, std::function<void(bool)> then) {
    const bool stays = change.config ? change.config->is_persistent : config_.is_persistent;
    if (!stays && !config_.is_persistent) return then(true);
    if (!stays) {
        change = {};
        change.is_removal = true;
    } else if (!config_.is_persistent) {
        change.subject = subject_;
        change.affiliations.insert(change.affiliations.begin(), affiliations_.entries().begin(), affiliations_.entries().end());
    }
    around_.store(std::move(change), std::move(then));
}

// XEP-0421 §4.1
std::string Room::id_of(JidView bare) const { return auth::token(auth::hmac(storage::Hash::sha256, secret_, bare.text())); }

bool is_for_the_room_to_say(const xmpp::Element& child, const void* context) {
    const xmpp::Jid& room = *static_cast<const xmpp::Jid*>(context);
    if (child.ns() == xmpp::ns::occupant_id || child.ns() == ns_muc || child.ns() == xmpp::ns::muc_user) return true;
    if (child.is("stanza-id", xmpp::ns::stanza_id)) return xmpp::names(child.attr("by"), room);
    return child.is("delay", xmpp::ns::delay) && (child.attr("from").empty() || xmpp::names(child.attr("from"), room));
}

}  // namespace server::rooms
