// SPDX-License-Identifier: MIT
// Notifications as JSON, to the webhook.
#include "server/push_gateway.h"

#include <nlohmann/json.hpp>

namespace server {

namespace {

constexpr std::size_t most_waiting = 10'000;

auth::WebhookRules rules_of(const Config::Push& push) {
    auth::WebhookRules rules;
    rules.queue = "push";
    rules.headers = header_lines(push.headers);
    rules.timeout = push.timeout;
    rules.per_second = push.per_second;
    rules.waiting = most_waiting;
    return rules;
}

}  // namespace

std::string PushNotification::json() const {
    nlohmann::ordered_json fields{{"node", node}, {"account", account}};
    if (message_count > 0) fields["message_count"] = message_count;
    if (!sender.empty()) fields["sender"] = sender;
    if (!body.empty()) fields["body"] = body;
    if (!options.empty()) {
        nlohmann::ordered_json named = nlohmann::ordered_json::object();
        for (const auto& [name, value] : options) named[name] = value;
        fields["options"] = std::move(named);
    }
    return fields.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

PushGateway::PushGateway(const Config::Push& push) : url_{push.url}, webhook_{rules_of(push)} {}

bool PushGateway::send(const PushNotification& notification, std::function<void(const auth::Webhook::Ending&)> done) {
    return webhook_.post({url_, notification.json(), std::move(done)});
}

}  // namespace server
