// SPDX-License-Identifier: MIT
// A whole server for a test: threads, real sockets on free ports of 127.0.0.1, SQLite and everything else in a directory
// of its own that goes with it.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include "server/admin/reload.h"
#include "server/admin/socket.h"
#include "server/http/server.h"
#include "server/net/listening.h"
#include "server/server.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_executor.h"

namespace tests {

class RunningServer {
public:
    explicit RunningServer(const std::function<void(server::Config&)>& adjust = {}) {
        server::Config config;
        config.data = directory.path();
        config.storage.url = "sqlite:" + directory.path() + "/test.db";
        config.c2s.listen = {"127.0.0.1:0"};
        config.c2s.direct_tls = {};
        config.http.listen = {"127.0.0.1:0"};
        config.http.tls = {"127.0.0.1:0"};
        config.sms.gateway = "file";
        config.sms.file = directory.path() + "/sms.jsonl";
        config.auth.iterations = 1000;   // a test need not be safe
        config.registration.resend_after = std::chrono::seconds{0};
        if (adjust) adjust(config);

        storage::Options options;
        options.url = config.storage.url;
        auto storage = storage::open(options);
        if (!storage) throw std::runtime_error{"storage: " + storage.error().text};
        server = std::make_unique<server::Server>(std::move(config), std::move(*storage), clock, 2);
        {
            TestExecutor executor;
            if (auto prepared = executor.run(server->prepare()); !prepared) throw std::runtime_error{"prepare: " + prepared.error().text};
        }
        server::net::Handover left;
        if (auto started = server->start(left); !started) throw std::runtime_error{"start: " + started.error()};
        auto http = server::http::HttpServer::start(*server, left);
        if (!http) throw std::runtime_error{"HTTP: " + http.error()};
        web = std::move(*http);
    }
    ~RunningServer() {
        admin.reset();
        web.reset();
        server->stop();
    }

    std::string socket_path() const { return server::admin::socket_path(directory.path()); }
    void open_admin_socket(std::function<server::admin::ReloadReport()> reload = {}) {
        auto opened = server::admin::AdminSocket::open(server::admin::Context{*server, std::move(reload)}, socket_path());
        if (!opened) throw std::runtime_error{opened.error()};
        admin = std::move(*opened);
    }

    TemporaryDirectory directory;
    server::net::SystemClock clock;
    std::unique_ptr<server::Server> server;
    std::unique_ptr<server::http::HttpServer> web;
    std::unique_ptr<server::admin::AdminSocket> admin;
};

}  // namespace tests
