// SPDX-License-Identifier: MIT
// The stage without sockets and threads: a Server of two workers over SQLite in memory and a clock that stands still, so
// that a scene takes milliseconds and always goes the same way. Hours pass by turning the clock.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/config.h"
#include "server/net/loop.h"
#include "server/server.h"
#include "storage/storage.h"
#include "tests/support/player.h"
#include "tests/support/temporary_directory.h"

namespace tests {

// Configuration from keys as in tern.toml ("limits.devices"); throws Wrong with the problem.
server::Config config_of(const std::vector<std::string>& domains, const std::string& data,
                         const std::vector<std::pair<std::string, std::string>>& settings);

class InProcess final : public Stage {
public:
    explicit InProcess(unsigned workers = 2);
    ~InProcess() override;

    std::optional<std::string> reason_to_skip(const Scene& scene) const override;
    void open(const Scene& scene) override;
    std::unique_ptr<Actor> actor(const Role& role) override;
    void settle() override;
    void pass(std::chrono::seconds time) override;
    void restart() override;
    xmpp::Time now() const override { return clock_.wall(); }
    std::string pin_sent_to(const std::string& number) override;
    void close() override;
    std::vector<std::string> logged_errors() override;

    server::Server& server() { return *server_; }
    storage::Storage& storage() { return *storage_; }
    server::Worker& next_worker();      // the one that accepts the next connection

private:
    class Client;
    void start();

    unsigned workers_;
    unsigned accepted_ = 0;
    TemporaryDirectory directory_;
    server::Config config_;
    server::net::ManualClock clock_;
    std::shared_ptr<storage::Storage> storage_;
    std::unique_ptr<server::Server> server_;
    std::vector<Client*> clients_;
};

}  // namespace tests
