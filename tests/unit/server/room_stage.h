// SPDX-License-Identifier: MIT
// A room without a server around it, and who is in it: each a view of what it has been told.
#pragma once

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>

#include "server/rooms/room.h"
#include "xmpp/namespaces.h"
#include "xmpp/parser.h"

namespace tests::rooms {

using namespace server::rooms;
using server::Announcement;
using server::IqReply;
using server::SharedCopies;
using xmpp::Jid;
using xmpp::JidView;
using xmpp::Stanza;

inline const std::string address = "coven@groups.localhost";

// What a client makes of what it is told.
struct View {
    struct Entry {
        std::string affiliation, role;
        friend bool operator==(const Entry&, const Entry&) = default;
    };
    std::map<std::string, Entry> entries;
    std::vector<Stanza> stanzas;
    bool is_in = false;
};

class World final : public Surroundings {
public:
    std::map<std::string, View> views;       // by full JID
    std::vector<std::string> errors, results, payloads;
    std::vector<std::string> told;           // who was sent something, and when a request was answered
    bool stores = true, archives = false, keeps = true;
    std::vector<std::string> kept;           // in the archive
    std::vector<std::string> missed;         // who was told that something was said
    storage::Time time{std::chrono::seconds{1'700'000'000}};
    std::size_t announcements = 0, routed = 0;

    storage::Time now() const override { return time; }
    const server::Config::Rooms& rules() const override { return rules_; }
    bool is_admin(JidView bare) const override { return bare.text() == "lear@localhost"; }
    Histories& histories() override { return histories_; }
    std::string new_id() override { return std::to_string(++ids_); }
    bool may_invite(JidView, std::uint32_t) override { return true; }
    std::size_t home_of(JidView bare) const override { return bare.text().size() % 3; }
    void announce(std::size_t home, Announcement announcement) override {
        ++announcements;
        const auto seats = announcement.audience->seats();
        for (std::size_t i = 0; i < seats.size(); ++i) {
            CHECK(home_of(seats[i].jid.bare()) == home);
            if (std::ranges::any_of(announcement.except, [&](const Jid& jid) { return jid.view() == seats[i].jid; })) continue;
            const server::Copies& copies = i < announcement.audience->insiders() ? *announcement.to_insiders : *announcement.to_others;
            receive(seats[i].jid, xmpp::parse_trusted(copies.addressed(seats[i].attribute).bytes()));
        }
    }
    void send_all(std::vector<SharedCopies> stanzas, const Jid& to) override {
        for (const SharedCopies& copies : stanzas) receive(to, copies->stanza());
    }
    void send_once(SharedCopies stanza, std::vector<Jid> sessions) override {
        for (const Jid& each : sessions) receive(each, stanza->stanza());
    }
    void tell_missed(std::size_t home, std::vector<Jid> accounts, SharedCopies) override {
        for (const Jid& account : accounts) {
            CHECK(home_of(account) == home);
            missed.emplace_back(account.text());
        }
    }
    void send(std::string_view xml, JidView to) override { ++routed; receive(to, xmpp::parse_trusted(xml)); }
    void bounce(const Stanza&, JidView, const xmpp::StanzaError& error) override { errors.emplace_back(to_string(error.condition)); }
    void answer(const Stanza& request, JidView, const IqReply& reply) override {
        if (reply.error()) errors.emplace_back(to_string(reply.error()->condition));
        told.emplace_back("answer");
        if (reply.error()) return;
        results.emplace_back(request.id());
        payloads.emplace_back(reply.payload());
    }
    bool has_archive() const override { return archives; }
    storage::LogId next_place() override { return kept.size() + 1; }
    std::string archive_id(storage::LogId place) override { return "place " + std::to_string(place); }
    bool keep(storage::LogId, const Stanza&, std::string_view xml) override {
        if (keeps) kept.emplace_back(xml);
        return keeps;
    }
    void read_archive(const Stanza& request, bool sees_addresses) override { results.push_back(std::string{request.id()} + (sees_addresses ? " with addresses" : "")); }
    std::optional<storage::LogId> archive_place(std::string_view id) override {
        return id.starts_with("place ") ? std::optional<storage::LogId>{std::stoull(std::string{id.substr(6)})} : std::nullopt;
    }
    void replace(storage::LogId place, Rewritten rewritten, std::function<void(Replaced)> then) override {
        if (!stores) return then(Replaced::not_now);
        if (place == 0 || place > kept.size()) return then(Replaced::not_there);
        const std::string xml = rewritten(xmpp::parse_trusted(kept[place - 1]));
        if (!xml.empty()) kept[place - 1] = xml;
        then(xml.empty() ? Replaced::not_there : Replaced::yes);
    }
    void store(Change, std::function<void(bool)> then) override { then(stores); }
    void listing_changed() override {}

private:
    void receive(JidView to, const Stanza& stanza) {
        View& view = views[std::string{to.text()}];
        told.emplace_back(to.text());
        view.stanzas.push_back(stanza);
        if (stanza.kind() != xmpp::Kind::presence) return;
        const xmpp::Element x = stanza.child("x", xmpp::ns::muc_user);
        bool is_own = false, is_renamed = false;
        for (const xmpp::Element child : x.children()) {
            is_own |= child.name() == "status" && child.attr("code") == "110";
            is_renamed |= child.name() == "status" && child.attr("code") == "303";
        }
        const std::string nick{stanza.from().resourcepart()};
        if (stanza.type() == "unavailable") {
            view.entries.erase(nick);
            if (is_own && !is_renamed) view = View{{}, std::move(view.stanzas), false};
            return;
        }
        view.is_in |= is_own;
        view.entries[nick] = {std::string{x.child("item", xmpp::ns::muc_user).attr("affiliation")}, std::string{x.child("item", xmpp::ns::muc_user).attr("role")}};
    }

    server::Config::Rooms rules_;
    Histories histories_{1024 * 1024};
    unsigned ids_ = 0;
};

inline Stanza stanza(const std::string& xml) { return xmpp::parse_trusted(xml); }

struct Stage {
    World world;
    Room room{world, *Jid::parse(address), "secret"};

    Stage() { room.found(*Jid::parse("crone@localhost")); }
    void take(const Stanza& given) { room.take(given, given.to()); }
    void take(const std::string& xml) { take(stanza(xml)); }
    void join(const std::string& who, const std::string& nick, const std::string& inner = {}) {
        take("<presence from='" + who + "' to='" + address + "/" + nick + "'><x xmlns='http://jabber.org/protocol/muc'>" + inner + "</x></presence>");
    }
    void set(const std::string& who, const std::string& query) {
        take("<iq type='set' id='s' from='" + who + "' to='" + address + "'>" + query + "</iq>");
    }
    void admin(const std::string& who, const std::string& item) { set(who, "<query xmlns='http://jabber.org/protocol/muc#admin'>" + item + "</query>"); }
    void configure(const std::string& var, const std::vector<std::string>& values) {
        std::string given;
        for (const std::string& value : values) given += "<value>" + value + "</value>";
        set("crone@localhost/0", "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>" +
                                     std::string{ns_room_config} + "</value></field><field var='" + var + "'>" + given + "</field></x></query>");
    }
    void open() {
        join("crone@localhost/0", "crone");
        set("crone@localhost/0", "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>");
    }
};

inline void check(const Stage& stage) {
    std::map<std::string, View::Entry> broadcast;
    std::map<std::string, const Occupant*> inside;
    const auto entry_of = [](const Occupant& occupant) {
        return View::Entry{std::string{to_string(occupant.affiliation)}, std::string{to_string(occupant.role)}};
    };
    std::size_t with_some_role = 0;
    for (const Role role : {Role::visitor, Role::participant, Role::moderator}) with_some_role += stage.room.occupants().with(role).size();
    CHECK(with_some_role == stage.room.occupants().size());
    stage.room.occupants().for_each([&](const Occupant& occupant) {
        if (stage.room.config().broadcast.contains(occupant.role)) broadcast[std::string{occupant.nick()}] = entry_of(occupant);
        CHECK(occupant.affiliation == stage.room.affiliation_of(occupant.bare()));
        for (const Seat& seat : occupant.seats) inside[seat.jid.text()] = &occupant;
    });
    for (const auto& [jid, view] : stage.world.views) {
        INFO(jid);
        CHECK(view.is_in == inside.contains(jid));
        if (!inside.contains(jid)) continue;
        auto seen = broadcast;
        seen[std::string{inside[jid]->nick()}] = entry_of(*inside[jid]);
        CHECK(view.entries == seen);
    }
}

}  // namespace tests::rooms
