// SPDX-License-Identifier: MIT
// Positions, cursors and catch-up of one account's log.
#include "server/account_log.h"

#include <algorithm>
#include <optional>

#include "server/account.h"
#include "server/log.h"
#include "server/not_stored.h"
#include "server/receipt.h"
#include "server/stream.h"
#include "server/worker.h"
#include "xmpp/date_time.h"
#include "xmpp/namespaces.h"

namespace server {

const xmpp::StanzaError AccountLog::not_stored{xmpp::ErrorType::wait, xmpp::Condition::resource_constraint, "The message could not be stored."};

constexpr std::chrono::seconds ack_patience{1};       // clients' acks are waited for so long
constexpr std::size_t most_postponed = 64;            // entries of an account
constexpr std::size_t catch_up_batch = 100;          // entries in memory at once
constexpr std::size_t most_newer = 256 * 1024;       // bytes of what comes in meanwhile
constexpr std::chrono::seconds catch_up_retry{2};     // when storage did not answer
constexpr std::chrono::seconds archive_patience{10};  // between two pages that a client fetches
constexpr std::size_t catch_up_unsent = 256 * 1024;  // bytes in the socket's queue above which catching up waits

namespace {

// RFC 6121 §5.2.2: a type that nobody knows is "normal".
std::string_view known_type(std::string_view type) {
    for (const std::string_view known : {"chat", "groupchat", "headline", "error"})
        if (type == known) return known;
    return "normal";
}

storage::LogEntry entry_of(const Account& account, storage::LogId id, storage::Direction direction, const xmpp::Stanza& stanza, xmpp::JidView peer, xmpp::Wire xml) {
    storage::LogEntry entry;
    entry.account = account.id();
    entry.id = id;
    entry.direction = direction;
    entry.peer = xmpp::Jid{peer};
    entry.stanza_type = known_type(stanza.type());
    entry.origin_id = stanza.id();
    entry.xml = std::move(xml);
    return entry;
}

}  // namespace

// A device's cursor may stand behind all that is still stored; and the clock may go backwards.
void AccountLog::open(storage::LogId last) {
    last_ = last;
    for (const storage::Device& device : account_.devices()) last_ = std::max(last_, device.cursor);
}

void AccountLog::add_device(storage::Device& device) {
    if (last_ <= device.cursor) return;
    device.cursor = last_;
    account_.worker().storage().messages().advance_cursor(account_.id(), device.id, last_);
}

storage::Device* AccountLog::device_of(const Session& session) { return account_.device(session.device()); }

// ---- writing -----------------------------------------------------------------------------------------------------------

storage::LogId AccountLog::reserve() {
    const auto now = static_cast<storage::LogId>(account_.worker().now().time_since_epoch().count());
    return last_ = std::max(last_ + 1, now);
}

AccountLog::~AccountLog() { account_.worker().loop.forget(*this); }

bool AccountLog::write(Passage& passage) {
    const bool is_incoming = passage.direction == storage::Direction::incoming;
    uncommitted_.push_back({passage.logged_as, passage.stanza, is_incoming});
    if (is_incoming && catching_up_) note_newer(passage.logged_as, passage.wire());
    if (is_incoming && passage.kept == Keep::until_delivered && may_all_get_it_now()) {
        uncommitted_.back().xml = passage.wire();
        uncommitted_.back().receipt = Receipt::current();
        uncommitted_.back().since = account_.worker().loop.now();
        uncommitted_.back().is_postponed = true;
        account_.worker().loop.after_output(*this);
        return true;
    }
    storage::LogEntry entry = entry_of(account_, passage.logged_as, passage.direction, passage.stanza, is_incoming ? passage.from : passage.to, passage.wire());
    entry.is_archived = passage.kept == Keep::in_archive;
    entry.words = std::move(passage.words);
    writing_ = entry.id;
    append(std::move(entry), Receipt::current());
    writing_ = 0;
    return !std::exchange(is_refused_, false);
}

void AccountLog::append(storage::LogEntry entry, std::shared_ptr<Receipt> receipt) {
    ++account_.worker().counters.logged;
    const storage::LogId id = entry.id;
    account_.worker().storage().messages().append(
        std::move(entry), [self = account_.shared_from_this(), id, held = std::move(receipt)](const storage::Result<void>& committed) { self->log.settled(id, committed, held.get()); });
}

// Whether every device has a client that takes messages as they come.
bool AccountLog::may_all_get_it_now() const {
    if (catching_up_ || account_.devices().empty()) return false;
    return std::ranges::all_of(account_.devices(), [this](const storage::Device& device) {
        return std::ranges::any_of(account_.sessions(), [&](const auto& session) {
            return session->stream() && session->is_caught_up() && session->takes_messages() && session->device() == device.id;
        });
    });
}

AccountLog::Uncommitted* AccountLog::find_uncommitted(storage::LogId entry) {
    const auto found = std::ranges::lower_bound(uncommitted_, entry, {}, &Uncommitted::entry);
    return found == uncommitted_.end() || found->entry != entry ? nullptr : &*found;
}

bool AccountLog::is_postponed(storage::LogId entry) {
    const Uncommitted* const found = find_uncommitted(entry);
    return found && found->is_postponed;
}

AccountLog::Uncommitted* AccountLog::next_postponed(storage::LogId after) {
    const auto from = std::ranges::upper_bound(uncommitted_, after, {}, &Uncommitted::entry);
    const auto found = std::find_if(from, uncommitted_.end(), [](const Uncommitted& each) { return each.is_postponed; });
    return found == uncommitted_.end() ? nullptr : &*found;
}

// What was sent is with the kernel, or cannot be yet. What has not reached every device is stored, unless it may well be
// acknowledged soon and nobody waits for it to be stored.
void AccountLog::on_end_of_turn() {
    Worker& worker = account_.worker();
    const bool may_wait = worker.config->messages.ack == "receive" && uncommitted_.size() <= most_postponed && may_all_get_it_now();
    write_postponed(may_wait ? worker.loop.now() - ack_patience : net::Duration::max());
    const Uncommitted* const oldest = next_postponed(0);
    if (patience_ && patience_->is_running()) return;
    if (!oldest) return patience_.reset();
    if (!patience_) patience_ = std::make_unique<net::Timer>();
    patience_->start(worker.loop, oldest->since + ack_patience - worker.loop.now(), [this] { on_end_of_turn(); });
}

void AccountLog::write_postponed(net::Duration since) {
    storage::LogId id = 0;
    while (Uncommitted* const each = next_postponed(id)) {
        id = each->entry;
        const bool has_arrived = !account_.devices().empty() && std::ranges::all_of(account_.devices(), [id](const storage::Device& device) { return device.cursor >= id; });
        if (!has_arrived && !each->receipt && each->since > since) continue;
        each->is_postponed = false;
        const auto receipt = std::move(each->receipt);
        if (has_arrived) {
            settled(id, storage::Result<void>{}, receipt.get());
            continue;
        }
        storage::LogEntry entry = entry_of(account_, id, storage::Direction::incoming, each->stanza, each->stanza.from(), std::move(each->xml));
        entry.is_archived = false;   // what is archived is never postponed
        append(std::move(entry), receipt);
        for (const storage::Device& device : account_.devices())
            if (device.cursor >= id) account_.worker().storage().messages().advance_cursor(account_.id(), device.id, device.cursor);
    }
}

void AccountLog::settled(storage::LogId entry, const storage::Result<void>& committed, Receipt* receipt) {
    Uncommitted* const found = find_uncommitted(entry);
    assert(found);
    const Uncommitted settled = std::move(*found);
    uncommitted_.erase(uncommitted_.begin() + (found - uncommitted_.data()));
    if (!committed) {
        Worker& worker = account_.worker();
        note_not_stored(worker, account_.jid().text(), committed.error());
        if (entry == writing_) {   // who writes it tells its sender
            is_refused_ = true;
            if (receipt) receipt->refuse();
        } else if (receipt ? receipt->refuse() : settled.is_incoming) {
            // Its sender's log may fail alone; who waits for no ack is told by the recipient's.
            worker.router.bounce(settled.stanza, settled.stanza.to(), not_stored);
        }
    }
    if (is_idle()) account_.worker().became_idle(account_);
}

// ---- cursors -----------------------------------------------------------------------------------------------------------

void AccountLog::delivered(Session& session, LogPlace place) {
    session.no_longer_outstanding(place.entry);
    storage::Device* const device = device_of(session);
    if (!device || place.entry <= device->cursor) return;
    auto& messages = account_.worker().storage().messages();
    if (place.in_turn && !is_owed_before(session, place.entry)) {
        device->cursor = place.entry;
        if (is_postponed(place.entry)) account_.worker().loop.after_output(*this);
        else messages.advance_cursor(account_.id(), session.device(), place.entry);
    } else {
        if (is_postponed(place.entry)) write_postponed(net::Duration::max());
        messages.mark_delivered(account_.id(), session.device(), place.entry);
    }
}

// Whether another session of the same device was sent something older, and may not have it.
bool AccountLog::is_owed_before(const Session& asking, storage::LogId entry) const {
    return std::ranges::any_of(account_.sessions(), [&](const auto& session) {
        if (session.get() == &asking || session->device() != asking.device()) return false;
        if (session->takes_messages() && !session->is_caught_up()) return true;   // it will be sent what is older
        return std::ranges::any_of(session->outstanding(), [entry](const Session::Outstanding& sent) { return sent.place.entry < entry; });
    });
}

storage::LogId AccountLog::cursor(const Session& session) {
    const storage::Device* const device = device_of(session);
    return device ? device->cursor : last_;
}

void AccountLog::ended(Session& session) {
    const auto sessions = account_.sessions();
    for (const auto& other : sessions) {
        if (other->device() != session.device() || !other->is_caught_up()) continue;
        other->backlog = Session::Backlog::unsent;
        if (other->takes_messages() && other->stream()) start(*other);
    }
}

// ---- catching up -------------------------------------------------------------------------------------------------------

void AccountLog::catch_up(Session& session) {
    if (session.backlog != Session::Backlog::unsent) return;
    const storage::Device* const device = device_of(session);
    if (device && device->reads_archive && device->cursor < last_ && !session.has_read_archive) return wait_for_client(session);
    start(session);
}

void AccountLog::start(Session& session) {
    session.archive_patience.reset();
    session.backlog = Session::Backlog::being_sent;
    const Receipt::Scope because_of_nothing{nullptr};   // an ack for the presence need not wait for all that it brings
    account_.worker().spawn("catching up", run_catch_up(session.shared_from_this()));
}

// XEP-0313 §6.1.1: what a client fetches by itself need not be sent to it.
void AccountLog::wait_for_client(Session& session) {
    session.backlog = Session::Backlog::fetched;
    if (!session.archive_patience) session.archive_patience = std::make_unique<net::Timer>();
    session.archive_patience->start(account_.worker().loop, archive_patience, [this, waiting = session.weak_from_this()] {
        const auto alive = waiting.lock();
        if (!alive || alive->backlog != Session::Backlog::fetched) return;
        if (!alive->stream()) {   // its client cannot ask now
            alive->backlog = Session::Backlog::unsent;
            return;
        }
        if (storage::Device* const device = device_of(*alive)) set_reads_archive(*device, false);
        start(*alive);
    });
}

void AccountLog::archive_read(Session& session, bool is_all) {
    if (storage::Device* const device = device_of(session)) set_reads_archive(*device, true);
    session.has_read_archive = session.has_read_archive || is_all;
    if (session.backlog != Session::Backlog::fetched) return;
    if (is_all) start(session);
    else wait_for_client(session);
}

void AccountLog::expects_archive(const Session& session) {
    if (storage::Device* const device = device_of(session)) set_reads_archive(*device, true);
}

void AccountLog::set_reads_archive(storage::Device& device, bool reads) {
    if (std::exchange(device.reads_archive, reads) == reads) return;
    account_.worker().spawn("storing who reads the archive", [](std::shared_ptr<Account> account, std::string id, bool does) -> storage::Task<void> {
        auto storing = account->worker().storage().accounts().set_reads_archive(account->id(), std::move(id), does);
        const auto stored = co_await storing;
        if (!stored) log::warn("who reads the archive is not stored", {{"jid", account->jid().text()}, {"why", stored.error().text}});
    }(account_.shared_from_this(), device.id, reads));
}

namespace {

std::vector<storage::LogId> entries_outstanding(const Session& session) {
    std::vector<storage::LogId> entries;
    for (const Session::Outstanding& sent : session.outstanding()) entries.push_back(sent.place.entry);
    std::ranges::sort(entries);
    return entries;
}

bool is_outstanding(const Session& session, storage::LogId entry) {
    return std::ranges::any_of(session.outstanding(), [entry](const Session::Outstanding& sent) { return sent.place.entry == entry; });
}

}  // namespace

AccountLog::CatchingUp::Scope::Scope(AccountLog& of) : log{of} {
    if (!log.catching_up_) log.catching_up_ = std::make_unique<CatchingUp>(CatchingUp{log.last_, {}, 0, 0});
    ++log.catching_up_->sessions;
}

AccountLog::CatchingUp::Scope::~Scope() {
    if (--log.catching_up_->sessions == 0) log.catching_up_.reset();
}

void AccountLog::note_newer(storage::LogId entry, const xmpp::Wire& xml) {
    CatchingUp& here = *catching_up_;
    here.newer.push_back({entry, xml});
    here.bytes += xml.size();
    if (here.bytes <= most_newer) return;
    here = {entry, {}, 0, here.sessions};   // these must be read
}

void AccountLog::send_newer(Session& session, storage::LogId after) {
    const auto newer = catching_up_->newer;   // what is sent may cause more
    for (const CatchingUp::Newer& each : newer) {
        if (each.entry <= after || is_outstanding(session, each.entry)) continue;
        storage::LogEntry entry;
        entry.id = each.entry;
        entry.xml = each.xml;
        send_entry(session, entry);
    }
}

storage::Task<void> AccountLog::run_catch_up(std::shared_ptr<Session> session) {
    const auto account = session->shared_account();  // keeps this log
    std::optional<CatchingUp::Scope> scope;
    Worker& worker = account->worker();
    auto& messages = worker.storage().messages();
    storage::LogId read_up_to = cursor(*session);

    while (session->takes_messages() && session->stream()) {
        write_postponed(net::Duration::max());   // it would not be found
        read_up_to = std::max(read_up_to, cursor(*session));  // what was on its way may have arrived since
        const storage::LogId horizon = last_;  // what comes after this is not in the answer for certain
        if (horizon <= read_up_to) co_return caught_up(*session, horizon);   // nothing waits: most logins
        if (!scope) scope.emplace(*this);
        const std::vector<storage::LogId> on_their_way = entries_outstanding(*session);   // whatever becomes of them meanwhile
        auto reading = messages.read_undelivered(account->id(), session->device(), read_up_to, catch_up_batch);
        auto entries = co_await reading;
        if (!entries) {
            log::warn("catching up waits", {{"jid", session->jid().text()}, {"why", entries.error().text}});
            co_await net::Sleep{worker.loop, catch_up_retry};
            continue;
        }
        // A hundred entries may be more than the session's outbox holds: they go out one by one.
        std::size_t count = 0;
        for (; count < entries->size() && session->takes_messages() && session->stream(); ++count) {
            const storage::LogEntry& entry = (*entries)[count];
            read_up_to = entry.id;
            if (std::ranges::binary_search(on_their_way, entry.id) || is_outstanding(*session, entry.id)) continue;
            send_entry(*session, entry);
            co_await session->drained(catch_up_unsent);
        }
        if (count < entries->size()) break;  // it has gone
        const bool is_all = count < catch_up_batch && storage::bytes_of(*entries) < storage::most_bytes_read;
        if (is_all && catching_up_->all_behind <= horizon && session->takes_messages() && session->stream()) {
            send_newer(*session, std::max(read_up_to, horizon));
            co_return caught_up(*session, last_);
        }
    }
    session->backlog = Session::Backlog::unsent;
}

// What its account sent is not for it: the cursor passes that, so that nobody looks through it again, and retention may have it.
void AccountLog::caught_up(Session& session, storage::LogId horizon) {
    session.backlog = Session::Backlog::sent;
    storage::Device* const device = device_of(session);
    if (!device || device->cursor >= horizon || !session.outstanding().empty() || is_owed_before(session, horizon + 1)) return;
    device->cursor = horizon;
    account_.worker().storage().messages().advance_cursor(account_.id(), device->id, horizon);
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
    session.send(&stored, xmpp::Wire{scratch}, {entry.id, true});
}

}  // namespace server
