// SPDX-License-Identifier: MIT
// The pieces: everything but messages; those that wait for a device and are in no archive (§4.5); the archive (§4.11).
#include "server/account_export.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "server/account.h"
#include "server/roster.h"
#include "xmpp/date_time.h"
#include "xmpp/namespaces.h"
#include "xmpp/stanza.h"
#include "xmpp/xml_writer.h"

namespace server {

namespace {

using storage::LogEntry;
using storage::LogId;
using storage::Result;
using storage::Storage;
using storage::Task;
using xmpp::XmlWriter;

constexpr std::string_view ns_pie = "urn:xmpp:pie:0", ns_account = "urn:tern:account:0", ns_archive = "urn:xmpp:pie:0#mam", ns_mam = "urn:xmpp:mam:2";
constexpr std::string_view waiting = "waiting:", archive = "archive:";   // what `next` begins with; behind it, the last entry
constexpr std::size_t page = 50;                                         // messages of a piece

std::string begin(const storage::Account& account) {
    std::string xml = "<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='";
    xml.append(ns_pie).append("'><host jid='");
    xmpp::append_escaped_attribute(xml, account.jid.domainpart());
    xml.append("'><user name='");
    xmpp::append_escaped_attribute(xml, account.jid.localpart());
    return xml.append("'>\n");
}

std::string described(const storage::Account& account) {
    XmlWriter w{ns_pie};
    w.open("account", ns_account).attr_if("phone", account.phone).attr("created", xmpp::format_date_time(account.created));
    if (account.last_logout != storage::Time{}) w.attr("last-logout", xmpp::format_date_time(account.last_logout)).attr_if("last-status", account.last_status);
    for (const storage::Device& device : account.devices) {
        w.open("device").attr("id", device.id).attr("role", to_string(device.role)).attr_if("name", device.name).attr_if("software", device.software);
        w.attr("created", xmpp::format_date_time(device.created)).attr("last-seen", xmpp::format_date_time(device.last_seen));
        w.attr_if("linked-by", device.linked_by).attr_if("omemo-id", device.omemo_id).attr_if("networks", device.networks);
        if (!device.identity_key.empty()) w.leaf("identity-key", device.identity_key);   // its public half
        w.close();
    }
    return w.take() + "\n";
}

// §4.4, §4.9
std::string described(const std::vector<storage::RosterItem>& items) {
    XmlWriter w{ns_pie};
    w.open("query", xmpp::ns::roster);
    for (const storage::RosterItem& item : items) {
        if (!item.in_roster || item.removed) continue;
        w.open("item").attr("jid", item.jid.text()).attr_if("name", item.name).attr("subscription", to_string(item.subscription));
        if (item.ask) w.attr("ask", "subscribe");
        if (item.approved) w.attr("approved", "true");
        for (const std::string& group : item.groups) w.leaf("group", group);
        w.close();
    }
    std::string xml = w.take() + "\n";
    for (const storage::RosterItem& item : items)
        if (item.pending_in && !item.request.empty()) xml.append(xmpp::standing_alone(item.request)).append("\n");
    return xml;
}

// §4.8: whom XEP-0191 blocks is denied in the default list (XEP-0191 §5).
std::string described(const std::vector<xmpp::Jid>& blocked) {
    if (blocked.empty()) return {};
    XmlWriter w{ns_pie};
    w.open("query", "jabber:iq:privacy").open("default").attr("name", "blocked").close().open("list").attr("name", "blocked");
    std::uint64_t order = 0;
    for (const xmpp::Jid& jid : blocked) w.open("item").attr("type", "jid").attr("value", jid.text()).attr("action", "deny").attr("order", ++order).close();
    w.open("item").attr("action", "allow").attr("order", ++order).close();
    return w.take() + "\n";
}

std::string described(const std::optional<storage::ArchivePreferences>& preferences) {
    if (!preferences) return {};
    constexpr std::string_view names[] = {"always", "never", "roster"};   // by Archiving
    XmlWriter w{ns_pie};
    w.open("prefs", ns_mam).attr("default", names[static_cast<std::size_t>(preferences->by_default)]).open("always");
    for (const xmpp::Jid& jid : preferences->always) w.leaf("jid", jid.text());
    w.close().open("never");
    for (const xmpp::Jid& jid : preferences->never) w.leaf("jid", jid.text());
    return w.take() + "\n";
}

// What a task answers: its part of the document, or the failure that ends it.
template <class T, class Describe>
Task<std::optional<storage::StorageError>> append(std::string& xml, Task<Result<T>> loading, Describe describe) {
    const auto loaded = co_await loading;
    if (!loaded) co_return std::optional{loaded.error()};
    xml += describe(*loaded);
    co_return std::optional<storage::StorageError>{};
}

Task<Result<ExportPiece>> everything_but_messages(Storage& storage, const storage::Account& account) {
    ExportPiece piece{begin(account) + described(account), std::string{waiting} + "0"};
    const auto describe = [](const auto& what) { return described(what); };
    auto roster = append(piece.xml, storage.rosters().load(account.id), describe);
    if (const auto failed = co_await roster) co_return storage::Failure{*failed};
    auto vcard = append(piece.xml, storage.vcards().load(account.id), [](const std::string& xml) { return xml.empty() ? xml : xml + "\n"; });
    if (const auto failed = co_await vcard) co_return storage::Failure{*failed};
    auto elements = append(piece.xml, storage.private_xml().all(account.id), [](const std::vector<std::string>& all) {
        std::string xml;
        for (const std::string& element : all) xml += element;
        return xml.empty() ? xml : "<query xmlns='jabber:iq:private'>" + xml + "</query>\n";
    });
    if (const auto failed = co_await elements) co_return storage::Failure{*failed};
    auto blocked = append(piece.xml, storage.block_lists().load(account.id), describe);
    if (const auto failed = co_await blocked) co_return storage::Failure{*failed};
    auto preferences = append(piece.xml, storage.archive_preferences().load(account.id), describe);
    if (const auto failed = co_await preferences) co_return storage::Failure{*failed};
    piece.xml += "<offline-messages>\n";
    co_return std::move(piece);
}

std::string result(ArchiveIds& ids, const LogEntry& entry) {
    XmlWriter w{ns_archive};
    w.open("result", ns_mam).attr("id", ids.id(entry.account, entry.id)).open("forwarded", "urn:xmpp:forward:0");
    w.open("delay", xmpp::ns::delay).attr("stamp", xmpp::format_date_time(xmpp::Time{std::chrono::microseconds{entry.id}}, true)).close();
    w.raw(xmpp::standing_alone(entry.xml.bytes()));
    return w.take() + "\n";
}

Task<Result<ExportPiece>> archived(Storage& storage, ArchiveIds& ids, storage::AccountId account, LogId after) {
    storage::ArchiveQuery query;
    query.from = after + 1;
    query.limit = page;
    auto asking = storage.messages().query(account, query);
    const auto found = co_await asking;
    if (!found) co_return storage::Failure{found.error()};
    ExportPiece piece;
    for (const LogEntry& entry : found->entries) piece.xml += result(ids, entry);
    if (!found->is_complete) piece.next = std::string{archive} + std::to_string(found->entries.back().id);
    else piece.xml += "</archive>\n</user></host></server-data>\n";
    co_return std::move(piece);
}

ExportPiece first_of_archive() {
    return {std::string{"</offline-messages>\n<archive xmlns='"}.append(ns_archive).append("'>\n"), std::string{archive} + "0"};
}

// What is in the log and in no archive.
Task<Result<ExportPiece>> not_archived(Storage& storage, storage::AccountId account, LogId after) {
    auto looking = storage.messages().has_unarchived(account, after, std::numeric_limits<std::int64_t>::max());
    const auto are_there = co_await looking;
    if (!are_there) co_return storage::Failure{are_there.error()};
    if (!*are_there) co_return first_of_archive();
    auto reading = storage.messages().read(account, after, page);
    const auto entries = co_await reading;
    if (!entries) co_return storage::Failure{entries.error()};
    if (entries->empty()) co_return first_of_archive();   // it has just gone
    storage::ArchiveQuery query;
    query.from = after + 1;
    query.to = entries->back().id;
    query.limit = page;
    auto asking = storage.messages().query(account, query);
    const auto found = co_await asking;
    if (!found) co_return storage::Failure{found.error()};
    // Of long ones fewer were looked for.
    const LogId end = found->is_complete || found->entries.empty() ? query.to : found->entries.back().id;
    ExportPiece piece{{}, std::string{waiting} + std::to_string(end)};
    for (const LogEntry& entry : *entries)
        if (entry.id <= end && entry.direction == storage::Direction::incoming && std::ranges::find(found->entries, entry.id, &LogEntry::id) == found->entries.end())
            piece.xml.append(xmpp::standing_alone(entry.xml.bytes())).append("\n");
    co_return std::move(piece);
}

}  // namespace

Task<Result<ExportPiece>> export_piece(Storage& storage, ArchiveIds& ids, storage::Account account, std::string from) {
    if (from.empty()) {
        auto first = everything_but_messages(storage, account);
        auto piece = co_await first;
        co_return std::move(piece);
    }
    const bool is_archive = from.starts_with(archive);
    const std::string_view kind = is_archive ? archive : waiting;
    LogId after = 0;
    const auto [end, problem] = std::from_chars(from.data() + std::min(kind.size(), from.size()), from.data() + from.size(), after);
    if (!from.starts_with(kind) || problem != std::errc{} || end != from.data() + from.size())
        co_return storage::Failure{storage::StorageError{storage::StorageError::Kind::not_found, "no such place in an export"}};

    auto going_on = is_archive ? archived(storage, ids, account.id, after) : not_archived(storage, account.id, after);
    auto piece = co_await going_on;
    co_return std::move(piece);
}

}  // namespace server
