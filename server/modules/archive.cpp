// SPDX-License-Identifier: MIT
// XEP-0313 1.1.3: Message Archive Management — a view of the account's log: what is archived there can be asked for, by
// any device, page by page. With #extended, stanza ids (XEP-0359 0.7.0) and full-text search (XEP-0431 0.2.0).
// A client that fetches what its device lacks is not sent it again (account_log.h). Leaves out groupchat messages:
// a room's archive has them.
#include <algorithm>

#include "server/account.h"
#include "server/archive_id.h"
#include "server/host.h"
#include "server/login_request.h"
#include "server/message_content.h"
#include "server/server.h"
#include "server/worker.h"
#include "xmpp/rsm.h"
#include "xmpp/search_text.h"

namespace server {

namespace {

using storage::Direction;
using storage::LogId;
using xmpp::Condition;
using xmpp::Element;
using xmpp::StanzaError;

constexpr std::string_view ns = "urn:xmpp:mam:2";
constexpr std::string_view ns_forward = "urn:xmpp:forward:0";
constexpr std::string_view ns_validate = "http://jabber.org/protocol/xdata-validate";
constexpr std::string_view fulltext = "{urn:xmpp:fulltext:0}fulltext";
constexpr std::size_t page_size = 100, largest_page = 250;   // §4.3.1
constexpr std::size_t most_ids = 250, most_words = 8;
constexpr std::size_t unsent = 256 * 1024;                   // bytes in the socket's queue above which results wait

LogId at(xmpp::Time time) { return static_cast<LogId>(std::max<std::int64_t>(time.time_since_epoch().count(), 0)); }
std::string time_of(LogId place) { return xmpp::format_date_time(xmpp::Time{std::chrono::microseconds{place}}, true); }

// What a client asks for.
struct Question {
    storage::ArchiveQuery query;
    std::string queryid;
    bool is_flipped = false;
    bool is_synchronising = false;   // everything from some point on: not a search, not a conversation
};

using Parsed = xmpp::Result<Question, StanzaError>;

class Archive final : public Module {
public:
    explicit Archive(Host& host) : worker_{host.worker} {
        for (const std::string_view feature : {ns, std::string_view{"urn:xmpp:mam:2#extended"}, xmpp::ns::stanza_id, std::string_view{"urn:xmpp:fulltext:0"}})
            host.disco.account_feature(feature);
        host.at<&Archive::strip_forged>(host.outbound, Station::stamp, this);
        host.at<&Archive::strip_forged>(host.inbound, Station::stamp, this);
        host.at<&Archive::archive>(host.outbound, Station::archive, this);
        host.at<&Archive::archive>(host.inbound, Station::archive, this);
        host.iq.get<&Archive::form>(Asked::account, ns, "query", this, Condition::forbidden);
        host.iq.set<&Archive::query>(Asked::account, ns, "query", this, Condition::forbidden);
        host.at<&Archive::metadata_at_binding>(host.before_binding, this);
        host.iq.get<&Archive::metadata>(Asked::account, ns, "metadata", this, Condition::forbidden);
    }

private:
    // XEP-0359 §3, rule 2: an id that claims to be ours.
    Verdict strip_forged(Passage& passage) {
        if (passage.stanza.kind() != xmpp::Kind::message) return Verdict::pass();
        for (const Element child : passage.stanza.children()) {
            if (!child.is("stanza-id", xmpp::ns::stanza_id)) continue;
            if (xmpp::names(child.attr("by"), passage.account.jid())) passage.stripped.push_back(child);
        }
        return Verdict::pass();
    }

    Verdict archive(Passage& passage) {
        if (passage.stanza.kind() != xmpp::Kind::message || !passage.may_be_archived || !is_worth_archiving(passage)) return Verdict::pass();
        const LogId place = passage.keep(Keep::in_archive);
        // §3.5
        passage.appended.append("<stanza-id xmlns='urn:xmpp:sid:0' by='");
        xmpp::append_escaped_attribute(passage.appended, passage.account.jid().text());
        passage.appended.append("' id='").append(ids().id(passage.account.id(), place)).append("'/>");
        if (!passage.stanza.child("encryption", "urn:xmpp:eme:0"))   // XEP-0380: the body is for those who cannot decrypt
            passage.words = xmpp::search_text(passage.stanza.child("body", xmpp::ns::client).text());
        return Verdict::pass();
    }

    // §6.1.1
    static bool is_worth_archiving(const Passage& passage) {
        const xmpp::Stanza& message = passage.stanza;
        const std::string_view type = message.type();
        if (type == "error" || type == "groupchat" || type == "headline") return false;
        // A message to oneself is archived once, as it comes in.
        if (passage.direction == Direction::outgoing && passage.to.bare() == passage.account.jid().view()) return false;
        if (has_hint(message, "no-store") || has_hint(message, "no-permanent-store")) return false;   // XEP-0334 §4.1, §4.2
        return has_hint(message, "store") || has_content(message);
    }

    IqReply form(Iq& iq);
    storage::Task<IqReply> query(Iq iq);
    storage::Task<IqReply> metadata(Iq iq);
    storage::Task<void> metadata_at_binding(const Account& account, std::string& answers);
    storage::Task<storage::Result<std::string>> describe(storage::AccountId account);
    Parsed parse(const Iq& iq);
    std::optional<StanzaError> read_field(const Iq& iq, const xmpp::FormField& field, Question& question);
    std::optional<StanzaError> read_set(const Iq& iq, const xmpp::RsmRequest& set, Question& question);
    bool read_place(const Iq& iq, std::string_view id, Question& question, LogId& place);
    storage::Task<bool> is_in_turn(std::shared_ptr<Session> session, const Question& question, const storage::ArchivePage& page);
    void send_result(Session& session, const Question& question, const storage::LogEntry& entry, bool in_turn);
    std::string fin(const Iq& iq, const storage::ArchivePage& page);

    // The secret is there once the server is prepared, which is after its modules are made.
    ArchiveIds& ids() {
        if (!ids_) ids_.emplace(worker_.server.archive_id_secret());
        return *ids_;
    }

    Worker& worker_;
    std::optional<ArchiveIds> ids_;
};

// ---- what is asked: §4.1 -----------------------------------------------------------------------------------------------

IqReply Archive::form(Iq& iq) {
    if (!iq.is_own()) return Condition::forbidden;
    xmpp::DataForm form;
    form.hidden_form_type(ns);
    const auto add = [&form](std::string_view var, std::string_view type) -> xmpp::FormField& {
        xmpp::FormField& field = form.fields.emplace_back();
        field.var = var;
        field.type = type;
        return field;
    };
    add("with", "jid-single");
    for (const std::string_view var : {"start", "end", "before-id", "after-id"}) add(var, "text-single");
    xmpp::XmlWriter open{xmpp::ns::data_form};   // §4.1.5: any id, not one of a list
    open.open("validate", ns_validate).attr("datatype", "xs:string").open("open");
    add("ids", "list-multi").media = open.take();
    add(fulltext, "text-single");
    xmpp::XmlWriter w;
    w.open("query", ns);
    form.write(w);
    return w.take();
}

Parsed Archive::parse(const Iq& iq) {
    Question question;
    if (iq.payload.find_attr("node")) return xmpp::Failure{StanzaError{Condition::feature_not_implemented}};   // XEP-0442
    question.queryid = iq.payload.attr("queryid");
    question.is_flipped = bool{iq.payload.child("flip-page", ns)};
    question.is_synchronising = true;
    question.query.limit = page_size;
    if (const Element x = iq.payload.child("x", xmpp::ns::data_form)) {
        const xmpp::DataForm form = xmpp::DataForm::parse(x);
        if (form.form_type() != ns) return xmpp::Failure{StanzaError{Condition::bad_request, "The form is of another type."}};
        for (const xmpp::FormField& field : form.fields)
            if (auto error = read_field(iq, field, question)) return xmpp::Failure{std::move(*error)};
    }
    const auto set = xmpp::RsmRequest::parse(iq.payload.child("set", xmpp::ns::rsm));
    if (!set) return xmpp::Failure{set.error()};
    if (auto error = read_set(iq, *set, question)) return xmpp::Failure{std::move(*error)};
    return question;
}

std::optional<StanzaError> Archive::read_field(const Iq& iq, const xmpp::FormField& field, Question& question) {
    storage::ArchiveQuery& query = question.query;
    const std::string_view value = field.values.empty() ? std::string_view{} : std::string_view{field.values.front()};
    const auto bad = [](const char* why) { return StanzaError{Condition::bad_request, why}; };
    if (field.var == "FORM_TYPE") return std::nullopt;
    if (field.var == "with") {
        query.with = xmpp::Jid::parse(value);
        if (!query.with) return bad("'with' is no JID.");
    } else if (field.var == "start" || field.var == "end") {
        const auto time = xmpp::parse_date_time(value);
        if (!time) return bad("'start' and 'end' are times as in XEP-0082.");
        if (field.var == "start") query.from = std::max(query.from, at(*time));
        else query.to = std::min(query.to, at(*time));
    } else if (field.var == "after-id" || field.var == "before-id") {
        LogId place = 0;
        if (!read_place(iq, value, question, place)) return Condition::item_not_found;
        if (field.var == "after-id") query.from = std::max(query.from, place + 1);
        else query.to = std::min(query.to, place - 1);
    } else if (field.var == "ids") {
        if (field.values.size() > most_ids) return StanzaError{Condition::not_acceptable, "Too many ids at once."};
        for (const std::string& id : field.values) {
            const auto place = ids().place(iq.account->id(), id);
            if (!place) return Condition::item_not_found;
            query.ids.push_back(*place);
        }
    } else if (field.var == fulltext) {
        query.words = xmpp::search_words(value);
        if (query.words.size() > most_words) return StanzaError{Condition::not_acceptable, "Too many words at once."};
    } else {
        return Condition::feature_not_implemented;   // §4.1.5
    }
    if (field.var != "start" && field.var != "after-id") question.is_synchronising = false;
    return std::nullopt;
}

// XEP-0059, §4.3
std::optional<StanzaError> Archive::read_set(const Iq& iq, const xmpp::RsmRequest& set, Question& question) {
    storage::ArchiveQuery& query = question.query;
    if (set.index) return Condition::feature_not_implemented;   // XEP-0059 §2.6
    if (set.max) query.limit = std::min<std::size_t>(*set.max, largest_page);
    query.is_counted = set.max == 0U;   // XEP-0059 §2.7: the count alone
    LogId place = 0;
    if (set.after) {
        if (!read_place(iq, *set.after, question, place)) return Condition::item_not_found;
        query.from = std::max(query.from, place + 1);
    }
    if (set.before) {
        query.backwards = true;
        if (set.before->empty()) return std::nullopt;
        if (!read_place(iq, *set.before, question, place)) return Condition::item_not_found;
        query.to = std::min(query.to, place - 1);
    }
    return std::nullopt;
}

bool Archive::read_place(const Iq& iq, std::string_view id, Question& question, LogId& place) {
    const auto found = ids().place(iq.account->id(), id);
    if (!found) return false;
    question.query.must_exist.push_back(place = *found);
    return true;
}

// ---- what is answered: §4.2, §4.3 --------------------------------------------------------------------------------------

storage::Task<IqReply> Archive::query(Iq iq) {
    if (!iq.is_own() || !iq.session) co_return IqReply{Condition::forbidden};   // §8.1
    Parsed parsed = parse(iq);
    if (!parsed) co_return IqReply{parsed.error()};
    const Question question = std::move(*parsed);
    auto asking = worker_.storage().messages().query(iq.account->id(), question.query);
    auto answer = co_await asking;
    if (!answer && answer.error().kind == storage::StorageError::Kind::not_found) co_return IqReply{Condition::item_not_found};
    if (!answer) co_return IqReply{answer.error()};
    storage::ArchivePage page = std::move(*answer);

    const std::shared_ptr<Session> session = iq.session;
    auto placing = is_in_turn(session, question, page);
    const bool in_turn = co_await placing;
    const std::string end = fin(iq, page);
    if (question.is_flipped) std::ranges::reverse(page.entries);   // §4.3.4
    for (const storage::LogEntry& entry : page.entries) {
        send_result(*session, question, entry, in_turn);
        co_await session->drained(unsent);
    }
    if (question.is_synchronising && question.query.limit > 0) session->account().log.archive_read(*session, page.is_complete);
    co_return IqReply{end};
}

// Whether the page is what the device lacks next, with nothing left out: then its cursor moves as results are acked.
storage::Task<bool> Archive::is_in_turn(std::shared_ptr<Session> session, const Question& question, const storage::ArchivePage& page) {
    const LogId cursor = session->account().log.cursor(*session);
    if (!question.is_synchronising || question.is_flipped || page.entries.empty() || page.entries.back().id <= cursor) co_return false;
    const bool is_from_its_start = !question.query.backwards || page.is_complete;
    const LogId begin = is_from_its_start ? question.query.from : page.entries.front().id;
    if (begin > cursor + 1) co_return false;
    auto asking = worker_.storage().messages().has_unarchived(session->account().id(), cursor, page.entries.back().id);
    const auto has_more = co_await asking;
    co_return has_more.ok() && !*has_more;
}

void Archive::send_result(Session& session, const Question& question, const storage::LogEntry& entry, bool in_turn) {
    xmpp::XmlWriter w;
    w.open("message").attr("from", session.account().jid().text()).attr("to", session.jid().text());
    w.open("result", ns).attr_if("queryid", question.queryid).attr("id", ids().id(entry.account, entry.id));
    w.open("forwarded", ns_forward);
    w.open("delay", xmpp::ns::delay).attr("stamp", time_of(entry.id)).close();
    w.raw(xmpp::standing_alone(entry.xml.bytes()));
    session.send(nullptr, xmpp::Wire{w.take()}, {entry.id, in_turn});
}

std::string Archive::fin(const Iq& iq, const storage::ArchivePage& page) {
    xmpp::XmlWriter w;
    w.open("fin", ns);
    if (page.is_complete) w.attr("complete", "true");
    xmpp::RsmAnswer set;
    if (!page.entries.empty()) {
        set.first = ids().id(iq.account->id(), page.entries.front().id);
        set.last = ids().id(iq.account->id(), page.entries.back().id);
    }
    if (page.count) set.count = static_cast<std::uint32_t>(*page.count);
    set.write(w);
    return w.take();
}

// §5
storage::Task<IqReply> Archive::metadata(Iq iq) {
    if (!iq.is_own()) co_return IqReply{Condition::forbidden};
    auto asking = describe(iq.account->id());
    auto metadata = co_await asking;
    if (!metadata) co_return IqReply{metadata.error()};
    co_return IqReply{std::move(*metadata)};
}

// XEP-0386 §3.2.1
storage::Task<void> Archive::metadata_at_binding(const Account& account, std::string& answers) {
    auto asking = describe(account.id());
    const auto metadata = co_await asking;
    if (metadata) answers += *metadata;   // without it the client asks
}

storage::Task<storage::Result<std::string>> Archive::describe(storage::AccountId account) {
    auto asking = worker_.storage().messages().archive_ends(account);
    const auto ends = co_await asking;
    if (!ends) co_return storage::Failure{ends.error()};
    xmpp::XmlWriter w;
    w.open("metadata", ns);
    if (ends->first != 0) {
        w.open("start").attr("id", ids().id(account, ends->first)).attr("timestamp", time_of(ends->first)).close();
        w.open("end").attr("id", ids().id(account, ends->last)).attr("timestamp", time_of(ends->last)).close();
    }
    co_return storage::Result<std::string>{w.take()};
}

}  // namespace

MODULE_FACTORY(archive, Archive)

}  // namespace server
