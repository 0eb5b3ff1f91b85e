// SPDX-License-Identifier: MIT
// XEP-0388 1.0.4: Extensible SASL Profile — the same exchanges as RFC 6120 §6, without a new stream behind them and with
// what the client wants next asked for in the same breath. Offered under TLS alone. Tasks that a <continue/> asks for are
// other modules'.
#include "server/account.h"
#include "server/host.h"
#include "server/log.h"
#include "server/login_request.h"
#include "server/stream.h"
#include "server/worker.h"
#include "xmpp/base64.h"

namespace server {

namespace {

namespace ns = xmpp::ns;

constexpr std::size_t longest_software = 64;

class Sasl2 final : public Module {
public:
    explicit Sasl2(Host& host) : host_{host} {
        host.at<&Sasl2::offer>(host.features, this);
        host.nonzas_before_login.add<&Sasl2::authenticate>(ns::sasl2, "authenticate", this);
        host.nonzas_before_login.add<&Sasl2::respond>(ns::sasl2, "response", this);
        host.nonzas_before_login.add<&Sasl2::abort>(ns::sasl2, "abort", this);
        host.logged_in.provide<&Sasl2::begin_completing>(this);
    }

private:
    // §2.1
    void offer(Stream& stream, xmpp::XmlWriter& w) {
        if (stream.phase() != Stream::Phase::authenticate || !stream.transport().is_encrypted()) return;
        w.open("authentication", ns::sasl2);
        for (const std::string& mechanism : stream.mechanisms()) w.leaf("mechanism", mechanism);
        w.open("inline");
        host_.inline_features.tell(stream, w);
        w.close();
        host_.login_features.tell(stream, w);
        w.close();
    }

    // §2.3. An absent <initial-response/> is none; an empty one is empty.
    void authenticate(Stream& stream, const xmpp::Stanza& element) {
        if (!stream.transport().is_encrypted()) return stream.close({xmpp::StreamCondition::policy_violation, "Not without TLS."});
        const xmpp::Element initial = element.child("initial-response", ns::sasl2);
        stream.authenticate(element.element().attr("mechanism"), initial ? std::optional{initial.text()} : std::nullopt, element);
    }
    void respond(Stream& stream, const xmpp::Stanza& element) {
        stream.speak(ns::sasl2);
        stream.respond(element.element().text());
    }
    void abort(Stream& stream, const xmpp::Stanza&) {   // §4.5
        stream.speak(ns::sasl2);
        stream.refuse(auth::SaslCondition::aborted);
    }

    // §2.6.1: on the account's worker now.
    void begin_completing(Stream& stream, const xmpp::Stanza& request, const auth::Success& success) {
        host_.worker.spawn("completing a login", complete(stream.shared_from_this(), request, success));
    }

    storage::Task<void> complete(std::shared_ptr<Stream> stream, xmpp::Stanza request, auth::Success success) {
        LoginRequest login{*stream, std::move(request), success.token, {}, {}};
        for (const auto& hook : host_.inline_requests.entries()) {
            auto answering = hook.call(hook.module, login);
            co_await answering;
            if (stream->phase() == Stream::Phase::closing) co_return;
        }
        const Session* const session = stream->session();
        if (session) note_software(*session, login.authenticate.child("user-agent", ns::sasl2));
        xmpp::XmlWriter w;
        w.open("success", ns::sasl2);
        if (!success.data.empty()) w.leaf("additional-data", xmpp::base64(success.data));
        w.leaf("authorization-identifier", session ? session->jid().text() : stream->authenticated_as().text());
        w.raw(login.answers);
        stream->completed_login(w.take(), login.is_resumed);
        for (const auto& then : login.afterwards)
            if (stream->phase() != Stream::Phase::closing) then();
        stream->go_on();
    }

    // §2.3: to keep the user informed about what devices are connected.
    static void note_software(const Session& session, const xmpp::Element& user_agent) {
        const std::string said = user_agent.child("software", ns::sasl2).text();
        if (const auto software = xmpp::opaque_string(said); software && !said.empty() && said.size() <= longest_software)
            session.account().set_software(session.device(), *software);
    }

    Host& host_;
};

}  // namespace

MODULE_FACTORY(sasl2, Sasl2)

}  // namespace server
