// SPDX-License-Identifier: MIT
// The sweep that keeps the logs as long as configured.
#include "server/retention.h"

#include "auth/invitations.h"
#include "server/config.h"
#include "server/log.h"
#include "server/worker.h"

namespace server {

constexpr std::chrono::seconds between_sweeps{60};
constexpr std::chrono::milliseconds between_batches{100};
constexpr std::size_t batch = 500;                       // entries in one transaction
constexpr std::chrono::hours unseen_device{24 * 30};     // counts no longer for retention "delivered"
constexpr std::chrono::hours expired_token{24 * 14};     // until then its client is told so (XEP-0484 §4.2)
constexpr std::chrono::hours old_registration{48};       // longer than the per-day limits look back

void Retention::start() {
    timer_.start(worker_.loop, between_sweeps, [this] { worker_.spawn("retention", sweep()); });
}

void Retention::stop() {
    stopped_ = true;
    timer_.cancel();
}

storage::Task<void> Retention::remove_all(const char* what, std::function<Removal()> next) {
    for (std::size_t count = batch; count >= batch && !stopped_;) {
        auto removing = next();
        const auto removed = co_await removing;
        if (!removed) {
            log::warn(what, {{"why", removed.error().text}});
            co_return;
        }
        count = *removed;
        removed_ += count;
        if (count >= batch) co_await net::Sleep{worker_.loop, between_batches};
    }
}

storage::Task<void> Retention::sweep() {
    auto& storage = worker_.storage();
    auto& messages = storage.messages();
    const std::string rule = worker_.config->messages.retention;
    const auto age = parse_duration(rule);
    if (age || rule == "delivered") {
        auto removing = remove_all("old messages not removed", [this, &messages, age] {
            return age ? messages.remove_before(worker_.now() - *age, batch) : messages.remove_delivered(worker_.now() - unseen_device, batch);
        });
        co_await removing;
    }
    if (stopped_) co_return;
    auto removing_unarchived = remove_all("delivered messages not removed", [this, &messages] {
        return messages.remove_delivered_unarchived(worker_.now() - unseen_device, batch);
    });
    co_await removing_unarchived;
    if (stopped_) co_return;
    auto forgetting = storage.registrations().remove_before(worker_.now() - old_registration);
    const auto forgotten = co_await forgetting;
    if (!forgotten) log::warn("old registrations not removed", {{"why", forgotten.error().text}});
    if (stopped_) co_return;
    auto expiring = storage.fast_tokens().remove_expired(worker_.now() - expired_token);
    const auto expired = co_await expiring;
    if (!expired) log::warn("expired tokens not removed", {{"why", expired.error().text}});
    if (stopped_) co_return;
    auto tidying = storage.invitations().remove_expired(worker_.now() - auth::Invitations::kept_after_expiry);
    const auto tidied = co_await tidying;
    if (!tidied) log::warn("expired invitations not removed", {{"why", tidied.error().text}});
    if (!stopped_) start();
}

}  // namespace server
