// SPDX-License-Identifier: MIT
// The pool's threads, and which failures are worth another try.
#include "storage/sql/pool.h"

#include <algorithm>

namespace storage::sql {

namespace {

constexpr int most_tries_when_busy = 10;
constexpr std::chrono::milliseconds first_pause{20}, longest_pause{500};

}  // namespace

void perform(Request& request, Seat& seat, const std::function<bool(std::chrono::milliseconds)>& pause) {
    int busy = 0, lost = 0;
    auto delay = first_pause;
    for (;;) {
        Seat::Outcome outcome = seat.attempt(request.access, request);
        if (!outcome.error) return;
        const auto kind = outcome.error->kind;
        if (kind == Error::Kind::busy && ++busy < most_tries_when_busy) continue;
        // A transaction that may have been committed is not done again: the caller must look.
        if (kind == Error::Kind::lost && !(outcome.is_unknown && request.access == Access::transact) &&
            ++lost < 3)
            continue;
        if (kind == Error::Kind::unreachable && Clock::now() + delay < request.deadline && pause(delay)) {
            delay = std::min(delay * 2, longest_pause);
            continue;
        }
        if (outcome.is_unknown) outcome.error->text += " (it may have been done)";
        request.fail(to_storage_error(*outcome.error));
        return;
    }
}

Pool::Pool(std::string name, std::vector<Seat> seats, std::size_t waiting, std::size_t together)
    : name_{std::move(name)}, bound_{waiting}, together_{together}, seats_{std::move(seats)} {
    threads_.reserve(seats_.size());
    for (Seat& seat : seats_) threads_.emplace_back([this, &seat] { work(seat); });
}

Pool::~Pool() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_all();
    stopped_.notify_all();
    threads_.clear();
}

bool Pool::submit(Request& request) {
    const bool is_search = request.access == Access::search;
    bool wake = false;
    {
        const std::lock_guard lock{mutex_};
        if (waiting_.size() + searches_.size() >= bound_) return false;
        if (is_search && searches_.size() >= std::max<std::size_t>(bound_ / 10, 1)) return false;
        (is_search ? searches_ : waiting_).push_back(&request);
        high_water_ = std::max<std::uint64_t>(high_water_, waiting_.size() + searches_.size() + in_work_);
        wake = asleep_ > 0 && has_work() && !std::exchange(woken_, true);
    }
    if (wake) wake_.notify_one();
    return true;
}

QueueDepth Pool::depth() const {
    const std::lock_guard lock{mutex_};
    QueueDepth depth;
    depth.name = name_;
    depth.depth = waiting_.size() + searches_.size() + in_work_;
    depth.high_water = high_water_;
    for (const auto* const queue : {&waiting_, &searches_}) {
        if (queue->empty()) continue;
        const auto age = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - queue->front()->asked);
        depth.oldest = std::max(depth.oldest, age);
    }
    return depth;
}

void Pool::work(Seat& seat) {
    seat.connector().thread_begins();
    const Pause pause = [this](std::chrono::milliseconds d) { return this->pause(d); };
    std::unique_lock lock{mutex_};
    for (;;) {
        while (!stopping_ && !has_work()) {
            ++asleep_;
            wake_.wait(lock);
            --asleep_;
            woken_ = false;
        }
        if (!has_work()) break;
        const std::vector<Request*> batch = take();
        const bool is_search = batch.front()->access == Access::search;
        lock.unlock();
        perform(batch, seat, pause);
        lock.lock();
        if (is_search) --searching_;
        in_work_ -= batch.size();  // not before the answers are in the mailbox: an orderly end waits for that
    }
    lock.unlock();
    seat.leave();
    seat.connector().thread_ends();
}

// In turn with the others, so long as other threads are left for these. At the end all are worked on.
bool Pool::is_search_next() const {
    if (searches_.empty() || (!stopping_ && searching_ >= std::max<std::size_t>(seats_.size() / 2, 1))) return false;
    return waiting_.empty() || searches_.front()->asked < waiting_.front()->asked;
}

void Pool::wake_another() {
    if (has_work() && asleep_ > 0 && !std::exchange(woken_, true)) wake_.notify_one();
}

// Under the lock, from the front: requests keep their order.
std::vector<Request*> Pool::take() {
    if (is_search_next()) {
        Request* const search = searches_.front();
        searches_.pop_front();
        ++searching_;
        ++in_work_;
        wake_another();
        return {search};
    }
    const bool are_reads = waiting_.front()->access == Access::read;
    // Of reads only its share: a slow one shall not keep back what another thread could answer.
    const std::size_t most = are_reads ? std::min(together_, (waiting_.size() + asleep_) / (asleep_ + 1)) : together_;
    std::vector<Request*> batch;
    while (!waiting_.empty() && batch.size() < most && (waiting_.front()->access == Access::read) == are_reads) {
        batch.push_back(waiting_.front());
        waiting_.pop_front();
    }
    in_work_ += batch.size();
    wake_another();
    return batch;
}

namespace {

// One transaction for all. What one of them finds out about its rows, and takes back, is no failure of the others.
class Together final : public Work {
public:
    explicit Together(const std::vector<Request*>& requests) : requests_{requests} {}
    bool run(Connection& connection) override {
        return std::ranges::all_of(requests_, [&](Request* request) { return run_one(connection, *request); });
    }

private:
    static bool run_one(Connection& connection, Request& request) {
        if (request.access == Access::transact) connection.execute("SAVEPOINT one");
        const bool keep = !connection.failed() && request.run(connection);
        if (request.access == Access::transact && !connection.failed()) {
            if (!keep) connection.execute("ROLLBACK TO one");
            connection.execute("RELEASE one");
        }
        return !connection.failed();
    }

    const std::vector<Request*>& requests_;
};

}  // namespace

// Each is told as soon as it has ended.
void Pool::perform(const std::vector<Request*>& batch, Seat& seat, const Pause& pause) {
    const auto is_late = [](Request* request) {
        if (Clock::now() <= request->deadline) return false;
        request->fail({StorageError::Kind::unavailable, "waited too long for a connection to the database"});
        request->finish();
        return true;
    };
    std::vector<Request*> timely = batch;
    std::erase_if(timely, is_late);
    if (timely.size() > 1 && timely.front()->access != Access::read) {   // a search comes alone
        Together together{timely};
        const Seat::Outcome outcome = seat.attempt(Access::transact, together);
        if (!outcome.error) {
            for (Request* const request : timely) request->finish();
            return;
        }
        // By itself each gets its own error. A transaction that may have been committed is not done again.
        if (outcome.is_unknown)
            std::erase_if(timely, [&](Request* request) {
                if (request->access != Access::transact) return false;
                request->fail(to_storage_error(*outcome.error));
                request->finish();
                return true;
            });
    }
    for (Request* const request : timely) {
        if (is_late(request)) continue;
        sql::perform(*request, seat, pause);
        request->finish();
    }
}

bool Pool::pause(std::chrono::milliseconds how_long) {
    std::unique_lock lock{mutex_};
    return !stopped_.wait_for(lock, how_long, [this] { return stopping_; });
}

}  // namespace storage::sql
