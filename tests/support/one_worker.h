// SPDX-License-Identifier: MIT
// A server with one worker, no sockets and storage in memory, a part of which a test holds: what that is asked goes on when
// the test says so (held.h).
#pragma once

#include <catch2/catch.hpp>

#include "server/server.h"
#include "server/worker.h"
#include "tests/support/accounts.h"
#include "tests/support/borrowed_storage.h"
#include "tests/support/held.h"
#include "tests/support/temporary_directory.h"

namespace tests {

// Storage: a BorrowedStorage.
template <class Storage>
class OneWorker {
public:
    // `fill`: puts into storage what is there before the server.
    explicit OneWorker(const std::function<void(storage::Storage&)>& fill = [](storage::Storage&) {}) {
        storage::Options options;
        options.url = "sqlite::memory:";
        options.run_inline = true;
        auto opened = storage::open(options);
        REQUIRE(opened.ok());
        const std::shared_ptr<storage::Storage> real{std::move(*opened)};
        fill(*real);
        auto held = std::make_unique<Storage>(real);
        storage_ = held.get();
        server::Config config;
        config.data = directory_.path();
        server_ = std::make_unique<server::Server>(std::move(config), std::move(held), clock_, 1);
        REQUIRE(wait_for(server_->prepare()).ok());
    }
    Storage& storage() { return *storage_; }
    server::Worker& worker() { return *server_->workers().front(); }
    void on_worker(std::function<void()> work) {
        worker().loop.post([&work] { work(); });
        server_->settle();
    }
    void let_one_go_on(Held& waiting) {
        REQUIRE_FALSE(waiting.empty());
        const auto next = waiting.front();
        waiting.pop_front();
        on_worker([next] { next.resume(); });
    }

private:
    TemporaryDirectory directory_;
    server::net::ManualClock clock_;
    Storage* storage_ = nullptr;   // the server's
    std::unique_ptr<server::Server> server_;
};

inline storage::AccountId add_account(storage::Storage& storage, const std::string& jid, std::vector<storage::Device> devices = {}) {
    storage::Account record;
    record.jid = *xmpp::Jid::parse(jid);
    record.devices = std::move(devices);
    const auto id = wait_for(storage.accounts().create(std::move(record)));
    REQUIRE(id.ok());
    return *id;
}

}  // namespace tests
