// SPDX-License-Identifier: MIT
// A connected resource: its presence state, and the way out to its client.
#include "server/session.h"

#include <algorithm>

#include "server/account.h"
#include "server/log.h"
#include "server/session_state.h"
#include "server/stream.h"
#include "server/worker.h"
#include "xmpp/parser.h"

namespace server {

Session::Session(std::shared_ptr<Account> account, xmpp::Jid jid, xmpp::SharedText device, Stream* stream)
    : account_{std::move(account)},
      jid_{std::move(jid)},
      device_{std::move(device)},
      stream_{stream},
      slots_{account_->worker().host.session_slots},
      bound_at_{account_->worker().now()} {}

Session::~Session() = default;

Worker& Session::worker() const { return account_->worker(); }

void Session::set_available(const xmpp::Stanza& presence, int priority) {
    presence_ = presence;
    priority_ = static_cast<std::int16_t>(priority);
    available_ = true;
    if (priority < 0) stop_live();   // messages pass it by from now on: its device falls behind
}

void Session::set_unavailable() {
    presence_ = {};
    available_ = false;
    stop_live();
}

void Session::stop_live() {
    archive_patience.reset();
    if (backlog != Backlog::being_sent) backlog = Backlog::unsent;   // that ends by itself
}

std::set<xmpp::Jid>& Session::directed() {
    if (!directed_) directed_ = std::make_unique<std::set<xmpp::Jid>>();
    return *directed_;
}

// What is acknowledged later is kept by who waits for that. What else has not left is owed to the device again.
void Session::detach() {
    stream_ = nullptr;
    outstanding_.erase(outstanding_.begin(), outstanding_.begin() + static_cast<std::ptrdiff_t>(std::exchange(arrived_, 0)));
    const auto unsent = std::erase_if(outstanding_, [](const Outstanding& sent) { return !sent.is_acknowledged_later; });
    if (unsent > 0 && backlog == Backlog::sent) backlog = Backlog::unsent;
    on_drained();
    account_->log.lost();
}

void Session::send(const xmpp::Stanza* stanza, xmpp::Wire wire, LogPlace logged_as) {
    if (wire.size() == 0) return;   // nothing that a client could count
    Leaving leaving{*this, stanza, std::move(wire), logged_as};
    if (worker().host.leaving.ask(leaving).passes()) send_now(leaving);
}

void Session::send_xml(std::string_view xml) { send(nullptr, xmpp::Wire{xml}); }

void Session::send_now(Leaving& leaving) {
    if (leaving.logged_as && (stream_ || leaving.acknowledged_later)) outstanding_.push_back({leaving.logged_as, leaving.acknowledged_later});
    if (!stream_) return;
    Counters::count(worker().counters.sent, leaving.stanza ? leaving.stanza->kind() : xmpp::Kind::iq);   // without one: mostly answers
    stream_->send(std::move(leaving.wire));
}

void Session::no_longer_outstanding(storage::LogId entry) {
    const auto first = outstanding_.begin() + static_cast<std::ptrdiff_t>(arrived_);
    const auto found = std::find_if(first, outstanding_.end(), [entry](const Outstanding& sent) { return sent.place.entry == entry; });
    if (found == outstanding_.end()) return;
    if (found != first) outstanding_.erase(found);
    else if (++arrived_ * 2 > outstanding_.size()) {   // they arrive in order: moved up now and then
        outstanding_.erase(outstanding_.begin(), outstanding_.begin() + static_cast<std::ptrdiff_t>(arrived_));
        arrived_ = 0;
    }
}

void Session::on_flushed() {
    while (arrived_ < outstanding_.size() && !outstanding_[arrived_].is_acknowledged_later)
        account_->log.delivered(*this, outstanding_[arrived_].place);
}

Session::Drained Session::drained(std::size_t unsent) { return {*this, unsent}; }

bool Session::Drained::await_ready() const { return !session.stream_ || session.stream_->transport().unsent() < unsent; }

void Session::Drained::await_suspend(std::coroutine_handle<> waiter) {
    if (!session.waiting_for_drain_) session.waiting_for_drain_ = std::make_unique<std::vector<DrainWaiter>>();
    session.waiting_for_drain_->push_back({waiter, unsent});
}

void Session::on_drained() {
    if (!waiting_for_drain_) return;
    const std::shared_ptr<Session> self = shared_from_this();
    std::vector<DrainWaiter>& waiting = *waiting_for_drain_;
    for (std::size_t i = 0; i < waiting.size();) {
        if (stream_ && stream_->transport().unsent() >= waiting[i].unsent) {
            ++i;
            continue;
        }
        const std::coroutine_handle<> waiter = waiting[i].handle;
        waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
        waiter.resume();
    }
}

void Session::store(SessionState& state) const {
    state["log"] = {std::to_string(account_->log.last())};
    auto& texts = state["session"];
    texts = {std::to_string(bound_at_.time_since_epoch().count()), interested_ ? "interested" : "", backlog == Backlog::sent ? "sent" : "",
             has_read_archive ? "read archive" : "", std::to_string(priority_), {}};
    if (available_) presence_.write(texts.back(), {});
    if (!has_directed()) return;
    for (const xmpp::Jid& entity : *directed_) texts.push_back(entity.text());
}

void Session::restore(const SessionState& state) {
    const SessionState::Texts* const texts = state.find("session");
    if (!texts || texts->size() < 6) return;
    bound_at_ = storage::Time{std::chrono::microseconds{number_of<std::int64_t>((*texts)[0])}};
    interested_ = !(*texts)[1].empty();
    has_read_archive = !(*texts)[3].empty();
    if (const xmpp::Stanza presence = xmpp::parse_or_empty((*texts)[5])) set_available(presence, number_of<int>((*texts)[4]));
    // What comes in while nobody has resumed it is for stream management to keep, unless it has to catch up first: with
    // what it lacked before, or with what was logged after this was stored.
    const SessionState::Texts* const log = state.find("log");
    const bool is_all_there = log && !log->empty() && number_of<storage::LogId>(log->front()) >= account_->log.last();
    if (!(*texts)[2].empty() && takes_messages() && is_all_there) backlog = Backlog::sent;
    for (std::size_t i = 6; i < texts->size(); ++i)
        if (auto entity = xmpp::Jid::parse((*texts)[i])) directed().insert(std::move(*entity));
}

void Session::finish() {
    if (std::exchange(is_finished_, true)) return;
    const std::shared_ptr<Account> account = account_;
    const std::shared_ptr<Session> self = shared_from_this();
    worker().presence.session_lost(*this);
    worker().host.ended.tell(*this);
    account->remove(*this);
    account->log.ended(*this);
    log::info("session ended", {{"jid", jid_.text()}});
}

void Session::end(xmpp::StreamError error) {
    if (stream_) stream_->close(std::move(error));
    else finish();
}

}  // namespace server
