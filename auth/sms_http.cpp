// SPDX-License-Identifier: MIT
// The SMS gateway that POSTs to a provider.
#include "auth/sms.h"
#include "auth/webhook.h"

namespace auth {

namespace {

WebhookRules webhook_rules(const HttpGatewayRules& rules) {
    WebhookRules webhook;
    webhook.queue = "sms";
    webhook.headers = rules.headers;
    webhook.content_type = rules.content_type;
    webhook.timeout = rules.timeout;
    webhook.attempts = rules.attempts;
    webhook.per_second = rules.per_second;
    webhook.waiting = rules.waiting;
    webhook.first_pause = rules.first_pause;
    return webhook;
}

class HttpGateway final : public SmsGateway {
public:
    HttpGateway(HttpGatewayRules rules, Log log)
        : rules_{std::move(rules)}, log_{std::move(log)}, webhook_{std::make_unique<Webhook>(webhook_rules(rules_))} {
        for (const auto& [name, value] : rules_.headers)
            if (!is_header(name, value)) log_("error", "SMS gateway: a header with a line break is left out");
    }

    ~HttpGateway() override {
        webhook_.reset();
        if (dropped_ > 0) log_("error", "SMS gateway stopped with " + std::to_string(dropped_) + " SMS not sent");
    }
    HttpGateway(const HttpGateway&) = delete;
    HttpGateway& operator=(const HttpGateway&) = delete;

    bool send(Sms sms) override {
        Webhook::Post post;
        post.url = filled(rules_.url, sms, "urlencoded");
        post.body = filled(rules_.body, sms, rules_.content_type);
        post.done = [this, to = masked(sms.to)](const Webhook::Ending& ending) { ended(to, ending); };
        post.again = [this, to = masked(sms.to)](std::string_view reason, std::uint32_t attempt) {
            log_("warn", "SMS to " + to + " not accepted yet (" + std::string{reason} + "), attempt " + std::to_string(attempt) + " of " +
                             std::to_string(rules_.attempts));
        };
        const bool is_taken = webhook_->post(std::move(post));
        if (!is_taken) count(false);
        return is_taken;
    }

    storage::QueueDepth depth() const override { return webhook_->depth(); }

private:
    // On the webhook's thread.
    void ended(const std::string& to, const Webhook::Ending& ending) {
        using Kind = Webhook::Ending::Kind;
        count(ending.kind == Kind::accepted);
        if (ending.kind == Kind::dropped) ++dropped_;
        if (ending.kind == Kind::refused || ending.kind == Kind::unanswered)
            log_("error", "SMS to " + to + " not sent after " + std::to_string(ending.attempts) + " attempts: " + ending.reason);
    }

    const HttpGatewayRules rules_;
    const Log log_;
    std::size_t dropped_ = 0;             // the webhook's thread's, while it lives
    std::unique_ptr<Webhook> webhook_;
};

}  // namespace

std::unique_ptr<SmsGateway> http_gateway(HttpGatewayRules rules, Log log) {
    return std::make_unique<HttpGateway>(std::move(rules), std::move(log));
}

}  // namespace auth
