// SPDX-License-Identifier: MIT
// XEP-0045 1.35: a room as an actor. It lives on the worker of its bare JID, takes one stanza after the other, and knows
// who is there and who is what. By concern: entering.cpp (§7.2, §7.6), leaving.cpp (§7.14, §8.2, §11), presence.cpp (what
// others see), messages.cpp (§7.4, §8.1), whispers.cpp (§7.5, §17.4), invitations.cpp (§7.8, §7.13), queries.cpp (§6, §7.10),
// admin.cpp (§8, §9), owner.cpp (§10), archive.cpp (XEP-0313), retraction.cpp (XEP-0424, XEP-0425),
// absent.cpp (members whose phones are to be woken).
// Leaves out approval of registrations; XEP-0421 and XEP-0410 are part of it.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/iq.h"
#include "server/rooms/affiliations.h"
#include "server/rooms/history.h"
#include "server/rooms/occupants.h"
#include "server/rooms/room_config.h"
#include "server/rooms/surroundings.h"
#include "xmpp/error.h"
#include "xmpp/namespaces.h"
#include "xmpp/stanza.h"

namespace server::rooms {

inline constexpr std::string_view ns_muc = "http://jabber.org/protocol/muc";
inline constexpr std::string_view ns_muc_admin = "http://jabber.org/protocol/muc#admin";
inline constexpr std::string_view ns_muc_owner = "http://jabber.org/protocol/muc#owner";
inline constexpr std::string_view ns_moderate = "urn:xmpp:message-moderate:1";
inline constexpr std::size_t longest_presence = 4096;      // bytes, of an occupant's
inline constexpr std::size_t most_presences = 1'000'000;   // that one request may cause
inline constexpr std::string_view muc_child = "<x xmlns='http://jabber.org/protocol/muc'/>";   // beside errors of entering (§7.2)

// What else a presence says (§16.6).
struct Tidings {
    std::vector<unsigned> codes;         // for everybody
    std::vector<unsigned> own_codes;     // for who it is about, beside 110
    std::string new_nick, reason, actor; // actor: the nickname of who did it
};

class Room {
public:
    // `secret`: what its occupants' ids are made with (XEP-0421).
    Room(Surroundings& around, xmpp::Jid jid, std::string secret);

    // §10.1.1: who makes it is its owner; it is locked until that one has said what it is to be.
    void found(const xmpp::Jid& founder);
    // As it was stored.
    void restore(RoomConfig config, std::string subject, Affiliations affiliations);
    void remember(const storage::LogEntry& said);         // of its archive, oldest first

    // What somebody sent to it, or to an occupant of it.
    void take(const xmpp::Stanza& stanza, xmpp::JidView to);
    // §11.2: the service goes down; everybody who is there is told.
    void shut_down();
    // Nothing is stored for that account any more, and what it was in this room is nothing either.
    void account_removed(const xmpp::Jid& account);
    // Nobody is there, and it is not to stay, or it was destroyed.
    bool is_over() const { return is_destroyed_ || (occupants_.empty() && !config_.is_persistent); }

    const xmpp::Jid& jid() const { return jid_; }
    const std::string& secret() const { return secret_; }
    const RoomConfig& config() const { return config_; }
    const Occupants& occupants() const { return occupants_; }
    const Affiliations& affiliations() const { return affiliations_; }
    const std::string& subject() const { return subject_; }
    // §5.2. A room that has lost its owners with their accounts belongs to the server's admins, until there is one again.
    Affiliation affiliation_of(xmpp::JidView bare) const;
    bool is_locked() const { return is_locked_; }
    bool is_listed() const { return config_.is_public && !is_locked_ && !is_over(); }

private:
    // entering.cpp
    void available(const xmpp::Stanza& presence, xmpp::JidView to);
    void enter(const xmpp::Stanza& presence, xmpp::JidView to);
    std::optional<xmpp::StanzaError> keeps_out(const xmpp::Stanza& presence, const xmpp::Element& x, std::string_view nick) const;
    std::optional<xmpp::StanzaError> keeps_nick(xmpp::JidView bare, std::string_view nick) const;
    bool is_full_for(xmpp::JidView bare) const;
    xmpp::Stanza passed_to_others(const xmpp::Stanza& presence, const Seat* instead_of) const;
    std::vector<unsigned> codes_of_entry() const;
    void welcome(Occupant& who, const xmpp::Element& x, std::vector<unsigned> codes);   // its foremost session
    void change_nick(Occupant& who, const xmpp::Stanza& presence, xmpp::JidView to);
    Role role_at_entry(Affiliation affiliation) const;

    // leaving.cpp
    void unavailable(const xmpp::Stanza& presence);
    void leave(Occupant& who, const xmpp::Stanza& presence);
    void failed(const xmpp::Stanza& error);
    void remove(Occupant& who, const Tidings& tidings, const xmpp::Stanza& farewell = {});
    struct Leaver { Occupant* who; Tidings tidings; };
    void remove(const std::vector<Leaver>& leavers, const std::function<void()>& before_others_hear = {});
    void remove_seat(Occupant& who, xmpp::JidView full, const Tidings& tidings, const xmpp::Stanza& farewell = {});
    void remove_all(std::string_view destroy, const Tidings& tidings = {});

    // presence.cpp
    enum class Says : std::uint8_t { available, unavailable };
    std::string presence_of(const Occupant& who, const xmpp::Stanza& said, Says says, bool with_jid, const Tidings& tidings, bool to_itself) const;
    // To all who may see it, itself included, but for a session of its own that is welcomed afterwards.
    void show(Occupant& who, const Tidings& tidings = {}, const xmpp::Jid* welcomed = nullptr);
    SharedCopies shown(Occupant& who, bool with_jid);
    void give_role(Occupant& who, Role role, const Tidings& tidings);
    void rebroadcast(Roles before);
    std::size_t presences_of_change(const RoomConfig& config) const;
    bool is_broadcast(const Occupant& who) const { return config_.broadcast.contains(who.role); }
    template <class F>
    void for_each_broadcast(F visit) const {
        for (const Role role : {Role::moderator, Role::participant, Role::visitor})
            if (config_.broadcast.contains(role)) std::ranges::for_each(occupants_.with(role), visit);
    }
    // `by`: the account whose words these are.
    void tell_all(SharedCopies to_moderators, SharedCopies to_others, std::vector<xmpp::Jid> except = {}, xmpp::JidView by = {});
    void tell_others(const Occupant& who, const xmpp::Stanza& said, Says says, const Tidings& tidings);
    void tell_itself(const Occupant& who, const xmpp::Stanza& said, Says says, const Tidings& tidings, const xmpp::Jid* but = nullptr);
    bool shows_jids_to(const Occupant& who) const { return config_.is_non_anonymous || who.role == Role::moderator; }

    // messages.cpp
    void message(const xmpp::Stanza& stanza, xmpp::JidView to);
    void say(const xmpp::Stanza& stanza);
    void pass_on(const xmpp::Stanza& stanza, const Occupant& from);
    void change_subject(const Occupant& who, const xmpp::Stanza& stanza);
    SharedCopies current_subject() const;
    std::string new_id(storage::LogId place) const;
    std::string stanza_id(std::string_view id) const;
    std::string passed_on(const xmpp::Stanza& stanza, const Occupant& from, std::string_view more) const;
    bool has_voice(const Occupant& who) const { return who.role >= Role::participant || !config_.is_moderated; }

    // archive.cpp
    bool keeps_archive() const { return config_.is_archived && around_.has_archive(); }
    bool may_read_archive(const xmpp::Stanza& stanza) const;
    void read_archive(const xmpp::Stanza& stanza);

    // retraction.cpp
    void retract(const xmpp::Stanza& stanza, const Occupant& who);
    void moderate(const xmpp::Stanza& stanza, const xmpp::Element& moderate);
    void take_back(const std::string& original, const std::string& author, const std::string& retracted, std::function<void(Replaced)> then);
    void announce_retraction(std::string_view id, std::string_view original, std::string_view by);

    // absent.cpp
    void tell_absent(const SharedCopies& said, xmpp::JidView by);
    void comes_or_goes(xmpp::JidView bare);

    // whispers.cpp: to one occupant
    void whisper(const xmpp::Stanza& stanza, xmpp::JidView to);
    std::string passed_error(const xmpp::Stanza& stanza, const Occupant& from) const;
    bool may_whisper(const Occupant& from, const Occupant& to) const;
    void pass_request(const xmpp::Stanza& iq, xmpp::JidView to);
    void pass_answer(const xmpp::Stanza& iq, xmpp::JidView to);

    // invitations.cpp
    struct Invitation {                  // by bare JIDs
        xmpp::Jid invitee, inviter;
        friend bool operator==(const Invitation&, const Invitation&) = default;
    };
    bool mediate(const xmpp::Stanza& stanza);                                       // false: it asks for nothing of the kind
    void invite(const xmpp::Stanza& stanza, const xmpp::Element& x);
    void send_invitation(const xmpp::Jid& invitee, const xmpp::Jid& inviter, const xmpp::Element& invite, std::string_view id);
    std::optional<xmpp::StanzaError> forbids_inviting(xmpp::JidView inviter, std::size_t count) const;
    void decline(const xmpp::Stanza& stanza, const xmpp::Element& decline);
    void ask_for_voice(const xmpp::Stanza& stanza, const xmpp::DataForm& form);

    // queries.cpp
    void iq(const xmpp::Stanza& stanza, xmpp::JidView to);
    IqReply reply(const xmpp::Stanza& stanza, const xmpp::Element& payload);
    IqReply info(const xmpp::Stanza& stanza, const xmpp::Element& query) const;
    IqReply items(const xmpp::Stanza& stanza, const xmpp::Element& query) const;
    IqReply registration(const xmpp::Stanza& stanza) const;
    void register_nick(const xmpp::Stanza& stanza, const xmpp::Element& query);

    // admin.cpp
    IqReply list(const xmpp::Stanza& stanza, const xmpp::Element& query) const;
    void administer(const xmpp::Stanza& stanza, const xmpp::Element& query);
    struct RoleChange { std::string nick; Role role; std::string reason; };
    struct AffiliationChange {
        xmpp::Jid jid;
        Affiliations::Entry entry;
        std::string reason;
        bool is_invited = false;                                                    // by a message of its own
        xmpp::Jid by{};                                                             // the admin, in whose name it is invited
    };
    std::optional<xmpp::StanzaError> forbids(const xmpp::Stanza& by, const RoleChange& change) const;
    std::optional<xmpp::StanzaError> forbids(xmpp::JidView by, const AffiliationChange& change) const;
    xmpp::Result<AffiliationChange, xmpp::StanzaError> read_affiliation(const xmpp::Element& item) const;
    std::optional<xmpp::StanzaError> forbids_together(xmpp::JidView by, std::span<const AffiliationChange> changes) const;   // what each may be alone
    std::size_t presences_of(std::span<const AffiliationChange> changes) const;
    std::optional<xmpp::StanzaError> exceeds_limits(std::span<const AffiliationChange> changes) const;
    bool leaves_no_owner(std::span<const AffiliationChange> changes) const;
    void change_affiliations(std::vector<AffiliationChange> changes, const std::string& actor, std::function<void(bool)> confirmed, Change change = {});
    void apply(const RoleChange& change, const std::string& actor);
    void apply(const AffiliationChange& change, const std::string& actor);
    bool calls_for_invitation(const AffiliationChange& change) const;
    std::string actor_of(const xmpp::Stanza& stanza) const;                         // for <actor/>: who may be seen there, or nobody

    // owner.cpp
    IqReply configuration(const xmpp::Stanza& stanza) const;
    void own(const xmpp::Stanza& stanza, const xmpp::Element& query);
    xmpp::Result<std::vector<AffiliationChange>, xmpp::StanzaError> read_lists(const xmpp::DataForm& form, xmpp::JidView by) const;
    void configure(const xmpp::Stanza& stanza, RoomConfig config, std::vector<AffiliationChange> changes);
    void reconfigured(const RoomConfig& before);
    void destroy(const xmpp::Stanza& stanza, const xmpp::Element& destroy);

    // room.cpp
    void refuse(const xmpp::Stanza& stanza, xmpp::JidView asked, xmpp::StanzaError error);
    void commit(Change change, std::function<void(bool)> then);
    std::string id_of(xmpp::JidView bare) const;                                    // XEP-0421
    const Occupant* occupant_of(const xmpp::Stanza& stanza) const;                  // whose session sent it, or another of its account
    Affiliation affiliation_of(const xmpp::Stanza& stanza) const { return affiliation_of(stanza.from().bare()); }

    Surroundings& around_;
    const xmpp::Jid jid_;
    const std::string secret_;
    RoomConfig config_;
    Affiliations affiliations_;
    Occupants occupants_;
    History history_{around_.histories()};
    std::string subject_;                // the message that set it, stamped; empty: nobody has
    std::deque<Invitation> invitations_;   // that may be declined, oldest first
    std::unordered_map<std::string, storage::Time> told_absent_;   // members, and when: absent.cpp
    storage::Time nobody_to_tell_until_{};
    std::string speaker_not_told_;         // but for that one, when another speaks
    std::uint64_t seats_given_ = 0;
    bool is_locked_ = false;
    bool has_owner_ = false;             // so far as occupants know
    bool is_destroyed_ = false;
};

// What would cause more than most_presences is refused.
xmpp::StanzaError too_many_presences();

// §6.6; XEP-0410 §3.2: item-not-found would say that who asks is there by another name.
xmpp::Condition forbids_asking_occupants(const xmpp::Stanza& iq);

// §7.2.18: who is not there takes itself for an occupant; it is told that it is none.
std::string no_occupant(xmpp::JidView address, Affiliation affiliation);

// What somebody says of it, cut to 300 bytes.
std::string reason_of(const xmpp::Element& parent, std::string_view ns);

// The occupant-id of who said what the room passed on (XEP-0421).
std::string_view author_of(const xmpp::Stanza& said);

// §8.1
bool is_subject_change(const xmpp::Stanza& message);

// Children that only the room itself may add; `context`: the room's xmpp::Jid.
bool is_for_the_room_to_say(const xmpp::Element& child, const void* context);

}  // namespace server::rooms
