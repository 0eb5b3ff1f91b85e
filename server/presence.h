// SPDX-License-Identifier: MIT
// RFC 6121 §4: presence of an account's resources. What a client sends goes out to everyone who may see it, what
// arrives goes to the resources it is meant for, probes are answered. Subscription requests: subscription.h.
#pragma once

#include <string>
#include <string_view>

#include "server/host.h"
#include "server/session.h"
#include "xmpp/stanza.h"

namespace server {

class Account;

class Presence {
public:
    explicit Presence(Host& host);

    // The sender's half. `stanza` bears the session's full JID, OUTBOUND has let it pass.
    void from_client(Session& session, const xmpp::Stanza& stanza);                      // without 'to': §4.2, §4.4, §4.5
    void directed(Session& session, const xmpp::Stanza& stanza, xmpp::JidView to);       // with 'to': §4.6
    // The recipient's half: probes, available, unavailable, errors. Behind roster changes of the account under way.
    void to_account(Account& account, const xmpp::Stanza& stanza, xmpp::JidView to);

    // The session ends without having said so, or its presence is to end: §4.5.2, §4.6.3.
    void session_lost(Session& session);

    // When the session said so goes along to the next process.
    void store(Session& session, SessionState& state);
    void restore(Session& session, const SessionState& state);

    // To one contact, what all available resources last said (§3.1.5), or that they are unavailable (§3.2.2).
    void share(Account& account, xmpp::JidView contact);
    void withdraw(Account& account, xmpp::JidView contact);

private:
    void become_available(Session& session, const xmpp::Stanza& stanza);
    void become_unavailable(Session& session, const xmpp::Stanza& stanza, bool tell_itself);
    void broadcast(Session& session, const xmpp::Stanza& stanza);
    void show_own_resources(Session& session);
    void probe_contacts(Session& session);
    void deliver_requests(Session& session);

    storage::Task<void> after_roster_changes(std::shared_ptr<Account> account, xmpp::Stanza stanza, xmpp::Jid to);
    void receive(Account& account, const xmpp::Stanza& stanza, xmpp::JidView to);
    void deliver(Account& account, const xmpp::Stanza& stanza, xmpp::JidView to);
    void answer_probe(Account& account, xmpp::JidView to, xmpp::JidView prober);
    void answer_stranger(Account& account, xmpp::JidView prober);
    const xmpp::Stanza& last_presence(Session& session);
    xmpp::Wire addressed(const xmpp::Stanza& stanza, xmpp::JidView to);

    struct Last {
        storage::Time since{};   // when the session sent its presence
        xmpp::Stanza stamped;    // that presence with its time, once somebody asked
    };
    Host& host_;
    SessionSlot<Last> last_;
    std::string scratch_;
};

}  // namespace server
