// SPDX-License-Identifier: MIT
// XEP-0357 0.4.1: Push Notifications — a client that is not connected is woken by its push service, once for each message
// that its log keeps for it and that deserves attention. Not connected is a client that is offline, and one whose session
// waits to be resumed; messages that were on their way when its connection broke are announced together, then. What a
// notification tells beside their number is the admin's choice (push.show); §7 leaves it open. What is said in a room wakes a
// client whose session is there and waits to be resumed, and, where it belongs to a room, one that is offline: that once, until
// it has been there again. One notification is under way at a time; what comes meanwhile is in the next.
// A registration belongs to the device that made it, and goes with it. Where several clients share one password, it
// belongs to the resource.
// §7.1: an error ends a registration; of type "wait" they do only when ten have come in a row, over a day.
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
constexpr std::chrono::hours longest_outage{24};   // … over so long
constexpr std::chrono::minutes answer_patience{2};
constexpr std::size_t most_sent = 1000;            // remembered of a client

// What is told of one message, besides that there is one.
struct Preview {
    std::string sender, body;
};

struct Client {
    PushRegistration registration;
    std::uint64_t waiting = 0;       // messages that it lacks
    std::vector<LogId> sent;         // while it was connected, rising; the newest may not have arrived
    unsigned failures = 0;           // in a row
    storage::Time failing_since{};
    std::optional<storage::Time> published;   // and not answered yet
    std::optional<Preview> next;     // to be published then
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
        host.at<&Push::missed>(host.missed, this);
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

    static bool has_session(const Account& account, const PushRegistration& registration) {
        return std::ranges::any_of(account.sessions(), [&](const auto& session) { return belongs_to(registration, *session); });
    }

    // The log has it, resources have not yet; or a room says it to one of them.
    Verdict arrived(Passage& passage) {
        Account& account = passage.account;
        Clients& clients = clients_[account];
        std::erase_if(clients, [&](const Client& client) { return !account.device(client.registration.device); });   // revoked
        if (clients.empty() || passage.stanza.kind() != xmpp::Kind::message || !deserves_attention(passage.stanza)) return Verdict::pass();
        if (passage.logged_as == 0) said_in_room(passage, clients);
        else if (passage.from.bare() != account.jid().view()) logged(passage, clients);
        return Verdict::pass();
    }

    void logged(const Passage& passage, Clients& clients) {
        const Preview preview = preview_of(passage);
        Notifications due;
        for (Client& client : clients) {
            if (const Session* const session = connected_session(passage.account, client.registration)) {
                forget_arrived(client, *session);
                if (client.sent.size() >= most_sent) client.sent.erase(client.sent.begin());
                client.sent.push_back(passage.logged_as);
            } else {
                announce(passage.account, client, preview, due);
            }
        }
        send(due);
    }

    // The session keeps it for its client, which does not know.
    void said_in_room(const Passage& passage, Clients& clients) {
        if (passage.stanza.type() != "groupchat" || passage.is_reflected) return;
        const Session* const session = passage.account.session(passage.to.resourcepart());
        if (!session || session->stream()) return;
        const Preview preview = preview_of(passage);
        Notifications due;
        for (Client& client : clients)
            if (belongs_to(client.registration, *session) && !connected_session(passage.account, client.registration)) announce(passage.account, client, preview, due);
        send(due);
    }

    // Whoever has a session is told by that, or does not want to be in the room.
    void missed(Passage& passage) {
        const Preview preview = preview_of(passage);
        Notifications due;
        for (Client& client : clients_[passage.account])
            if (passage.account.device(client.registration.device) && !has_session(passage.account, client.registration)) announce(passage.account, client, preview, due);
        send(due);
    }

    Preview preview_of(const Passage& passage) const {
        const std::string& show = worker_.config->push.show;
        Preview preview;
        if (show != "count") preview.sender = passage.from.text();
        if (show == "body") preview.body = shortened(passage.stanza.element().child_text("body", xmpp::ns::client));
        return preview;
    }

    static void forget_arrived(Client& client, const Session& session) {
        client.sent.erase(client.sent.begin(), std::ranges::upper_bound(client.sent, session.account().log.cursor(session)));
    }

    bool lost(Session& session) {
        announce_unacked(session);
        return false;   // others keep it, or do not
    }
    void ended(Session& session) { announce_unacked(session); }

    void announce_unacked(Session& session) {
        Notifications due;
        for (Client& client : clients_[session.account()]) {
            if (!belongs_to(client.registration, session) || !session.account().device(client.registration.device)) continue;
            forget_arrived(client, session);
            const std::size_t unacked = std::exchange(client.sent, {}).size();
            if (unacked > 0) announce(session.account(), client, {}, due, unacked);
        }
        send(due);
    }

    void connected(Session& session) {
        for (Client& client : clients_[session.account()]) {
            if (!belongs_to(client.registration, session)) continue;
            client.waiting = 0;
            client.next.reset();
        }
    }

    // ---- §7 ----------------------------------------------------------------------------------------------------------------

    struct Notification {
        std::string xml;
        Jid service;
    };
    using Notifications = std::vector<Notification>;

    // The answer's id tells which registration it is about.
    static std::string id_prefix(const PushRegistration& registration) { return "push-" + std::to_string(std::hash<std::string>{}(registration.node)) + "-"; }

    void announce(const Account& account, Client& client, const Preview& preview, Notifications& due, std::uint64_t messages = 1) {
        client.waiting += messages;
        publish(account, client, preview, due);
    }

    void publish(const Account& account, Client& client, const Preview& preview, Notifications& due) {
        if (client.published && worker_.now() - *client.published < answer_patience) {
            client.next = preview;
            if (!unanswered_.is_running()) unanswered_.start(worker_.loop, answer_patience, [this] { publish_unanswered(); });
            return;
        }
        client.published = worker_.now();
        client.next.reset();
        due.push_back(notification(account, client, preview));
    }

    // A service that never answers is not waited for.
    void publish_unanswered() {
        Notifications due;
        worker_.for_each_account([&](Account& account) {
            for (Client& client : clients_[account])
                if (const auto next = std::exchange(client.next, std::nullopt)) publish(account, client, *next, due);
        });
        send(due);
    }

    Notification notification(const Account& account, const Client& client, const Preview& preview) {
        const PushRegistration& to = client.registration;
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
        if (!preview.sender.empty()) tell("last-message-sender", preview.sender);
        if (!preview.body.empty()) tell("last-message-body", preview.body);
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
        Clients& clients = clients_[account];
        const auto client = std::ranges::find_if(clients, [&](const Client& each) {
            return each.registration.service.view() == answer.from() && answer.id().starts_with(id_prefix(each.registration));
        });
        if (client == clients.end()) return;
        if (answer.is_error() && has_failed_for_good(*client, answer)) {
            log::info("push registration ended by its service", {{"jid", account.jid().text()}, {"service", client->registration.service.text()}});
            return worker_.spawn("ending a push registration", end(account.shared_from_this(), client->registration));
        }
        if (!answer.is_error()) client->failures = 0;
        client->published.reset();
        Notifications due;
        if (const auto next = std::exchange(client->next, std::nullopt)) publish(account, *client, *next, due);
        send(due);
    }

    // What may pass does so within a day, or never.
    bool has_failed_for_good(Client& client, const xmpp::Stanza& answer) {
        if (answer.child("error", xmpp::ns::client).attr("type") != "wait") return true;
        if (client.failures++ == 0) client.failing_since = worker_.now();
        return client.failures >= most_failures && worker_.now() - client.failing_since >= longest_outage;
    }

    storage::Task<void> end(std::shared_ptr<Account> account, PushRegistration registration) {
        auto removing = remove(account, registration.service, registration.node);
        const auto removed = co_await removing;
        if (!removed) log::warn("push registration not removed", {{"jid", account->jid().text()}, {"why", removed.error().text}});
    }

    Worker& worker_;
    AccountSlot<Clients> clients_;
    net::Timer unanswered_;          // while something is to be published behind what was not answered
    std::uint64_t published_ = 0;
};

}  // namespace

MODULE_FACTORY(push, Push)

}  // namespace server
