// SPDX-License-Identifier: MIT
// Positions, cursors and catch-up of one account's log.
#include "server/account_log.h"

#include <algorithm>

#include "server/account.h"
#include "server/log.h"
#include "server/receipt.h"
#include "server/stream.h"
#include "server/worker.h"
#include "xmpp/date_time.h"
#include "xmpp/namespaces.h"

namespace server {

constexpr std::size_t catch_up_batch = 100;          // entries in memory at once
constexpr std::chrono::seconds catch_up_retry{2};     // when storage did not answer
constexpr std::size_t catch_up_unsent = 256 * 1024;  // bytes in the socket's queue above which catching up waits

namespace {

// RFC 6121 §5.2.2: a type that nobody knows is "normal".
std::string_view known_type(std::string_view type) {
    for (const std::string_view known : {"chat", "groupchat", "headline", "error"})
        if (type == known) return known;
    return "normal";
}

}  // namespace

void AccountLog::open(storage::LogId last, const std::vector<storage::Device>& devices) {
    last_ = last;
    cursors_.clear();
    for (const storage::Device& device : devices) cursors_.push_back({device.id, device.cursor});
}

AccountLog::DeviceCursor* AccountLog::cursor_of(const std::string& device) {
    const auto found = std::ranges::find(cursors_, device, &DeviceCursor::device);
    return found == cursors_.end() ? nullptr : &*found;
}

storage::LogId AccountLog::append(storage::Direction direction, xmpp::JidView peer, const xmpp::Stanza& stanza,
                                  xmpp::Wire standing_alone, std::function<void(bool)> done) {
    const auto now = static_cast<storage::LogId>(account_.worker().now().time_since_epoch().count());
    last_ = std::max(last_ + 1, now);

    storage::LogEntry entry;
    entry.account = account_.id();
    entry.id = last_;
    entry.direction = direction;
    entry.peer = xmpp::Jid{peer};
    entry.stanza_type = known_type(stanza.type());
    entry.origin_id = stanza.id();
    entry.xml = std::move(standing_alone);
    ++pending_;
    account_.worker().storage().messages().append(
        std::move(entry), [self = account_.shared_from_this(), receipt = Receipt::current(), done = std::move(done)](const storage::Result<void>& committed) {
            --self->log.pending_;
            if (!committed)
                log::error("message not stored", {{"jid", self->jid().text()}, {"why", committed.error().text}});
            if (done) done(committed.ok());
            if (self->is_idle()) self->worker().became_idle(*self);
        });
    return last_;
}

void AccountLog::delivered(Session& session, storage::LogId entry) {
    DeviceCursor* const cursor = cursor_of(session.device());
    if (!cursor || entry <= cursor->at) return;
    auto& messages = account_.worker().storage().messages();
    // In turn: everything before it was sent to this device as well.
    if (session.is_caught_up || session.is_catching_up) {
        cursor->at = entry;
        messages.advance_cursor(account_.id(), session.device(), entry);
    } else {
        messages.mark_delivered(account_.id(), session.device(), entry);
    }
}

void AccountLog::catch_up(Session& session) {
    if (session.is_catching_up || session.is_caught_up) return;
    session.is_catching_up = true;
    account_.worker().spawn("catching up", run_catch_up(session.shared_from_this()));
}

storage::Task<void> AccountLog::run_catch_up(std::shared_ptr<Session> session) {
    const auto account = session->shared_account();  // keeps this log
    Worker& worker = account->worker();
    auto& messages = worker.storage().messages();
    const DeviceCursor* const cursor = cursor_of(session->device());
    storage::LogId sent = std::max(cursor ? cursor->at : last_, session->sent_up_to());

    while (session->takes_messages() && session->stream()) {
        const storage::LogId horizon = last_;  // what comes after this is not in the answer for certain
        auto entries = co_await messages.read_undelivered(account->id(), session->device(), sent, catch_up_batch);
        if (!entries) {
            log::warn("catching up waits", {{"jid", session->jid().text()}, {"why", entries.error().text}});
            co_await net::Sleep{worker.loop, catch_up_retry};
            continue;
        }
        // A hundred entries may be more than the session's outbox holds: they go out one by one.
        std::size_t count = 0;
        for (; count < entries->size() && session->takes_messages() && session->stream(); ++count) {
            send_entry(*session, (*entries)[count]);
            sent = (*entries)[count].id;
            co_await session->drained(catch_up_unsent);
        }
        if (count < entries->size()) break;  // it has gone
        if (count < catch_up_batch && last_ == horizon && session->takes_messages() && session->stream()) {
            session->is_catching_up = false;
            session->is_caught_up = true;
            co_return;
        }
    }
    session->is_catching_up = false;
}

void AccountLog::send_entry(Session& session, const storage::LogEntry& entry) {
    const xmpp::Stanza stored = xmpp::parse_or_empty(entry.xml.bytes());
    if (!stored) {
        log::error("log entry is not a stanza", {{"jid", account_.jid().text()}, {"entry", std::to_string(entry.id)}});
        return;
    }
    const xmpp::Time at{std::chrono::microseconds{entry.id}};
    xmpp::XmlWriter delay;
    delay.open("delay", xmpp::ns::delay).attr("from", account_.jid().domainpart()).attr("stamp", xmpp::format_date_time(at, true));
    const std::string stamp = delay.take();
    static thread_local std::string scratch;
    scratch.clear();
    xmpp::Stanza::Rewrite rewrite;
    rewrite.append = stamp;
    // What was addressed to another device reaches this one as a message to the account.
    if (stored.to().is_full() && stored.to() != session.jid()) rewrite.to = account_.jid().view();
    stored.write(scratch, rewrite);
    session.send(&stored, xmpp::Wire{scratch}, entry.id);
}

}  // namespace server
