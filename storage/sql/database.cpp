// SPDX-License-Identifier: MIT
// Who sits where: MySQL gives every thread a connection of its own; SQLite has one writer at a time and
// readers beside it; a database in memory is one connection that all share in turn.
#include "storage/sql/database.h"

namespace storage::sql {

namespace {

// Of SQLite, where a change of threads costs as much as some reads, and a commit as much as many changes.
constexpr std::size_t reads_together = 8, writes_together = 64;

std::vector<Seat> seats(std::size_t count, const Seat& like) {
    std::vector<Seat> result;
    for (std::size_t i = 0; i < count; ++i) result.push_back(like);
    return result;
}

}  // namespace

Database::Database(Options options, std::unique_ptr<Connector> connector, std::unique_ptr<Connection> first)
    : options_{std::move(options)}, connector_{std::move(connector)}, health_{options_.log} {
    using Purpose = Connector::Purpose;
    const std::size_t count = std::max<std::size_t>(options_.connections, 1);
    const auto fresh = [&](Purpose purpose, const std::shared_ptr<std::mutex>& turn = {}) {
        return Seat{*connector_, purpose, health_, turn};
    };
    const auto hand_on = [this](Request& request) {
        if (!submit(request)) request.finish();
    };
    if (!connector_->is_single() && !options_.run_inline) first.reset();
    const auto turn = std::make_shared<std::mutex>();
    if (options_.run_inline || connector_->is_single()) {
        auto place = std::make_shared<Seat::Place>();
        place->connection = std::move(first);
        const Seat shared{*connector_, Purpose::write, health_, turn, std::move(place)};
        log_ = std::make_unique<GroupCommit>(options_, shared, hand_on);
        if (options_.run_inline) {
            inline_seat_ = std::make_unique<Seat>(shared);
        } else {
            writers_ = std::make_unique<Pool>("sql", seats(1, shared), options_.waiting);
        }
    } else if (connector_->dialect() == Dialect::sqlite) {
        log_ = std::make_unique<GroupCommit>(options_, fresh(Purpose::write, turn), hand_on);
        writers_ =
            std::make_unique<Pool>("sql writes", seats(1, fresh(Purpose::write, turn)), options_.waiting, writes_together);
        std::vector<Seat> readers;
        for (std::size_t i = 0; i < count; ++i) readers.push_back(fresh(Purpose::read));
        readers_ = std::make_unique<Pool>("sql reads", std::move(readers), options_.waiting, reads_together);
    } else {
        log_ = std::make_unique<GroupCommit>(options_, fresh(Purpose::write), hand_on);
        std::vector<Seat> all;
        for (std::size_t i = 0; i < count; ++i) all.push_back(fresh(Purpose::write));
        writers_ = std::make_unique<Pool>("sql", std::move(all), options_.waiting);
    }
}

Database::~Database() { close(); }

void Database::close() {
    // The log first: requests that wait for it go on to the pools, which work them off before they end.
    log_->finish();
    readers_.reset();
    writers_.reset();
}

bool Database::submit(Request& request) {
    const bool only_reads = request.access == Access::read || request.access == Access::search;
    Pool* const pool = only_reads && readers_ ? readers_.get() : writers_.get();
    if (pool && pool->submit(request)) return true;
    request.fail({StorageError::Kind::unavailable, pool ? "too many wait for a connection to the database" : "the storage is closed"});
    return false;
}

void Database::do_inline(Request& request) {
    request.deadline = Clock::now();
    perform(request, *inline_seat_, [](std::chrono::milliseconds) { return false; });
}

std::vector<QueueDepth> Database::queues() const {
    std::vector<QueueDepth> all;
    if (writers_) all.push_back(writers_->depth());
    if (readers_) all.push_back(readers_->depth());
    all.push_back(log_->depth());
    return all;
}

}  // namespace storage::sql
