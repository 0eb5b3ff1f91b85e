// SPDX-License-Identifier: MIT
// Who is in a room.
#include "server/rooms/occupants.h"

#include <algorithm>

namespace server::rooms {

Seat* Occupant::seat(xmpp::JidView full) {
    const auto found = std::ranges::find_if(seats, [&](const Seat& each) { return each.jid.view() == full; });
    return found == seats.end() ? nullptr : &*found;
}

std::vector<xmpp::Jid> sessions_of(const Occupant& who) {
    std::vector<xmpp::Jid> sessions;
    for (const Seat& seat : who.seats) sessions.push_back(seat.jid);
    return sessions;
}

Occupant* Occupants::find(std::string_view nick) const {
    const auto found = by_nick_.find(nick);
    return found == by_nick_.end() ? nullptr : found->second.get();
}

Occupant* Occupants::at(xmpp::JidView full) const {
    const auto found = by_jid_.find(full.text());
    return found == by_jid_.end() ? nullptr : found->second;
}

Occupant* Occupants::of(xmpp::JidView bare) const {
    const auto found = std::ranges::find_if(by_nick_, [&](const auto& each) { return each.second->bare() == bare; });
    return found == by_nick_.end() ? nullptr : found->second.get();
}

std::vector<Occupant*> Occupants::all() const {
    std::vector<Occupant*> occupants;
    occupants.reserve(by_nick_.size());
    for (const auto& [nick, occupant] : by_nick_) occupants.push_back(occupant.get());
    return occupants;
}

Occupant& Occupants::add(Occupant occupant) {
    is_stale_ = true;
    std::string nick{occupant.nick()};
    Occupant& added = *by_nick_.emplace(std::move(nick), std::make_unique<Occupant>(std::move(occupant))).first->second;
    for (const Seat& seat : added.seats) {
        by_jid_[seat.jid.text()] = &added;
        presence_bytes_ += seat.presence.size();
    }
    enlist(added);
    return added;
}

void Occupants::enlist(Occupant& occupant) {
    std::vector<Occupant*>& alike = by_role_[static_cast<std::size_t>(occupant.role)];
    occupant.place = alike.size();
    alike.push_back(&occupant);
}

void Occupants::strike(Occupant& occupant) {
    std::vector<Occupant*>& alike = by_role_[static_cast<std::size_t>(occupant.role)];
    alike[occupant.place] = alike.back();
    alike[occupant.place]->place = occupant.place;
    alike.pop_back();
}

void Occupants::add(Occupant& occupant, Seat seat) {
    is_stale_ = true;
    by_jid_[seat.jid.text()] = &occupant;
    presence_bytes_ += seat.presence.size();
    occupant.seats.push_back(std::move(seat));
    occupant.changed();
}

void Occupants::remove(Occupant& occupant) {
    is_stale_ = true;
    strike(occupant);
    for (const Seat& seat : occupant.seats) {
        by_jid_.erase(seat.jid.text());
        presence_bytes_ -= seat.presence.size();
    }
    by_nick_.erase(by_nick_.find(occupant.nick()));
}

void Occupants::remove(Occupant& occupant, xmpp::Jid full) {
    is_stale_ = true;
    by_jid_.erase(full.text());
    presence_bytes_ -= occupant.seat(full)->presence.size();
    std::erase_if(occupant.seats, [&](const Seat& seat) { return seat.jid == full; });
    occupant.changed();
}

void Occupants::set_presence(Occupant& occupant, xmpp::JidView full, xmpp::Stanza presence) {
    Seat& seat = *occupant.seat(full);
    presence_bytes_ = presence_bytes_ - seat.presence.size() + presence.size();
    seat.presence = std::move(presence);
    std::rotate(&seat, &seat + 1, occupant.seats.data() + occupant.seats.size());
    occupant.changed();
}

void Occupants::rename(Occupant& occupant, xmpp::Jid address) {
    auto node = by_nick_.extract(by_nick_.find(occupant.nick()));
    occupant.address = std::move(address);
    occupant.changed();
    node.key() = occupant.nick();
    by_nick_.insert(std::move(node));
}

void Occupants::set_role(Occupant& occupant, Role role) {
    is_stale_ = true;
    strike(occupant);
    occupant.role = role;
    enlist(occupant);
    occupant.changed();
}

const std::vector<Occupants::Hearers>& Occupants::hearers() {
    if (!std::exchange(is_stale_, false)) return hearers_;
    struct Place { std::vector<const xmpp::Jid*> moderators, others; };
    std::map<std::size_t, Place> by_home;
    for (const auto& [nick, occupant] : by_nick_)
        for (const Seat& seat : occupant->seats) {
            Place& place = by_home[seat.home];
            (occupant->role == Role::moderator ? place.moderators : place.others).push_back(&seat.jid);
        }
    hearers_.clear();
    for (auto& [home, place] : by_home) {
        const std::size_t insiders = place.moderators.size();
        place.moderators.insert(place.moderators.end(), place.others.begin(), place.others.end());
        hearers_.push_back({home, std::make_shared<const Audience>(place.moderators, insiders)});
    }
    return hearers_;
}

}  // namespace server::rooms
