// SPDX-License-Identifier: MIT
// XEP-0045 §7.4, §8.1, §17.2: what is said to all, and the subject.
#include "server/account_log.h"
#include "server/message_content.h"
#include "server/rooms/room.h"
#include "server/tombstone.h"
#include "xmpp/namespaces.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

using xmpp::Condition;
using xmpp::JidView;
using xmpp::Stanza;

namespace {

constexpr std::size_t longest_subject = 2000;   // bytes, in all languages

// What says nothing by itself (XEP-0160 §3), and what asks for it (XEP-0334 §4), is not remembered; what takes something back
// always is (XEP-0424 §5).
bool is_worth_keeping(const Stanza& message) {
    return is_retraction(message) || (has_content(message) && !has_hint(message, "no-store") && !has_hint(message, "no-permanent-store"));
}

}  // namespace

// §8.1: "MUST contain a <subject/> element … but MUST NOT contain a <body/> element (or a <thread/> element)"
bool is_subject_change(const Stanza& message) {
    return message.child("subject", xmpp::ns::client) && !message.child("body", xmpp::ns::client) && !message.child("thread", xmpp::ns::client);
}

void Room::message(const Stanza& stanza, JidView to) {
    if (is_locked_ && !occupants_.at(stanza.from())) return refuse(stanza, to, Condition::item_not_found);   // as if there was none
    if (to.is_full()) return whisper(stanza, to);
    if (stanza.is_error()) return failed(stanza);
    if (stanza.type() == "groupchat") return say(stanza);
    if (stanza.type() == "headline") return;
    if (!mediate(stanza)) refuse(stanza, to, Condition::bad_request);   // §17.2, rule 1
}

void Room::say(const Stanza& stanza) {
    Occupant* const who = occupants_.at(stanza.from());
    if (!who) return refuse(stanza, jid_, Condition::not_acceptable);
    if (is_locked_) return refuse(stanza, jid_, Condition::item_not_found);   // §17.2, rule 3
    if (is_subject_change(stanza)) return change_subject(*who, stanza);
    if (!has_voice(*who)) return refuse(stanza, jid_, Condition::forbidden);
    if (is_retraction(stanza)) return retract(stanza, *who);
    pass_on(stanza, *who);
}

void Room::pass_on(const Stanza& stanza, const Occupant& from) {
    const bool is_kept = is_worth_keeping(stanza);
    const storage::LogId place = is_kept && keeps_archive() ? around_.next_place() : 0;
    std::string id = new_id(place);
    std::string xml = passed_on(stanza, from, stanza_id(id));
    if (place != 0 && !around_.keep(place, stanza, xml)) return refuse(stanza, jid_, AccountLog::not_stored);
    const auto copies = std::make_shared<const Copies>(xml);
    tell_all(copies, copies, {}, stanza.from().bare());
    if (is_kept && config_.is_persistent && deserves_attention(stanza) && !is_retraction(stanza)) tell_absent(copies, stanza.from().bare());
    if (is_kept && config_.history > 0) history_.add({std::move(xml), std::move(id), from.id}, around_.now(), config_.history);
}

// What is archived bears its place there (XEP-0313 §3.5).
std::string Room::new_id(storage::LogId place) const { return place != 0 ? around_.archive_id(place) : around_.new_id(); }

// XEP-0359 §3
std::string Room::stanza_id(std::string_view id) const {
    xmpp::XmlWriter w;
    w.open("stanza-id", xmpp::ns::stanza_id).attr("by", jid_.text()).attr("id", id);
    return w.take();
}

// XEP-0421
std::string_view author_of(const Stanza& said) { return said.child("occupant-id", xmpp::ns::occupant_id).attr("id"); }

// From the occupant, without what only the room may say; `more`: XML behind its payload.
std::string Room::passed_on(const Stanza& stanza, const Occupant& from, std::string_view more) const {
    xmpp::XmlWriter w;
    w.open("occupant-id", xmpp::ns::occupant_id).attr("id", from.id).close().raw(more);
    const std::string appended = w.take();
    Stanza::Rewrite rewrite;
    rewrite.from = from.address;
    rewrite.to = JidView{};
    rewrite.append = appended;
    rewrite.strip = is_for_the_room_to_say;
    rewrite.context = &jid_;
    std::string xml;
    stanza.write(xml, rewrite);
    return xml;
}

void Room::change_subject(const Occupant& who, const Stanza& stanza) {
    if (who.role < (config_.may_all_change_subject ? Role::participant : Role::moderator)) return refuse(stanza, jid_, Condition::forbidden);
    // Everybody who enters gets it, and it is stored: nothing goes along with it.
    std::size_t size = stanza.id().size() + stanza.lang().size();
    xmpp::XmlWriter w;
    w.open("message").attr("type", "groupchat").attr_if("id", stanza.id()).attr("from", who.address.text()).attr_if("xml:lang", stanza.lang());
    for (const xmpp::Element child : stanza.children()) {
        if (!child.is("subject", xmpp::ns::client)) continue;
        const std::string text = child.text();
        size += text.size() + child.lang().size();
        if (size > longest_subject) return refuse(stanza, jid_, {Condition::policy_violation, "This subject is too long."});
        w.open("subject").attr_if("xml:lang", child.lang()).text(text).close();
    }
    w.open("occupant-id", xmpp::ns::occupant_id).attr("id", who.id).close();
    const storage::LogId place = keeps_archive() ? around_.next_place() : 0;
    if (place != 0) w.raw(stanza_id(around_.archive_id(place)));
    const std::string xml = w.take();
    Change change;
    change.subject = stamped(xml, around_.now(), jid_.text());
    commit(change, [this, stanza, place, xml, subject = *change.subject](bool stored) {
        if (!stored) return refuse(stanza, jid_, {xmpp::ErrorType::wait, Condition::resource_constraint});
        if (place != 0) around_.keep(place, stanza, xml);   // refused or not, it is the subject
        subject_ = subject;
        const auto copies = std::make_shared<const Copies>(xml);
        tell_all(copies, copies);
    });
}

// §7.2.15
SharedCopies Room::current_subject() const {
    if (!subject_.empty()) return std::make_shared<const Copies>(subject_);
    xmpp::XmlWriter w;
    w.open("message").attr("type", "groupchat").attr("from", jid_.text()).leaf("subject");
    return std::make_shared<const Copies>(w.take());
}

}  // namespace server::rooms
