// SPDX-License-Identifier: MIT
#include "tests/faults/proof/fleet.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

namespace tests {

namespace {

constexpr std::chrono::seconds patience{120};  // without anything acked or delivered: something hangs
constexpr std::chrono::milliseconds longest_turn{500};

}  // namespace

Fleet::Fleet(const Plan& plan, Chronicle& chronicle, std::uint64_t seed)
    : plan_{plan},
      chronicle_{chronicle},
      ledger_{plan, chronicle},
      may_send_{plan.messages != 0 ? plan.messages : std::numeric_limits<std::uint64_t>::max()},
      wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
    Dice dice{seed};
    for (int i = 0; i < plan.devices(); ++i)
        devices_.push_back(std::make_unique<Device>(i, plan_, ledger_, dice.seed()));
    thread_ = std::thread{[this] { run(); }};
}

Fleet::~Fleet() {
    post([this] { phase_ = Phase::settled; });
    if (thread_.joinable()) thread_.join();
    ::close(wake_);
}

// ---- for other threads ---------------------------------------------------------------------------------

void Fleet::post(Request request) {
    {
        const std::lock_guard lock{mutex_};
        requests_.push_back(std::move(request));
    }
    const std::uint64_t one = 1;
    static_cast<void>(::write(wake_, &one, sizeof one) == 0);
}

void Fleet::announce(const Incarnation& server) {
    post([this, server] {
        server_ = server;
        if (server.is_up()) ledger_.server_crashed(server.crashes);
    });
}

void Fleet::cut(int device, Device::Cut how, std::chrono::milliseconds until_back) {
    post([this, device, how, until_back] {
        devices_[static_cast<std::size_t>(device)]->cut(how, until_back);
    });
}

void Fleet::leave(int device, std::chrono::milliseconds until_back) {
    post([this, device, until_back] { devices_[static_cast<std::size_t>(device)]->leave(until_back); });
}

bool Fleet::wait(std::uint64_t acked, Clock::time_point until) {
    std::unique_lock lock{mutex_};
    changed_.wait_until(lock, until, [&] { return acked_ >= acked || has_ended_; });
    return !has_ended_;
}

std::uint64_t Fleet::acked() const {
    const std::lock_guard lock{mutex_};
    return acked_;
}

void Fleet::settle() {
    post([this] {
        if (phase_ != Phase::sending) return;
        may_send_ = 0;
        phase_ = Phase::calming;
        progress_at_ = Clock::now();
        for (const auto& device : devices_) device->come_back();
    });
    thread_.join();
}

Device::Resumptions Fleet::resumptions() const {
    Device::Resumptions all;
    for (const auto& device : devices_) {
        all.tried += device->resumptions().tried;
        all.done += device->resumptions().done;
    }
    return all;
}

// ---- on its thread -------------------------------------------------------------------------------------

void Fleet::run() {
    while (phase_ != Phase::settled) {
        take_requests();
        turn();
        advance();
        report();
    }
}

void Fleet::take_requests() {
    std::vector<Request> requests;
    {
        const std::lock_guard lock{mutex_};
        requests.swap(requests_);
    }
    for (const Request& request : requests) request();
}

void Fleet::turn() {
    std::vector<pollfd> waiting{{wake_, POLLIN, 0}};
    auto until = Clock::now() + longest_turn;
    for (const auto& device : devices_) {
        device->turn(server_, may_send_);
        waiting.push_back(device->waits_for());  // poll() passes over -1
        const auto acts_at = device->acts_at();
        if (waiting.back().fd >= 0 ? acts_at != Clock::time_point::max() : server_.is_up())
            until = std::min(until, acts_at);
    }
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    ::poll(waiting.data(), waiting.size(), static_cast<int>(std::max<std::int64_t>(wait, 0)));
    std::uint64_t woken = 0;
    static_cast<void>(::read(wake_, &woken, sizeof woken) == 0);
    for (std::size_t i = 0; i < devices_.size(); ++i)
        if (waiting[i + 1].revents != 0) devices_[i]->on_ready(waiting[i + 1].revents);
}

void Fleet::advance() {
    const bool is_quiet =
        std::ranges::all_of(devices_, [](const auto& device) { return device->is_quiet(); });
    if (phase_ == Phase::calming && is_quiet) {
        phase_ = Phase::saying_last;
        for (const auto& device : devices_) device->send_to_everybody();
        return;
    }
    if (phase_ != Phase::saying_last || !is_quiet) return;
    bool has_all_last = true;
    for (int sender = 0; sender < plan_.devices(); ++sender)
        for (int account = 0; account < plan_.accounts; ++account)
            for (int i = 0; i < Plan::devices_per_account; ++i) {
                const MessageId last{sender, account, ledger_.sent_to(sender, account)};
                const bool is_there =
                    last.number == 0 || ledger_.has_arrived(account * Plan::devices_per_account + i, last);
                has_all_last = has_all_last && is_there;
            }
    if (has_all_last) phase_ = Phase::settled;
}

void Fleet::report() {
    const bool stuck = is_stuck();
    {
        const std::lock_guard lock{mutex_};
        acked_ = ledger_.counts().acked;
        has_ended_ = has_ended_ || stuck || may_send_ == 0;
    }
    changed_.notify_all();
    if (!stuck) return;
    std::string states;
    for (const auto& device : devices_) states += "\n    " + device->state();
    ledger_.wrong("stuck", "nothing was acked or delivered for two minutes" + states);
    phase_ = Phase::settled;
}

bool Fleet::is_stuck() {
    const Ledger::Counts& counts = ledger_.counts();
    const std::uint64_t progress = counts.acked + counts.delivered;
    if (std::exchange(last_progress_, progress) != progress) progress_at_ = Clock::now();
    return Clock::now() - progress_at_ > patience;
}

}  // namespace tests
