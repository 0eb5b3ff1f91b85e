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

storage::Task<void> Retention::sweep() {
    auto& storage = worker_.storage();
    const std::string rule = worker_.config->messages.retention;
    const auto age = parse_duration(rule);
    const bool is_wanted = age.has_value() || rule == "delivered";
    std::size_t count = is_wanted ? batch : 0;
    while (count == batch && !stopped_) {
        auto removing = age ? storage.messages().remove_before(worker_.now() - *age, batch)
                            : storage.messages().remove_delivered(worker_.now() - unseen_device, batch);
        const auto removed = co_await removing;
        if (!removed) {
            log::warn("old messages not removed", {{"why", removed.error().text}});
            break;
        }
        count = *removed;
        removed_ += count;
        if (count == batch) co_await net::Sleep{worker_.loop, between_batches};
    }
    if (stopped_) co_return;
    auto removing_unarchived = storage.messages().remove_delivered_unarchived(worker_.now() - unseen_device, batch);
    const auto removed_unarchived = co_await removing_unarchived;
    if (!removed_unarchived) log::warn("delivered messages not removed", {{"why", removed_unarchived.error().text}});
    else removed_ += *removed_unarchived;
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
