// SPDX-License-Identifier: MIT
// XEP-0313 1.1.3: Message Archive Management — a view of the account's log: what is archived there can be asked for, by
// any device, page by page. With #extended, stanza ids (XEP-0359 0.7.0) and full-text search (XEP-0431 0.2.0).
// A client that fetches what its device lacks is not sent it again (account_log.h). Leaves out groupchat messages:
// a room's archive has them.
#include <algorithm>

#include "server/account.h"
#include "server/archive_protocol.h"
#include "server/host.h"
#include "server/login_request.h"
#include "server/message_content.h"
#include "server/worker.h"

namespace server {

namespace {

using storage::Direction;
using storage::LogId;
using xmpp::Condition;
using xmpp::Element;

constexpr std::size_t unsent = 256 * 1024;   // bytes in the socket's queue above which results wait

class Archive final : public Module {
public:
    explicit Archive(Host& host) : worker_{host.worker}, protocol_{host.worker.server}, searching_{host} {
        for (const std::string_view feature : ArchiveProtocol::features()) host.disco.account_feature(feature);
        host.disco.account_feature(xmpp::ns::stanza_id);
        host.at<&Archive::strip_forged>(host.outbound, Station::stamp, this);
        host.at<&Archive::strip_forged>(host.inbound, Station::stamp, this);
        host.at<&Archive::archive>(host.outbound, Station::archive, this);
        host.at<&Archive::archive>(host.inbound, Station::archive, this);
        host.iq.get<&Archive::form>(Asked::account, ns_mam, "query", this, Condition::forbidden);
        host.iq.set<&Archive::query>(Asked::account, ns_mam, "query", this, Condition::forbidden);
        host.at<&Archive::metadata_at_binding>(host.before_binding, this);
        host.iq.get<&Archive::metadata>(Asked::account, ns_mam, "metadata", this, Condition::forbidden);
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
        passage.appended.append("' id='").append(protocol_.id(passage.account.id(), place)).append("'/>");
        passage.words = searchable_text(passage.stanza);
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
    storage::Task<bool> is_in_turn(std::shared_ptr<Session> session, const ArchiveQuestion& question, const storage::ArchivePage& page);
    void send_result(Session& session, const ArchiveQuestion& question, const storage::LogEntry& entry, bool in_turn);

    Worker& worker_;
    ArchiveProtocol protocol_;
    AccountSlot<unsigned> searching_;   // under way, of all its sessions
};

IqReply Archive::form(Iq& iq) {
    if (!iq.is_own()) return Condition::forbidden;
    return ArchiveProtocol::form();
}

storage::Task<IqReply> Archive::query(Iq iq) {
    if (!iq.is_own() || !iq.session) co_return IqReply{Condition::forbidden};   // §8.1
    auto parsed = protocol_.parse(iq.account->id(), iq.payload);
    if (!parsed) co_return IqReply{parsed.error()};
    const ArchiveQuestion question = std::move(*parsed);
    const bool is_search = question.query.is_search();
    if (is_search && searching_[*iq.account] >= most_searches) co_return IqReply{too_many_searches()};
    if (is_search) ++searching_[*iq.account];
    auto asking = worker_.storage().messages().query(iq.account->id(), question.query);
    auto answer = co_await asking;
    if (is_search) --searching_[*iq.account];
    if (!answer && answer.error().kind == storage::StorageError::Kind::not_found) co_return IqReply{Condition::item_not_found};
    if (!answer) co_return IqReply{answer.error()};
    storage::ArchivePage page = std::move(*answer);
    if (!question.query.ids.empty() && !page.is_complete) co_return IqReply{too_much()};

    const std::shared_ptr<Session> session = iq.session;
    auto placing = is_in_turn(session, question, page);
    const bool in_turn = co_await placing;
    const std::string end = protocol_.fin(iq.account->id(), page);
    if (question.is_flipped) std::ranges::reverse(page.entries);   // §4.3.4
    for (const storage::LogEntry& entry : page.entries) {
        send_result(*session, question, entry, in_turn);
        co_await session->drained(unsent);
    }
    if (question.is_synchronising && question.query.limit > 0) session->account().log.archive_read(*session, page.is_complete);
    co_return IqReply{end};
}

// Whether the page is what the device lacks next, with nothing left out: then its cursor moves as results are acked.
storage::Task<bool> Archive::is_in_turn(std::shared_ptr<Session> session, const ArchiveQuestion& question, const storage::ArchivePage& page) {
    const LogId cursor = session->account().log.cursor(*session);
    if (!question.is_synchronising || question.is_flipped || page.entries.empty() || page.entries.back().id <= cursor) co_return false;
    const bool is_from_its_start = !question.query.backwards || page.is_complete;
    const LogId begin = is_from_its_start ? question.query.from : page.entries.front().id;
    if (begin > cursor + 1) co_return false;
    auto asking = worker_.storage().messages().has_unarchived(session->account().id(), cursor, page.entries.back().id);
    const auto has_more = co_await asking;
    co_return has_more.ok() && !*has_more;
}

void Archive::send_result(Session& session, const ArchiveQuestion& question, const storage::LogEntry& entry, bool in_turn) {
    xmpp::XmlWriter w;
    w.open("message").attr("from", session.account().jid().text()).attr("to", session.jid().text());
    w.raw(protocol_.result(question, entry, entry.xml.bytes()));
    session.send(nullptr, xmpp::Wire{w.take()}, {entry.id, in_turn});
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
    co_return storage::Result<std::string>{protocol_.metadata(account, *ends)};
}

}  // namespace

MODULE_FACTORY(archive, Archive)

}  // namespace server
