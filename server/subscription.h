// SPDX-License-Identifier: MIT
// RFC 6121 §3 and appendix A: presence subscriptions. The state machine is two pure functions; around them stand
// storage, roster pushes and the stanzas that follow from a change. Changes of one account wait for each other.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "server/host.h"
#include "storage/storage.h"
#include "storage/task.h"
#include "xmpp/stanza.h"

namespace server {

class Account;
class Session;

enum class Request : std::uint8_t { subscribe, subscribed, unsubscribe, unsubscribed };
std::optional<Request> parse_request(std::string_view presence_type);
std::string_view to_string(Request request);

// RFC 6121 appendix A.1, and the pre-approval of §3.4. "Pending Out" is ask='subscribe' in the roster.
struct SubscriptionState {
    bool to = false, from = false, pending_out = false, pending_in = false, approved = false;
    friend bool operator==(const SubscriptionState&, const SubscriptionState&) = default;
};
struct SubscriptionStep {
    SubscriptionState next;
    bool passes;            // outbound: to be routed; inbound: to be delivered to the user
};
SubscriptionStep outbound_step(SubscriptionState state, Request request);   // appendix A.2
SubscriptionStep inbound_step(SubscriptionState state, Request request);    // appendix A.3
SubscriptionState state_of(const storage::RosterItem& item);
void set_state(storage::RosterItem& item, SubscriptionState state);

class Subscriptions {
public:
    explicit Subscriptions(Host& host) : host_{host} {}

    // The sender's half; OUTBOUND has let the stanza pass. The session takes no other stanza until it is done.
    void from_client(Session& session, const xmpp::Stanza& stanza, xmpp::JidView to);
    // The recipient's half.
    void to_account(Account& account, const xmpp::Stanza& stanza);
    // §2.5.2: the contact leaves the roster, and what it was subscribed to ends. The caller holds the roster's turn.
    storage::Task<storage::Result<void>> remove_contact(std::shared_ptr<Account> account, storage::RosterItem item, std::shared_ptr<Receipt> receipt);

    // Both have agreed elsewhere: the contact enters the account's roster, subscribed both ways; `then` is called if it could.
    void befriend(Account& account, const xmpp::Jid& contact, std::function<void()> then);

private:
    storage::Task<void> enter(std::shared_ptr<Account> account, xmpp::Jid contact, std::function<void()> then);
    storage::Task<Agreement> has_agreed(Account& account, const xmpp::Stanza& request, SubscriptionState state);
    storage::Task<void> send(std::shared_ptr<Session> session, xmpp::Stanza stanza, xmpp::Jid contact, Request request);
    storage::Task<void> receive(std::shared_ptr<Account> account, xmpp::Stanza stanza, Request request);
    void send_as_account(Account& account, Request request, xmpp::JidView contact);

    Host& host_;
};

}  // namespace server
