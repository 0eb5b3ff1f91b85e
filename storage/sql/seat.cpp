// SPDX-License-Identifier: MIT
// One try at a piece of work, and what its end says about the connection.
#include "storage/sql/seat.h"

namespace storage::sql {

void Health::answered() {
    if (!good_.load(std::memory_order_relaxed) && !good_.exchange(true)) log("info", "the database answers again");
}

void Health::unanswered(std::string_view why) {
    if (good_.exchange(false)) log("error", "the database does not answer: " + std::string{why});
}

std::optional<Error> Seat::connect() {
    if (place_->connection) return std::nullopt;
    auto connected = connector_->connect(purpose_);
    if (!connected) return connected.error();
    place_->connection = std::move(*connected);
    return std::nullopt;
}

Seat::Outcome Seat::attempt(Access access, Work& work) {
    std::unique_lock<std::mutex> turn;
    if (turn_) turn = std::unique_lock{*turn_};
    Outcome outcome;
    outcome.error = connect();
    if (!outcome.error) outcome = run(access, work);
    if (!outcome.error || outcome.error->is_of_the_row() || outcome.error->kind == Error::Kind::busy) {
        health_->answered();
        return outcome;
    }
    health_->unanswered(outcome.error->text);
    if (outcome.error->kind == Error::Kind::lost) place_->connection.reset();
    return outcome;
}

Seat::Outcome Seat::run(Access access, Work& work) {
    Connection& connection = *place_->connection;
    Outcome outcome;
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
    outcome.is_unknown = is_lost && (outcome.is_unknown || access == Access::set);
    return outcome;
}

}  // namespace storage::sql
