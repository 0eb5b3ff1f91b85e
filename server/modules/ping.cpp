// SPDX-License-Identifier: MIT
// XEP-0199 2.0.1: XMPP Ping — the server answers pings to itself and, for those who may know that an account is there,
// to the account (§4.4), and pings a client itself (§4.1) when nothing came from it for limits.idle. Any sign of life
// will do as an answer; without one the connection ends the stream after limits.ping_timeout.
#include "server/account.h"
#include "server/host.h"
#include "server/session.h"

namespace server {

namespace {

constexpr std::string_view ns = "urn:xmpp:ping";

class Ping final : public Module {
public:
    explicit Ping(Host& host) {
        host.disco.feature(ns);
        host.disco.account_feature(ns);
        host.at<&Ping::ask>(host.silent, this);
        host.iq.get<&Ping::answer_for_server>(Asked::server, ns, "ping", this);
        host.iq.get<&Ping::answer_for_server>(Asked::service, ns, "ping", this);
        host.iq.get<&Ping::answer_for_account>(Asked::account, ns, "ping", this);
    }

private:
    // §4.1
    void ask(Session& session) {
        xmpp::XmlWriter w;
        w.open("iq").attr("type", "get").attr("id", "ping-" + std::to_string(++asked_)).attr("from", session.jid().domainpart());
        w.attr("to", session.jid().text()).leaf_ns("ping", ns);
        session.send_xml(w.take());
    }

    // XEP-0199 §4.2
    IqReply answer_for_server(Iq&) { return IqReply::result(); }

    // §4.2: no 'to', or one's own bare JID; §6: others learn nothing that presence would not tell them.
    IqReply answer_for_account(Iq& iq) {
        if (iq.is_own() || iq.account->roster.sends_presence_to(iq.from.view().bare())) return IqReply::result();
        return xmpp::Condition::service_unavailable;
    }

    std::uint64_t asked_ = 0;
};

}  // namespace

MODULE_FACTORY(ping, Ping)

}  // namespace server
