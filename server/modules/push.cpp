// SPDX-License-Identifier: MIT
// XEP-0357 0.4.1: Push Notifications — a client that is not connected is woken by its push service, once for each message
// that its log keeps for it and that deserves attention. Not connected is a client that is offline, and one whose session
// waits to be resumed; messages that were on their way when its connection broke are announced together, then. What a
// notification tells beside their number is the admin's choice (push.show); §7 leaves it open.
// A registration belongs to the device that made it, and goes with it. Where several clients share one password, it
// belongs to the resource.
// §7.1: an error ends a registration; one of type "wait" only when it is the tenth in a row.
#include <algorithm>

#include "server/account.h"
#include "server/config.h"
#include "server/host.h"
#include "server/message_content.h"
#include "server/worker.h"

namespace server {

namespace {

using storage::LogId;
using storage::PushRegistration;
using xmpp::Condition;
using xmpp::DataForm;
using xmpp::Element;
using xmpp::Jid;

constexpr std::string_view ns = "urn:xmpp:push:0";
constexpr std::string_view ns_pubsub = "http://jabber.org/protocol/pubsub";
constexpr std::string_view summary = "urn:xmpp:push:summary";
constexpr std::string_view publish_options = "http://jabber.org/protocol/pubsub#publish-options";
constexpr std::size_t most_registrations = 16;     // of an account
constexpr std::size_t longest_node = 1024, longest_options = 4096;   // bytes
constexpr std::size_t longest_body = 256;          // bytes of it in a notification
constexpr unsigned most_failures = 10;             // in a row

struct Client {
    PushRegistration registration;
    std::uint64_t waiting = 0;       // messages that it lacks
    std::vector<LogId> sent;         // while it was connected; the newest may not have arrived
    unsigned failures = 0;           // in a row
};

// What is told of one message, besides that there is one.
struct Preview {
    std::string_view sender, body;
};

// At a character's beginning.
std::string_view shortened(std::string_view text) {
    if (text.size() <= longest_body) return text;
    std::size_t size = longest_body;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U) --size;
    return text.substr(0, size);
}

class Push final : public Module {
public:
    explicit Push(Host& host) : worker_{host.worker}, clients_{host} {
        host.disco.account_feature(ns);
        host.iq.set<&Push::enable>(Asked::account, ns, "enable", this, Condition::forbidden);
        host.iq.set<&Push::disable>(Asked::account, ns, "disable", this, Condition::forbidden);
        host.at<&Push::load>(host.loading, this);
        host.at<&Push::arrived>(host.inbound, Station::copy, this);
        host.at<&Push::lost>(host.lost, this);
        host.at<&Push::ended>(host.ended, this);
        host.at<&Push::connected>(host.bound, this);
        host.at<&Push::connected>(host.resumed, this);
        host.at<&Push::answered>(host.answered, this);
    }

private:
    using Clients = std::vector<Client>;

    storage::Task<storage::Result<void>> load(Account& account) {
        auto finding = worker_.storage().push_registrations().find(account.id());
        auto found = co_await finding;
        if (!found) co_return storage::Failure{found.error()};
        Clients clients;
        for (PushRegistration& registration : *found) {
            auto counting = worker_.storage().messages().count_undelivered(account.id(), registration.device);
            const auto waiting = co_await counting;
            if (!waiting) co_return storage::Failure{waiting.error()};
            Client client;
            client.registration = std::move(registration);
            client.waiting = *waiting;
            clients.push_back(std::move(client));
        }
        clients_[account] = std::move(clients);
        co_return storage::Result<void>{};
    }

    // ---- §5, §6 ----------------------------------------------------------------------------------------------------------

    static Client* find(Clients& clients, xmpp::JidView service, std::string_view node) {
        const auto found = std::ranges::find_if(clients, [&](const Client& client) { return client.registration.service.view() == service && client.registration.node == node; });
        return found == clients.end() ? nullptr : &*found;
    }

    storage::Task<IqReply> enable(Iq iq) {
        if (!iq.session) co_return Condition::forbidden;
        auto service = Jid::parse(iq.payload.attr("jid"));
        if (!iq.payload.find_attr("jid")) co_return Condition::bad_request;
        if (!service) co_return Condition::jid_malformed;
        PushRegistration registration;
        registration.service = std::move(*service);
        registration.node = iq.payload.attr("node");
        registration.device = iq.session->device();
        registration.resource = iq.session->jid().resourcepart();
        if (const Element x = iq.payload.child("x", xmpp::ns::data_form)) {
            const DataForm form = DataForm::parse(x);
            if (form.form_type() != publish_options) co_return Condition::bad_request;
            xmpp::XmlWriter w;
            form.write(w);
            registration.options = w.take();
        }
        if (registration.node.size() > longest_node || registration.options.size() > longest_options) co_return Condition::not_acceptable;
        Clients& clients = clients_[*iq.account];
        if (!find(clients, registration.service, registration.node) && clients.size() >= most_registrations)
            co_return xmpp::StanzaError{xmpp::ErrorType::cancel, Condition::resource_constraint, "An account has at most " + std::to_string(most_registrations) + " push registrations."};
        auto storing = worker_.storage().push_registrations().put(iq.account->id(), registration);
        const auto stored = co_await storing;
        if (!stored) co_return stored.error();
        // "the server SHOULD use the last received request"
        std::erase_if(clients, [&](const Client& client) { return client.registration.service == registration.service && client.registration.node == registration.node; });
        Client client;
        client.registration = std::move(registration);
        clients.push_back(std::move(client));
        co_return IqReply::result();
    }

    storage::Task<IqReply> disable(Iq iq) {
        if (!iq.is_own()) co_return Condition::forbidden;
        const auto service = Jid::parse(iq.payload.attr("jid"));
        if (!iq.payload.find_attr("jid")) co_return Condition::bad_request;
        if (!service) co_return Condition::jid_malformed;
        const auto node = iq.payload.find_attr("node");
        std::vector<std::string> nodes;
        for (const Client& client : clients_[*iq.account])
            if (client.registration.service == *service && (!node || client.registration.node == *node)) nodes.push_back(client.registration.node);
        for (const std::string& each : nodes) {
            auto removing = remove(iq.account, *service, each);
            const auto removed = co_await removing;
            if (!removed) co_return removed.error();
        }
        co_return IqReply::result();
    }

    // At once here, so that nothing is published any more, and in storage.
    storage::Task<storage::Result<void>> remove(std::shared_ptr<Account> account, Jid service, std::string node) {
        std::erase_if(clients_[*account], [&](const Client& client) { return client.registration.service == service && client.registration.node == node; });
        auto removing = worker_.storage().push_registrations().remove(account->id(), std::move(service), std::move(node));
        const auto removed = co_await removing;
        co_return removed;
    }

    // ---- who is to be woken ------------------------------------------------------------------------------------------------

    static bool belongs_to(const PushRegistration& registration, const Session& session) {
        if (registration.device != session.device()) return false;
        const storage::Device* const device = session.account().device(session.device());
        return !device || device->role != storage::DeviceRole::password || registration.resource == session.jid().resourcepart();
    }

    static const Session* connected_session(const Account& account, const PushRegistration& registration) {
        for (const auto& session : account.sessions())
            if (session->stream() && belongs_to(registration, *session)) return session.get();
        return nullptr;
    }

    // The log has it, resources have not yet.
    Verdict arrived(Passage& passage) {
        Account& account = passage.account;
        Clients& clients = clients_[account];
        std::erase_if(clients, [&](const Client& client) { return !account.device(client.registration.device); });   // revoked
        if (clients.empty() || passage.logged_as == 0 || passage.stanza.kind() != xmpp::Kind::message) return Verdict::pass();
        if (passage.from.bare() == account.jid().view() || !deserves_attention(passage.stanza)) return Verdict::pass();
        const Preview preview{passage.from.text(), passage.stanza.element().child_text("body", xmpp::ns::client)};
        Notifications due;
        for (Client& client : clients) {
            if (const Session* const session = connected_session(account, client.registration)) {
                forget_arrived(client, *session);
                client.sent.push_back(passage.logged_as);
            } else {
                ++client.waiting;
                due.push_back(notification(account, client, preview));
            }
        }
        send(due);
        return Verdict::pass();
    }

    static void forget_arrived(Client& client, const Session& session) {
        const LogId cursor = session.account().log.cursor(session);
        std::erase_if(client.sent, [cursor](LogId entry) { return entry <= cursor; });
    }

    bool lost(Session& session) {
        announce_unacked(session);
        return false;   // others keep it, or do not
    }
    void ended(Session& session) { announce_unacked(session); }

    void announce_unacked(Session& session) {
        Notifications due;
        for (Client& client : clients_[session.account()]) {
            if (!belongs_to(client.registration, session)) continue;
            forget_arrived(client, session);
            const std::size_t unacked = std::exchange(client.sent, {}).size();
            if (unacked == 0) continue;
            client.waiting += unacked;
            due.push_back(notification(session.account(), client, {}));
        }
        send(due);
    }

    void connected(Session& session) {
        for (Client& client : clients_[session.account()])
            if (belongs_to(client.registration, session)) client.waiting = 0;
    }

    // ---- §7 ----------------------------------------------------------------------------------------------------------------

    struct Notification {
        std::string xml;
        Jid service;
    };
    using Notifications = std::vector<Notification>;

    // The answer's id tells which registration it is about.
    static std::string id_prefix(const PushRegistration& registration) { return "push-" + std::to_string(std::hash<std::string>{}(registration.node)) + "-"; }

    Notification notification(const Account& account, const Client& client, const Preview& preview) {
        const PushRegistration& to = client.registration;
        const std::string& show = worker_.config->push.show;
        DataForm form;
        form.type = "submit";
        form.hidden_form_type(summary);
        const auto tell = [&form](std::string name, std::string value) {
            xmpp::FormField field;
            field.var = std::move(name);
            field.values.push_back(std::move(value));
            form.fields.push_back(std::move(field));
        };
        tell("message-count", std::to_string(client.waiting));
        if (show != "count" && !preview.sender.empty()) tell("last-message-sender", std::string{preview.sender});
        if (show == "body" && !preview.body.empty()) tell("last-message-body", std::string{shortened(preview.body)});
        xmpp::XmlWriter w;
        w.open("iq").attr("type", "set").attr("id", id_prefix(to) + std::to_string(++published_));
        w.attr("from", account.jid().text()).attr("to", to.service.text());
        w.open("pubsub", ns_pubsub).open("publish").attr_if("node", to.node).open("item").open("notification", ns);
        form.write(w);
        w.close().close().close();
        if (!to.options.empty()) w.open("publish-options").raw(to.options).close();
        return {w.take(), to.service};
    }

    void send(const Notifications& due) {
        for (const Notification& each : due) worker_.router.send_xml(each.xml, each.service);
    }

    // §7.1
    void answered(Account& account, const xmpp::Stanza& answer) {
        for (Client& client : clients_[account]) {
            if (client.registration.service.view() != answer.from() || !answer.id().starts_with(id_prefix(client.registration))) continue;
            if (!answer.is_error()) {
                client.failures = 0;
                return;
            }
            const bool may_pass = answer.child("error", xmpp::ns::client).attr("type") == "wait";
            if (may_pass && ++client.failures < most_failures) return;
            log::info("push registration ended by its service", {{"jid", account.jid().text()}, {"service", client.registration.service.text()}});
            return worker_.spawn("ending a push registration", end(account.shared_from_this(), client.registration));
        }
    }

    storage::Task<void> end(std::shared_ptr<Account> account, PushRegistration registration) {
        auto removing = remove(account, registration.service, registration.node);
        const auto removed = co_await removing;
        if (!removed) log::warn("push registration not removed", {{"jid", account->jid().text()}, {"why", removed.error().text}});
    }

    Worker& worker_;
    AccountSlot<Clients> clients_;
    std::uint64_t published_ = 0;
};

}  // namespace

MODULE_FACTORY(push, Push)

}  // namespace server
