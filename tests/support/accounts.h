// SPDX-License-Identifier: MIT
// The accounts that a scene takes for granted, put straight into storage with few hash iterations so that a login costs
// nothing, and how to run a storage task where no event loop is.
#pragma once

#include <optional>
#include <string>

#include "storage/executor.h"
#include "storage/storage.h"
#include "tests/support/scene.h"

namespace tests {

// For storage that answers at once (Options::run_inline) or on another thread: waits for the task's end.
class BlockingExecutor final : public storage::Executor {
public:
    BlockingExecutor();
    ~BlockingExecutor() override;
    void post(storage::Job job) override;
    // Runs what is posted until `done` is true.
    void run_until(const bool& done);

private:
    struct State;
    std::unique_ptr<State> state_;
    storage::Executor* before_;
};

template <class T>
T wait_for(storage::Task<T> task) {
    BlockingExecutor executor;
    std::optional<T> value;
    bool done = false;
    auto into = [](storage::Task<T> inner, std::optional<T>& result) -> storage::Task<void> {
        auto got = co_await inner;
        result.emplace(std::move(got));
    };
    std::exception_ptr failure;
    storage::detach(into(std::move(task), value), [&](std::exception_ptr exception) {
        failure = exception;
        done = true;
    });
    executor.run_until(done);
    if (failure) std::rethrow_exception(failure);
    return std::move(*value);
}

// Makes the accounts of [Account] and [Client]. Clients of one account with different passwords are its devices.
void make_accounts(storage::Storage& storage, const Scene& scene, xmpp::Time now);

}  // namespace tests
