// SPDX-License-Identifier: MIT
// What the push service (XEP-0357) hands on: each notification is one POST of JSON to the admin's HTTP server, which
// knows how to wake a phone.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "auth/webhook.h"
#include "server/config.h"

namespace server {

// {"node": …, "account": …, "message_count": …, "sender": …, "body": …, "options": {"secret": …}}; what is empty is left out.
struct PushNotification {
    std::string node, account;
    std::uint64_t message_count = 0;
    std::string sender, body;
    std::vector<std::pair<std::string, std::string>> options;
    std::string json() const;
};

class PushGateway {
public:
    explicit PushGateway(const Config::Push& push);
    // Any thread. `done` is called on the gateway's. False: the queue is full, or closed.
    bool send(const PushNotification& notification, std::function<void(const auth::Webhook::Ending&)> done);
    void close() { webhook_.close(); }   // as Webhook's
    storage::QueueDepth depth() const { return webhook_.depth(); }

private:
    std::string url_;
    auth::Webhook webhook_;
};

}  // namespace server
