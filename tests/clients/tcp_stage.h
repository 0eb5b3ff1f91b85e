// SPDX-License-Identifier: MIT
// The stage of real things: `tern serve` as a process, TCP and TLS, libstrophe for clients, SQLite on disk or MariaDB.
// What needs a clock that can be turned is skipped here.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "tests/clients/strophe_client.h"
#include "tests/clients/tern_process.h"
#include "tests/support/player.h"
#include "tests/support/temporary_directory.h"

namespace tests {

class TcpStage final : public Stage {
public:
    // `storage_url` makes a fresh database each time; given the stage's directory.
    using StorageUrl = std::function<std::string(const std::string& directory)>;
    TcpStage(std::string binary, StorageUrl storage_url);
    ~TcpStage() override;

    std::optional<std::string> reason_to_skip(const Scene& scene) const override;
    void open(const Scene& scene) override;
    std::unique_ptr<Actor> actor(const Role& role) override;
    void settle() override;
    bool is_storage_busy() const;
    void pass(std::chrono::seconds time) override;
    void restart() override;
    xmpp::Time now() const override;
    std::string pin_sent_to(const std::string& number) override;
    void close() override;
    std::vector<std::string> logged_errors() override;

private:
    class Client;
    class Raw;
    std::string binary_;
    StorageUrl storage_url_;
    TemporaryDirectory directory_;
    TernProcess::Environment environment_;
    std::unique_ptr<StropheLoop> loop_;
    std::unique_ptr<TernProcess> server_;
    std::vector<Client*> clients_;
    std::vector<std::string> errors_;
};

}  // namespace tests
