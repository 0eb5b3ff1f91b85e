// SPDX-License-Identifier: MIT
// XEP-0313 §4, §5, with XEP-0059 and XEP-0431.
#include "server/archive_protocol.h"

#include <algorithm>
#include <array>

#include "server/server.h"
#include "xmpp/data_form.h"
#include "xmpp/date_time.h"
#include "xmpp/namespaces.h"
#include "xmpp/rsm.h"
#include "xmpp/search_text.h"
#include "xmpp/xml_writer.h"

namespace server {

namespace {

using storage::LogId;
using xmpp::Condition;
using xmpp::Element;
using xmpp::StanzaError;

constexpr std::string_view ns_forward = "urn:xmpp:forward:0";
constexpr std::string_view ns_fulltext = "urn:xmpp:fulltext:0";
constexpr std::string_view ns_validate = "http://jabber.org/protocol/xdata-validate";
constexpr std::string_view fulltext = "{urn:xmpp:fulltext:0}fulltext";
constexpr std::size_t page_size = 100, largest_page = 250;   // §4.3.1
constexpr std::size_t most_ids = 250, most_words = 8;

LogId at(xmpp::Time time) { return static_cast<LogId>(std::max<std::int64_t>(time.time_since_epoch().count(), 0)); }
// The stamps that we send end with milliseconds, places do not: of what has such a stamp, all is meant.
LogId last_at(xmpp::Time time) { return at(time) % 1000 == 0 ? at(time) + 999 : at(time); }
std::string time_of(LogId place) { return xmpp::format_date_time(xmpp::Time{std::chrono::microseconds{place}}, true); }

}  // namespace

StanzaError too_many_searches() { return {xmpp::ErrorType::wait, Condition::resource_constraint, "One search after the other, please."}; }
StanzaError too_much() { return {Condition::not_acceptable, "Too much at once."}; }

std::span<const std::string_view> ArchiveProtocol::features() {
    static constexpr std::array<std::string_view, 3> all{ns_mam, "urn:xmpp:mam:2#extended", ns_fulltext};
    return all;
}

ArchiveIds& ArchiveProtocol::ids() {
    if (!ids_) ids_.emplace(server_.archive_id_secret());
    return *ids_;
}

// ---- what is asked: §4.1 -----------------------------------------------------------------------------------------------

std::string ArchiveProtocol::form() {
    xmpp::DataForm form;
    form.hidden_form_type(ns_mam);
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
    w.open("query", ns_mam);
    form.write(w);
    return w.take();
}

struct ArchiveProtocol::Reading {
    std::optional<StanzaError> field(const xmpp::FormField& field);
    std::optional<StanzaError> set(const xmpp::RsmRequest& set);
    bool place(std::string_view id, LogId& place);

    ArchiveIds& ids;
    storage::AccountId log;
    ArchiveQuestion question{};
};

xmpp::Result<ArchiveQuestion, StanzaError> ArchiveProtocol::parse(storage::AccountId log, const Element& query) {
    if (query.find_attr("node")) return xmpp::Failure{StanzaError{Condition::feature_not_implemented}};   // XEP-0442
    Reading reading{ids(), log};
    reading.question.queryid = query.attr("queryid");
    reading.question.is_flipped = bool{query.child("flip-page", ns_mam)};
    reading.question.query.limit = page_size;
    if (const Element x = query.child("x", xmpp::ns::data_form)) {
        const xmpp::DataForm form = xmpp::DataForm::parse(x);
        if (form.form_type() != ns_mam) return xmpp::Failure{StanzaError{Condition::bad_request, "The form is of another type."}};
        for (const xmpp::FormField& field : form.fields)
            if (auto error = reading.field(field)) return xmpp::Failure{std::move(*error)};
    }
    const auto set = xmpp::RsmRequest::parse(query.child("set", xmpp::ns::rsm));
    if (!set) return xmpp::Failure{set.error()};
    if (auto error = reading.set(*set)) return xmpp::Failure{std::move(*error)};
    return std::move(reading.question);
}

std::optional<StanzaError> ArchiveProtocol::Reading::field(const xmpp::FormField& field) {
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
        else query.to = std::min(query.to, last_at(*time));
    } else if (field.var == "after-id" || field.var == "before-id") {
        LogId known = 0;
        if (!place(value, known)) return Condition::item_not_found;
        if (field.var == "after-id") query.from = std::max(query.from, known + 1);
        else query.to = std::min(query.to, known - 1);
    } else if (field.var == "ids") {
        if (field.values.size() > most_ids) return StanzaError{Condition::not_acceptable, "Too many ids at once."};
        for (const std::string& id : field.values) {
            const auto known = ids.place(log, id);
            if (!known) return Condition::item_not_found;
            query.ids.push_back(*known);
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
std::optional<StanzaError> ArchiveProtocol::Reading::set(const xmpp::RsmRequest& set) {
    storage::ArchiveQuery& query = question.query;
    if (set.index) return Condition::feature_not_implemented;   // XEP-0059 §2.6
    if (set.max) query.limit = std::min<std::size_t>(*set.max, largest_page);
    query.is_counted = set.max == 0U;   // XEP-0059 §2.7: the count alone
    LogId known = 0;
    if (set.after) {
        if (!place(*set.after, known)) return Condition::item_not_found;
        query.from = std::max(query.from, known + 1);
    }
    if (set.before) {
        query.backwards = true;
        if (set.before->empty()) return std::nullopt;
        if (!place(*set.before, known)) return Condition::item_not_found;
        query.to = std::min(query.to, known - 1);
    }
    return std::nullopt;
}

bool ArchiveProtocol::Reading::place(std::string_view id, LogId& place) {
    const auto found = ids.place(log, id);
    if (!found) return false;
    question.query.must_exist.push_back(place = *found);
    return true;
}

// ---- what is answered --------------------------------------------------------------------------------------------------

std::string ArchiveProtocol::result(const ArchiveQuestion& question, const storage::LogEntry& entry, std::string_view stanza) {
    xmpp::XmlWriter w;
    w.open("result", ns_mam).attr_if("queryid", question.queryid).attr("id", id(entry.account, entry.id));
    w.open("forwarded", ns_forward);
    w.open("delay", xmpp::ns::delay).attr("stamp", time_of(entry.id)).close();
    return w.raw(xmpp::standing_alone(stanza)).take();
}

std::string ArchiveProtocol::fin(storage::AccountId log, const storage::ArchivePage& page) {
    xmpp::XmlWriter w;
    w.open("fin", ns_mam);
    if (page.is_complete) w.attr("complete", "true");
    xmpp::RsmAnswer set;
    if (!page.entries.empty()) {
        set.first = id(log, page.entries.front().id);
        set.last = id(log, page.entries.back().id);
    }
    if (page.count) set.count = static_cast<std::uint32_t>(*page.count);
    set.write(w);
    return w.take();
}

std::string ArchiveProtocol::metadata(storage::AccountId log, const storage::ArchiveEnds& ends) {
    xmpp::XmlWriter w;
    w.open("metadata", ns_mam);
    if (ends.first != 0) {
        w.open("start").attr("id", id(log, ends.first)).attr("timestamp", time_of(ends.first)).close();
        w.open("end").attr("id", id(log, ends.last)).attr("timestamp", time_of(ends.last)).close();
    }
    return w.take();
}

}  // namespace server
