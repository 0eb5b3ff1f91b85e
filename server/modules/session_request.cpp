// SPDX-License-Identifier: MIT
// RFC 3921 §3: session establishment. RFC 6120 has done away with it, but older clients (mcabber) still ask;
// it does nothing.
#include "server/stream.h"
#include "server/worker.h"

namespace server {

namespace {

namespace ns = xmpp::ns;

class SessionRequest final : public Module {
public:
    explicit SessionRequest(Host& host) {
        host.at<&SessionRequest::offer>(host.features, this);
        host.iq.set<&SessionRequest::answer_for_server>(Asked::server, ns::session, "session", this);
        host.iq.set<&SessionRequest::answer_for_account>(Asked::account, ns::session, "session", this);
    }

private:
    // <optional/> tells newer clients that they need not ask.
    void offer(Stream& stream, xmpp::XmlWriter& w) {
        if (stream.phase() == Stream::Phase::bind) w.open("session", ns::session).leaf("optional").close();
    }

    // RFC 3921 §3: "Server informs client that session has been created"
    IqReply answer_for_server(Iq&) { return IqReply::result(); }

    IqReply answer_for_account(Iq& iq) {
        if (iq.is_own()) return IqReply::result();
        return xmpp::Condition::service_unavailable;
    }
};

}  // namespace

MODULE_FACTORY(session_request, SessionRequest)

}  // namespace server
