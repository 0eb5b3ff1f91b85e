// SPDX-License-Identifier: MIT
// One try at a piece of work, and what its end says about the connection.
#include "storage/sql/seat.h"

namespace storage::sql {

void Health::note(const std::optional<Error>& error) {
    if (error && error->kind == Error::Kind::lost) {
        // Servers close connections that were idle. Whether it is more than that, the next one shows.
        log("warning", "a connection to the database was lost: " + error->text);
    } else if (error && error->kind == Error::Kind::unreachable) {
        if (good_.exchange(false)) log("error", "the database cannot be used: " + error->text);
    } else {
        if (!good_.load(std::memory_order_relaxed) && !good_.exchange(true))
            log("info", "the database can be used again");
        if (error && error->kind == Error::Kind::full) note_full(error->text);
    }
}

void Health::note_full(const std::string& text) {
    const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
    const std::int64_t now = std::chrono::duration_cast<std::chrono::seconds>(since_start).count();
    std::int64_t last = full_said_.load();
    if (last != 0 && now - last < 60) return;  // every write would say it
    if (full_said_.compare_exchange_strong(last, now))
        log("error", "the database has no space left: " + text);
}

std::optional<Error> Seat::connect() {
    if (place_->connection) return std::nullopt;
    auto connected = connector_->connect(purpose_);
    if (!connected) return connected.error();
    place_->connection = std::move(*connected);
    return std::nullopt;
}

// A server that only lets itself be read says so to the sessions that it has; another may be the one to write to by now.
// A database in memory goes with its connection.
bool Seat::is_useless(Error::Kind kind) const {
    return kind == Error::Kind::lost || (kind == Error::Kind::unreachable && !connector_->is_single());
}

Seat::Outcome Seat::attempt(Access access, Work& work) {
    std::unique_lock<std::mutex> turn;
    if (turn_) turn = std::unique_lock{*turn_};
    Outcome outcome;
    outcome.error = connect();
    if (!outcome.error) outcome = run(access, work);
    health_->note(outcome.error);
    if (outcome.error && is_useless(outcome.error->kind)) place_->connection.reset();
    return outcome;
}

Seat::Outcome Seat::run(Access access, Work& work) {
    Connection& connection = *place_->connection;
    Outcome outcome;
    const auto limit = work.time_limit();
    if (limit) connection.limit_time(limit);
    if (access == Access::transact) connection.begin();
    const bool keep = !connection.failed() && work.run(connection);
    if (access == Access::transact) {
        if (connection.failed() || !keep) {
            connection.rollback();
        } else {
            connection.commit();
            outcome.is_unknown = connection.failed();
            if (connection.failed()) connection.rollback();
        }
    }
    outcome.error = connection.take_error();
    const bool is_lost = outcome.error && outcome.error->kind == Error::Kind::lost;
    if (limit && !is_lost) connection.limit_time(std::nullopt);
    if (auto more = connection.take_error()) outcome.error.emplace(Error::Kind::lost, std::move(more->text));   // others shall not have its limit
    outcome.is_unknown = is_lost && (outcome.is_unknown || access == Access::set);
    return outcome;
}

}  // namespace storage::sql
