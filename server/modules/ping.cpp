// SPDX-License-Identifier: MIT
// XEP-0199 2.0.1: XMPP Ping — the server answers pings to itself and, for those who may know that an account is there,
// to the account (§4.4). The server's own pings to idle clients are the stream's business (server/stream.cpp).
#include "server/account.h"
#include "server/host.h"

namespace server {

namespace {

constexpr std::string_view ns = "urn:xmpp:ping";

class Ping final : public Module {
public:
    explicit Ping(Host& host) {
        host.disco.feature(ns);
        host.disco.account_feature(ns);
        host.iq.get<&Ping::answer_for_server>(Asked::server, ns, "ping", this);
        host.iq.get<&Ping::answer_for_account>(Asked::account, ns, "ping", this);
    }

private:
    // XEP-0199 §4.2
    IqReply answer_for_server(Iq&) { return IqReply::result(); }

    // §4.2: no 'to', or one's own bare JID; §6: others learn nothing that presence would not tell them.
    IqReply answer_for_account(Iq& iq) {
        if (iq.is_own() || iq.account->roster.sends_presence_to(iq.from.view().bare())) return IqReply::result();
        return xmpp::Condition::service_unavailable;
    }
};

}  // namespace

MODULE_FACTORY(ping, Ping)

}  // namespace server
