// SPDX-License-Identifier: MIT
// Storing and restoring sessions around a restart.
#include "server/restart.h"

#include "server/account.h"
#include "server/log.h"
#include "server/server.h"
#include "server/worker.h"

namespace server {

constexpr std::size_t loads_at_once = 8;              // accounts, per worker
constexpr std::size_t in_one_transaction = 500;       // sessions
constexpr std::size_t longest_state = 4U << 20U;      // bytes; what is longer is not stored, its messages are in the log
constexpr std::chrono::seconds patience{30}, pause{1};   // with a database that does not answer, and between two tries

// ---- going down --------------------------------------------------------------------------------------------------------

namespace {

std::vector<storage::StoredSession> kept_sessions(Worker& worker) {
    std::vector<storage::StoredSession> kept;
    worker.for_each_account([&](const Account& account) {
        const auto sessions = account.sessions();
        for (const auto& session : sessions) {
            if (session->stream()) continue;   // no module keeps it
            SessionState state;
            session->store(state);
            worker.presence.store(*session, state);
            worker.host.storing.tell(*session, state);
            storage::StoredSession stored{account.id(), session->jid(), session->device(), state.bytes()};
            if (stored.state.size() <= longest_state) kept.push_back(std::move(stored));
            else log::warn("a session is too big to be stored", {{"jid", session->jid().text()}, {"bytes", std::to_string(stored.state.size())}});
        }
    });
    return kept;
}

}  // namespace

storage::Task<void> Restart::store(Worker& worker) {
    std::vector<storage::StoredSession> kept = kept_sessions(worker);
    for (std::size_t done = 0; done < kept.size(); done += in_one_transaction) {
        const auto from = kept.begin() + static_cast<std::ptrdiff_t>(done);
        const auto to = kept.begin() + static_cast<std::ptrdiff_t>(std::min(done + in_one_transaction, kept.size()));
        auto putting = worker.storage().stored_sessions().put(std::vector<storage::StoredSession>(std::make_move_iterator(from), std::make_move_iterator(to)));
        const auto stored = co_await putting;
        if (stored) continue;
        log::warn("sessions not stored", {{"count", std::to_string(kept.size() - done)}, {"why", stored.error().text}});
        co_return;
    }
    if (!kept.empty()) log::info("sessions stored", {{"worker", std::to_string(worker.index)}, {"count", std::to_string(kept.size())}});
}

// ---- coming up ---------------------------------------------------------------------------------------------------------

namespace {

void restore(const std::shared_ptr<Account>& account, const storage::StoredSession& stored) {
    const auto state = SessionState::parse(stored.state);
    if (!state) return log::error("a stored session cannot be read", {{"jid", stored.jid.text()}});
    // Its device may have been revoked meanwhile.
    if (!account->device(stored.device) || account->session(stored.jid.resourcepart())) return;
    Worker& worker = account->worker();
    const auto session = std::make_shared<Session>(account, stored.jid, stored.device, nullptr);
    account->add(session);
    session->restore(*state);
    worker.presence.restore(*session, *state);
    worker.host.restored.tell(*session, *state);
}

}  // namespace

storage::Task<storage::Result<void>> Restart::read() {
    auto reading = server_.storage().stored_sessions().all();
    auto stored = co_await reading;
    if (!stored) co_return storage::Failure{stored.error()};
    if (stored->empty()) co_return storage::Result<void>{};
    log::info("stored sessions found", {{"count", std::to_string(stored->size())}});
    waiting_.resize(server_.workers().size());
    for (auto& each : waiting_) each = std::make_shared<Waiting>();
    for (storage::StoredSession& session : *stored) {
        const Worker& home = server_.worker_of(session.jid.bare().text());
        waiting_[home.index]->push_back(std::move(session));
    }
    co_return storage::Result<void>{};
}

void Restart::begin() {
    const auto all = std::exchange(waiting_, {});
    patience_ends_ = server_.workers().front()->now() + patience;
    std::vector<std::size_t> loads;   // counted before the first worker takes one away
    for (const auto& here : all) at_work_ += loads.emplace_back(std::min(loads_at_once, here->size()));
    for (std::size_t index = 0; index < all.size(); ++index) {
        Worker* const worker = server_.workers()[index].get();
        for (std::size_t i = 0; i < loads[index]; ++i)
            worker->loop.post([this, worker, here = all[index]] { worker->spawn("restoring sessions", restore_each(*worker, here)); });
    }
}

bool Restart::wait() const {
    for (std::size_t left = at_work_; left > 0; left = at_work_) at_work_.wait(left);
    return is_removed_;
}

storage::Task<void> Restart::remove() {
    auto clearing = server_.storage().stored_sessions().clear();
    const auto cleared = co_await clearing;
    is_removed_ = cleared.ok();
    if (!cleared) log::error("stored sessions not removed", {{"why", cleared.error().text}});
}

// The account was there when its sessions were read: a database that does not answer for a moment costs none of them.
storage::Task<std::shared_ptr<Account>> Restart::load(Worker& worker, xmpp::Jid bare) const {
    for (;;) {
        auto loading = worker.load(bare);
        std::shared_ptr<Account> account = co_await loading;
        if (account || worker.now() >= patience_ends_) co_return account;
        co_await net::Sleep{worker.loop, pause};
    }
}

storage::Task<void> Restart::restore_each(Worker& worker, std::shared_ptr<Waiting> waiting) {
    while (!waiting->empty()) {
        const storage::StoredSession stored = std::move(waiting->front());
        waiting->pop_front();
        auto loading = load(worker, xmpp::Jid{stored.jid.bare()});
        const std::shared_ptr<Account> account = co_await loading;
        if (account) restore(account, stored);
        else log::warn("a stored session is lost", {{"jid", stored.jid.text()}});
    }
    if (++ended_ == at_work_) {   // the last one
        auto removing = remove();
        co_await removing;
        at_work_ = 0;
        at_work_.notify_all();
    }
}

}  // namespace server
