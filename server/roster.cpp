// SPDX-License-Identifier: MIT
// RFC 6121 §2: the roster in memory, its versions and tombstones, and roster pushes.
#include "server/roster.h"

#include <algorithm>
#include <charconv>

#include "server/account.h"
#include "server/config.h"
#include "server/log.h"
#include "server/worker.h"
#include "xmpp/namespaces.h"

namespace server {

using storage::RosterItem;
using storage::Subscription;
using xmpp::JidView;

namespace {

// Removals remembered for roster versioning. Beyond `most_tombstones` the oldest go, until `tombstones_kept` are left;
// a client whose version lies behind them is sent the whole roster.
constexpr std::size_t most_tombstones = 100;
constexpr std::size_t tombstones_kept = 50;

constexpr std::size_t most_bytes = 4U << 20U;   // of what clients see, in one roster

std::size_t size_of(const RosterItem& item) {
    std::size_t size = item.jid.text().size() + item.name.size();
    for (const std::string& group : item.groups) size += group.size();
    return size;
}

// Whether clients see a difference. An item that was set to what it is already counts: its client waits for the push.
bool is_news(const RosterItem* was, const RosterItem& item) {
    if (!was || !was->in_roster || !item.in_roster) return item.in_roster || (was && was->in_roster);
    const bool same = was->name == item.name && was->subscription == item.subscription && was->ask == item.ask &&
                      was->approved == item.approved && was->groups == item.groups;
    // RFC 6121 appendix A.1: "Pending In" is never shown to clients.
    const bool only_request = was->pending_in != item.pending_in || was->request != item.request;
    return !same || !only_request;
}

}  // namespace

std::string_view to_string(Subscription subscription) {
    switch (subscription) {
        case Subscription::none: return "none";
        case Subscription::to: return "to";
        case Subscription::from: return "from";
        case Subscription::both: return "both";
    }
    return "none";
}

void Roster::open(std::vector<RosterItem> items) {
    // What a client knows from before that is the roster of another account, which had the address.
    version_ = forgotten_ = static_cast<std::uint64_t>(account_.record().created.time_since_epoch().count());
    for (RosterItem& item : items) {
        version_ = std::max(version_, item.version);
        // The account itself is never its own contact; the item that bears its address tells up to which version
        // tombstones have been dropped.
        if (item.jid == account_.jid()) {
            forgotten_ = std::max(forgotten_, item.version);
            continue;
        }
        take_over(std::move(item));
    }
}

bool Roster::is_tombstone(const RosterItem& item) { return item.removed && !item.in_roster && !item.pending_in; }

const RosterItem* Roster::find(JidView bare) const {
    const auto found = items_.find(bare);
    return found == items_.end() || is_tombstone(found->second) ? nullptr : &found->second;
}

std::size_t Roster::requests() const {
    return static_cast<std::size_t>(std::count_if(items_.begin(), items_.end(), [](const auto& entry) {
        return entry.second.pending_in && !entry.second.in_roster;
    }));
}

bool Roster::has_room_for(const RosterItem& item) const {
    const RosterItem* const known = find(item.jid);
    const bool is_in_roster = known && known->in_roster;
    if (!is_in_roster && shown_ >= account_.worker().config->limits.roster_items) return false;
    const std::size_t before = is_in_roster ? size_of(*known) : 0, after = size_of(item);
    return after <= before || bytes_ - before + after <= most_bytes;
}

bool Roster::sends_presence_to(JidView bare) const {
    const RosterItem* const item = find(bare);
    return item && (item->subscription == Subscription::from || item->subscription == Subscription::both);
}

bool Roster::receives_presence_from(JidView bare) const {
    const RosterItem* const item = find(bare);
    return item && (item->subscription == Subscription::to || item->subscription == Subscription::both);
}

// ---- changes -----------------------------------------------------------------------------------------------------------

storage::Task<storage::Result<bool>> Roster::store(RosterItem item) {
    const auto known = items_.find(item.jid.view());
    const RosterItem* const was = known == items_.end() ? nullptr : &known->second;
    const bool news = is_news(was, item);
    item.removed = !item.in_roster && was && (was->in_roster || was->removed);
    item.version = was ? was->version : 0;
    if (!item.in_roster) {
        item.name.clear();
        item.groups.clear();
    }
    // RFC 6121 §2.6.1: strictly rising. Following the clock, it rises even where the account was made anew.
    const auto now = static_cast<std::uint64_t>(account_.worker().now().time_since_epoch().count());
    if (news) item.version = std::max(version_ + 1, now);

    auto& rosters = account_.worker().storage().rosters();
    if (!item.in_roster && !item.removed && !item.pending_in) {
        auto forgotten = co_await rosters.forget(account_.id(), item.jid);
        if (!forgotten) co_return xmpp::Failure{forgotten.error()};
        if (const auto at = items_.find(item.jid.view()); at != items_.end()) erase(at);
        co_return news;
    }
    auto stored = co_await rosters.put(account_.id(), item);
    if (!stored) co_return xmpp::Failure{stored.error()};
    const bool is_removal = news && item.removed;
    take_over(std::move(item));
    if (is_removal) {
        auto dropping = drop_old_tombstones();
        co_await dropping;
    }
    co_return news;
}

storage::Task<storage::Result<void>> Roster::change(RosterItem item) {
    const xmpp::Jid bare = item.jid;
    auto storing = store(std::move(item));
    auto stored = co_await storing;
    if (!stored) co_return xmpp::Failure{stored.error()};
    if (*stored) push(bare);
    co_return storage::Result<void>{};
}

void Roster::take_over(RosterItem item) {
    version_ = std::max(version_, item.version);
    const auto [at, is_new] = items_.try_emplace(item.jid);
    if (!is_new) count_no_more(at->second);
    count(item);
    at->second = std::move(item);
}

void Roster::count(const RosterItem& item) {
    if (!item.in_roster) return;
    ++shown_;
    bytes_ += size_of(item);
}

void Roster::count_no_more(const RosterItem& item) {
    if (!item.in_roster) return;
    --shown_;
    bytes_ -= size_of(item);
}

// Somebody may be visiting the items: then they go later, and count as tombstones until then.
void Roster::erase(Items::iterator at) {
    count_no_more(at->second);
    if (visitors_ == 0) {
        items_.erase(at);
        return;
    }
    at->second.in_roster = at->second.pending_in = false;
    at->second.removed = true;
    at->second.version = 0;
    needs_sweep_ = true;
}

void Roster::sweep() {
    if (!std::exchange(needs_sweep_, false)) return;
    std::erase_if(items_, [](const auto& entry) { return is_tombstone(entry.second) && entry.second.version == 0; });
}

storage::Task<void> Roster::drop_old_tombstones() {
    std::vector<std::pair<std::uint64_t, xmpp::Jid>> tombstones;
    for (const auto& [jid, item] : items_)
        if (is_tombstone(item) && item.version != 0) tombstones.emplace_back(item.version, jid);
    if (tombstones.size() <= most_tombstones) co_return;
    std::sort(tombstones.begin(), tombstones.end());
    tombstones.resize(tombstones.size() - tombstones_kept);

    // First the mark, then they go: a failure in between costs a client a whole roster, never a removal that it misses.
    RosterItem mark;
    mark.jid = account_.jid();
    mark.in_roster = false;
    mark.removed = true;
    mark.version = tombstones.back().first;
    auto& rosters = account_.worker().storage().rosters();
    auto marked = co_await rosters.put(account_.id(), mark);
    if (!marked) {
        log::warn("old roster tombstones not dropped", {{"jid", account_.jid().text()}, {"why", marked.error().text}});
        co_return;
    }
    forgotten_ = mark.version;
    for (const auto& [version, jid] : tombstones) {
        auto forgotten = co_await rosters.forget(account_.id(), jid);
        if (!forgotten) {
            log::warn("old roster tombstones not dropped", {{"jid", account_.jid().text()}, {"why", forgotten.error().text}});
            co_return;
        }
        if (const auto at = items_.find(jid.view()); at != items_.end()) erase(at);
    }
}

// ---- what clients are told ---------------------------------------------------------------------------------------------

void write_roster_item(xmpp::XmlWriter& w, const RosterItem& item) {
    w.open("item").attr("jid", item.jid.text());
    if (!item.in_roster) {
        w.attr("subscription", "remove").close();
        return;
    }
    w.attr_if("name", item.name).attr("subscription", to_string(item.subscription));
    if (item.ask) w.attr("ask", "subscribe");           // RFC 6121 §2.1.2.2
    if (item.approved) w.attr("approved", "true");      // RFC 6121 §2.1.2.1
    for (const std::string& group : item.groups) w.leaf("group", group);
    w.close();
}

void Roster::push(JidView bare) {
    const auto at = items_.find(bare);
    if (at == items_.end()) return;
    const RosterItem item = at->second;
    const auto sessions = account_.sessions();  // a copy: sending may end one
    for (const auto& session : sessions)
        if (session->is_interested()) push_to(*session, item);
}

// RFC 6121 §2.1.6: without a 'from', with an id of its own. §2.6.3: with the version of the change.
void Roster::push_to(Session& session, const RosterItem& item) {
    xmpp::XmlWriter w;
    w.open("iq").attr("type", "set").attr("id", "push-" + std::to_string(++pushes_)).attr("to", session.jid().text());
    w.open("query", xmpp::ns::roster).attr("ver", item.version);
    write_roster_item(w, item);
    session.send_xml(w.take());
}

std::optional<std::vector<const RosterItem*>> Roster::changes_since(std::string_view known) const {
    std::uint64_t version = 0;
    const auto [end, error] = std::from_chars(known.data(), known.data() + known.size(), version);
    if (error != std::errc{} || end != known.data() + known.size()) return std::nullopt;
    if (version > version_ || version < forgotten_) return std::nullopt;
    std::vector<const RosterItem*> changes;
    for (const auto& [jid, item] : items_)
        if (item.version > version) changes.push_back(&item);
    std::sort(changes.begin(), changes.end(), [](const auto* a, const auto* b) { return a->version < b->version; });
    return changes;
}

// ---- turns -------------------------------------------------------------------------------------------------------------

Roster::TurnAwaiter Roster::turn() { return TurnAwaiter{*this}; }

bool Roster::TurnAwaiter::await_ready() const noexcept {
    ++roster.account_.busy;
    return !std::exchange(roster.turn_taken_, true);
}

void Roster::TurnAwaiter::await_suspend(std::coroutine_handle<> waiter) { roster.waiting_.push_back(waiter); }

Roster::Turn::~Turn() {
    if (!roster_) return;
    Account& account = roster_->account_;
    if (roster_->waiting_.empty()) {
        roster_->turn_taken_ = false;
        if (--account.busy == 0) account.worker().became_idle(account);
        return;
    }
    // It stays taken: the next one has it. By the mailbox, so that many who wait do not pile up on the stack.
    const std::coroutine_handle<> next = roster_->waiting_.front();
    roster_->waiting_.erase(roster_->waiting_.begin());
    --account.busy;
    account.worker().loop.post([next] { next.resume(); });
}

}  // namespace server
