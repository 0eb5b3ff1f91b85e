// SPDX-License-Identifier: MIT
// What is said in rooms, written and read again.
#include "server/rooms/archives.h"

#include <algorithm>

#include "server/account_log.h"
#include "server/config.h"
#include "server/fan_out.h"
#include "server/message_content.h"
#include "server/not_stored.h"
#include "server/receipt.h"
#include "server/worker.h"
#include "xmpp/namespaces.h"
#include "xmpp/parser.h"
#include "xmpp/xml_writer.h"

namespace server::rooms {

using storage::AccountId;
using storage::LogEntry;
using storage::LogId;
using xmpp::Condition;
using xmpp::Stanza;

namespace {

constexpr unsigned most_asked = 50;                  // requests of one account under way

std::string with_address(const LogEntry& entry) {
    xmpp::XmlWriter x;
    x.open("x", xmpp::ns::muc_user).open("item").attr("jid", entry.peer.text());
    const std::string child = x.take();
    Stanza::Rewrite rewrite;
    rewrite.append = child;
    std::string xml;
    xmpp::parse_trusted(entry.xml.bytes()).write(xml, rewrite);
    return xml;
}

}  // namespace

Archives::Archives(Worker& worker) : worker_{worker}, protocol_{worker.server} {}

// Who keeps messages until they are delivered keeps none of rooms: nobody says who has them.
bool Archives::are_kept() const { return worker_.config->rooms.archive && worker_.config->messages.retention != "delivered"; }

// ---- written -----------------------------------------------------------------------------------------------------------

bool Archives::append(AccountId log, LogId place, const Stanza& said, std::string_view xml) {
    LogEntry entry;
    entry.account = log;
    entry.id = place;
    entry.peer = xmpp::Jid{said.from()};
    entry.stanza_type = "groupchat";
    entry.origin_id = said.id();
    entry.words = searchable_text(said);
    entry.xml = xmpp::Wire{xml};
    ++worker_.counters.logged;
    appending_ = {log, place};
    worker_.storage().messages().append(std::move(entry), [this, at = appending_, said, receipt = Receipt::current()](const storage::Result<void>& committed) {
        if (committed) return;
        note_not_stored(worker_, said.to().text(), committed.error());
        if (at == appending_) {   // who asked tells its sender
            is_refused_ = true;
            if (receipt) receipt->refuse();
        } else if (!receipt || receipt->refuse()) {
            worker_.router.bounce(said, said.to(), AccountLog::not_stored);
        }
    });
    appending_ = {};
    return !std::exchange(is_refused_, false);
}

storage::Task<Replaced> Archives::replace(AccountId log, LogId place, Surroundings::Rewritten rewritten) {
    storage::ArchiveQuery query;
    query.ids = {place};
    auto finding = worker_.storage().messages().query(log, std::move(query));
    const auto found = co_await finding;
    if (!found) co_return found.error().kind == storage::StorageError::Kind::not_found ? Replaced::not_there : Replaced::not_now;
    const std::string xml = found->entries.empty() ? std::string{} : rewritten(xmpp::parse_trusted(found->entries.front().xml.bytes()));
    if (xml.empty()) co_return Replaced::not_there;
    auto replacing = worker_.storage().messages().replace(log, place, xmpp::Wire{xml});
    const auto replaced = co_await replacing;
    co_return replaced ? Replaced::yes : Replaced::not_now;
}

// ---- read --------------------------------------------------------------------------------------------------------------

storage::Task<storage::Result<std::vector<LogEntry>>> Archives::newest(AccountId log, std::size_t count) {
    storage::ArchiveQuery query;
    query.limit = count;
    query.backwards = true;
    auto asking = worker_.storage().messages().query(log, std::move(query));
    auto page = co_await asking;
    if (!page) co_return storage::Failure{page.error()};
    co_return std::move(page->entries);
}

storage::Task<void> Archives::answer(Stanza request, xmpp::Jid room, AccountId log, bool sees_addresses) {
    const auto asking = asking_.try_emplace(std::string{request.from().bare().text()}).first;
    if (asking->second.all >= most_asked) co_return worker_.router.bounce(request, room, {xmpp::ErrorType::wait, Condition::resource_constraint, "One after the other, please."});
    ++asking->second.all;
    auto replying = reply_to(request, room, log, sees_addresses);
    const IqReply reply = co_await replying;
    if (--asking->second.all == 0) asking_.erase(asking);
    worker_.router.answer(request, room, reply);
}

storage::Task<IqReply> Archives::reply_to(Stanza request, xmpp::Jid room, AccountId log, bool sees_addresses) {
    const std::string_view asked = request.element().first_child().name();
    const bool is_get = request.type() == "get";
    if (is_get && asked == "query") co_return IqReply{ArchiveProtocol::form()};
    if (is_get && asked == "metadata") {
        auto describing = metadata(log);
        co_return co_await describing;
    }
    if (is_get || asked != "query") co_return IqReply{Condition::service_unavailable};
    auto querying = query(request, room, log, sees_addresses);
    co_return co_await querying;
}

storage::Task<IqReply> Archives::metadata(AccountId log) {
    auto asking = worker_.storage().messages().archive_ends(log);
    const auto ends = co_await asking;
    if (!ends) co_return IqReply{ends.error()};
    co_return IqReply{protocol_.metadata(log, *ends)};
}

storage::Task<IqReply> Archives::query(Stanza request, xmpp::Jid room, AccountId log, bool sees_addresses) {
    auto parsed = protocol_.parse(log, request.element().first_child());
    if (!parsed) co_return IqReply{parsed.error()};
    const ArchiveQuestion question = std::move(*parsed);
    if (question.query.with && !sees_addresses) co_return IqReply{Condition::forbidden};   // §4.1.1
    const bool is_search = question.query.is_search();
    unsigned& searches = asking_.find(request.from().bare().text())->second.searches;
    if (is_search && searches >= most_searches) co_return IqReply{too_many_searches()};
    searches += is_search ? 1 : 0;
    auto asking = worker_.storage().messages().query(log, question.query);
    auto answer = co_await asking;
    searches -= is_search ? 1 : 0;
    if (!answer && answer.error().kind == storage::StorageError::Kind::not_found) co_return IqReply{Condition::item_not_found};
    if (!answer) co_return IqReply{answer.error()};
    storage::ArchivePage page = std::move(*answer);
    if (!question.query.ids.empty() && !page.is_complete) co_return IqReply{too_much()};

    const std::string end = protocol_.fin(log, page);
    if (question.is_flipped) std::ranges::reverse(page.entries);   // §4.3.4
    std::vector<SharedCopies> results;
    for (const LogEntry& entry : page.entries) {
        xmpp::XmlWriter w;
        w.open("message").attr("from", room.text());
        const bool tells_address = sees_addresses && entry.peer != room;   // what the room itself says has none
        w.raw(tells_address ? protocol_.result(question, entry, with_address(entry)) : protocol_.result(question, entry, entry.xml.bytes()));
        results.push_back(std::make_shared<const Copies>(w.take()));
    }
    if (!results.empty()) hand_out(worker_, std::move(results), xmpp::Jid{request.from()});
    co_return IqReply{end};
}

}  // namespace server::rooms
