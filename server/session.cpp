// SPDX-License-Identifier: MIT
// A connected resource: its presence state, and the way out to its client.
#include "server/session.h"

#include <algorithm>

#include "server/account.h"
#include "server/log.h"
#include "server/stream.h"
#include "server/worker.h"

namespace server {

Session::Session(std::shared_ptr<Account> account, xmpp::Jid jid, std::string device, Stream* stream)
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
    if (priority < 0) is_caught_up = false;  // messages pass it by from now on: its device falls behind
}

void Session::set_unavailable() {
    presence_ = {};
    available_ = false;
    is_caught_up = false;
}

std::set<xmpp::Jid>& Session::directed() {
    if (!directed_) directed_ = std::make_unique<std::set<xmpp::Jid>>();
    return *directed_;
}

void Session::send(const xmpp::Stanza* stanza, xmpp::Wire wire, storage::LogId logged_as) {
    if (is_catching_up || is_caught_up) sent_up_to_ = std::max(sent_up_to_, logged_as);
    Leaving leaving{*this, stanza, std::move(wire), logged_as};
    if (worker().host.leaving.ask(leaving).passes()) send_now(leaving);
}

void Session::send_xml(std::string_view xml) { send(nullptr, xmpp::Wire{xml}); }

void Session::send_now(Leaving& leaving) {
    if (!stream_) return;
    if (leaving.logged_as != 0 && !leaving.acknowledged_later) unflushed_.push_back(leaving.logged_as);
    stream_->send(std::move(leaving.wire));
}

void Session::on_flushed() {
    if (unflushed_.empty()) return;
    for (const storage::LogId entry : unflushed_) account_->log.delivered(*this, entry);
    unflushed_.clear();
}

Session::Drained Session::drained(std::size_t unsent) { return {*this, unsent}; }

bool Session::Drained::await_ready() const { return !session.stream_ || session.stream_->transport().unsent() < unsent; }

void Session::Drained::await_suspend(std::coroutine_handle<> waiter) {
    session.waiting_for_drain_ = waiter;
    session.drain_below_ = unsent;
}

void Session::on_drained() {
    if (!waiting_for_drain_ || (stream_ && stream_->transport().unsent() >= drain_below_)) return;
    std::exchange(waiting_for_drain_, nullptr).resume();
}

void Session::finish() {
    const std::shared_ptr<Account> account = account_;
    const std::shared_ptr<Session> self = shared_from_this();
    worker().presence.session_lost(*this);
    worker().host.ended.tell(*this);
    account->remove(*this);
    log::info("session ended", {{"jid", jid_.text()}});
}

void Session::end(xmpp::StreamError error) {
    if (stream_) stream_->close(std::move(error));
    else finish();
}

}  // namespace server
