// SPDX-License-Identifier: MIT
// The route of a stanza: RFC 6120 §10 and RFC 6121 §8, in their order, and not one XEP.
//   from_client ─▶ OUTBOUND ─▶ to_account (on the recipient's worker) ─▶ INBOUND ─▶ resources ─▶ LEAVING ─▶ wire
#pragma once

#include <memory>
#include <string>

#include "server/hooks.h"
#include "server/host.h"
#include "server/iq.h"
#include "xmpp/parser.h"
#include "xmpp/stanza.h"

namespace server {

class Worker;

class Router {
public:
    explicit Router(Worker& worker) : worker_{worker} {}

    // A stanza that a session's client sent, stamped with its full JID. The sender's half of the route.
    void from_client(Session& session, const xmpp::Stanza& stanza);

    // A stanza that the server or a module wrote on behalf of an account (presence, subscription, roster…): past
    // OUTBOUND but for its screen, straight to whom `to` names, on whatever worker that lives. Without a reply to
    // anybody when it fails.
    void send(const xmpp::Stanza& stanza, xmpp::JidView to);
    void send_xml(std::string_view xml, xmpp::JidView to) { send(xmpp::parse_trusted(xml), to); }

    // The recipient's half, on the recipient's worker. `from` stands in the stanza.
    void to_account(Account& account, const xmpp::Stanza& stanza, xmpp::JidView to);
    // No such account: the same answers as from an account that is offline, so that nobody learns who exists.
    void to_nobody(const xmpp::Stanza& stanza, xmpp::JidView to);

    // Something was posted to that worker because of the stanza that is under way: if it is behind, its sender pauses.
    void has_posted_to(Worker& home);

    // The one function that answers a stanza with an error; never answers an error or a result (RFC 6120 §8.3.1).
    void bounce(const xmpp::Stanza& stanza, xmpp::JidView from_asked, const xmpp::StanzaError& error);
    // The one function that answers an IQ.
    void answer(const xmpp::Stanza& request, xmpp::JidView asked, const IqReply& reply);

private:
    void route(const xmpp::Stanza& stanza, xmpp::JidView to);
    void to_own_account(Session& session, const xmpp::Stanza& stanza);
    void presence_from_client(Session& session, const xmpp::Stanza& stanza);
    void to_server(Session* session, const xmpp::Stanza& stanza);
    void to_service(const xmpp::Stanza& stanza, xmpp::JidView to);
    using Arrival = void (Router::*)(const xmpp::Stanza&, xmpp::JidView);
    void go_home(const xmpp::Stanza& stanza, xmpp::JidView to, Arrival arrival);   // to the worker where `to` lives
    void arrive(const xmpp::Stanza& stanza, xmpp::JidView to);
    void message_to_bare(Passage& passage);
    void to_full(Passage& passage);
    void iq_to_account(Account& account, const xmpp::Stanza& stanza, xmpp::JidView to);
    void deliver(Session& session, Passage& passage);
    void unclaimed(Passage& passage, const xmpp::StanzaError* otherwise);
    void ask(Iq iq, const ServiceOf* service = nullptr);
    storage::Task<void> ask_and_wait(const IqTable::Entry& entry, Iq iq);
    void send_back(const xmpp::Stanza& request, std::string_view xml);
    void hold_back(Session& session, Worker& behind);

    struct Sending;
    Worker& worker_;
    Session* sender_ = nullptr;   // whose client's stanza is under way, until it has had to pause for it
};

bool is_subscription(const xmpp::Stanza& presence);   // subscribe, subscribed, unsubscribe, unsubscribed

}  // namespace server
