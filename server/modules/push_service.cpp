// SPDX-License-Identifier: MIT
// XEP-0357 0.4.1 §3: a push service of our own at push.DOMAIN, when push.url names an HTTP server that wakes phones. A
// client enables it with the name that server knows it by as the node; what is published there is POSTed, with retries,
// and the answer to the publisher says what became of it: a node that the HTTP server no longer knows (404, 410) is not
// found, whatever may pass is of type "wait". Nothing is kept, so there is nothing to subscribe to (§3.1).
#include <charconv>

#include "auth/crypto.h"
#include "server/config.h"
#include "server/host.h"
#include "server/push_gateway.h"
#include "server/server.h"
#include "server/worker.h"

namespace server {

namespace {

using auth::Webhook;
using xmpp::Condition;
using xmpp::Element;

constexpr std::string_view ns = "urn:xmpp:push:0";
constexpr std::string_view ns_pubsub = "http://jabber.org/protocol/pubsub";
constexpr std::string_view summary = "urn:xmpp:push:summary";
constexpr std::size_t item_id_bytes = 12;

// The gateway's answer, back on the worker's thread.
struct Sending {
    PushGateway& gateway;
    const PushNotification& notification;
    storage::Executor& home;
    Webhook::Ending ending = {};
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> publisher) {
        return gateway.send(notification, [this, publisher](const Webhook::Ending& how) {
            home.post([this, publisher, how] {
                ending = how;
                publisher.resume();
            });
        });
    }
    const Webhook::Ending& await_resume() const { return ending; }
};

PushNotification read(const Element& publish, const Element& notification, const Element& options, const xmpp::Jid& publisher) {
    PushNotification read;
    read.node = publish.attr("node");
    read.account = publisher.text();
    const xmpp::DataForm form = xmpp::DataForm::parse(notification.child("x", xmpp::ns::data_form));
    if (form.form_type() == summary) {
        const std::string_view count = form.value("message-count");
        std::from_chars(count.data(), count.data() + count.size(), read.message_count);
        read.sender = form.value("last-message-sender");
        read.body = form.value("last-message-body");
    }
    for (const auto& field : xmpp::DataForm::parse(options.child("x", xmpp::ns::data_form)).fields)
        if (field.var != "FORM_TYPE" && !field.values.empty()) read.options.emplace_back(field.var, field.values.front());
    return read;
}

class PushService final : public Module {
public:
    explicit PushService(Host& host) : worker_{host.worker} {
        if (host.worker.config->push.url.empty()) return;
        for (const std::string& domain : host.worker.config->domains) {
            const std::string jid = "push." + domain;
            ServiceOf& service = host.services[jid];
            service.disco.identities.push_back({"pubsub", "push", "Push notifications"});   // §4.2
            for (const std::string_view feature : {"http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items",
                                                   "http://jabber.org/protocol/pubsub#publish", "http://jabber.org/protocol/pubsub#access-whitelist"})
                service.disco.features.emplace_back(feature);
            service.disco.features.emplace_back(ns);
            service.iq.set<&PushService::publish>(Asked::service, ns_pubsub, "pubsub", this);
            host.disco.server.items.push_back({jid, "", "Push notifications"});
        }
    }

private:
    // XEP-0060 §7.1
    storage::Task<IqReply> publish(Iq iq) {
        // §3.2: a user's server publishes, a user's client does not.
        if (!iq.from.resourcepart().empty()) co_return Condition::forbidden;
        const Element publish = iq.payload.child("publish", ns_pubsub);
        const Element notification = publish.child("item", ns_pubsub).child("notification", ns);
        if (!notification || publish.attr("node").empty()) co_return Condition::bad_request;
        const PushNotification read_one = read(publish, notification, iq.payload.child("publish-options", ns_pubsub), iq.from);
        Sending sending{*worker_.server.push_gateway(), read_one, *storage::Executor::current()};
        const Webhook::Ending ending = co_await sending;
        if (ending.kind == Webhook::Ending::Kind::accepted) {
            xmpp::XmlWriter w;
            w.open("pubsub", ns_pubsub).open("publish").attr("node", read_one.node);
            w.open("item").attr("id", auth::random_token(item_id_bytes));
            co_return w.take();
        }
        if (ending.status == 404 || ending.status == 410) co_return Condition::item_not_found;
        log::warn("push not accepted", {{"jid", read_one.account}, {"why", ending.attempts == 0 ? "too many wait" : ending.reason}});
        co_return xmpp::StanzaError{xmpp::ErrorType::wait, Condition::resource_constraint, "The notification could not be handed on."};
    }

    Worker& worker_;
};

}  // namespace

MODULE_FACTORY(push_service, PushService)

}  // namespace server
