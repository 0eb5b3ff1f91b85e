// SPDX-License-Identifier: MIT
// XEP-0386 1.1.0: Bind 2 — a resource, and what its session begins with, together with the login. Differs from §3.2 in one
// thing: what waits for the device is not thrown away, its client is given time to fetch it from the archive first
// (AccountLog::expects_archive). A client that names itself (<user-agent id/>) gets the same resource each time.
#include "auth/crypto.h"
#include "server/account.h"
#include "server/host.h"
#include "server/login_request.h"
#include "server/server.h"
#include "server/stream.h"
#include "server/worker.h"

namespace server {

namespace {

constexpr std::string_view ns = "urn:xmpp:bind:0";
constexpr std::size_t longest_tag = 64;
constexpr std::size_t id_bytes = 9;

class Bind2 final : public Module {
public:
    explicit Bind2(Host& host) : host_{host} {
        host.at<&Bind2::offer>(host.inline_features, this);
        host.at<&Bind2::bind>(host.inline_requests, this);
    }

private:
    // §3.1
    void offer(Stream&, xmpp::XmlWriter& w) {
        w.open("bind", ns).open("inline");
        for (const std::string_view feature : host_.bind_features) w.open("feature").attr("var", feature).close();
        w.close().close();
    }

    // §3.2
    storage::Task<void> bind(LoginRequest& login) {
        const xmpp::Element asked = login.authenticate.child("bind", ns);
        Stream& stream = login.stream;
        if (!asked || stream.session()) co_return;   // a resumed session has its resource
        auto loading = host_.worker.load(stream.authenticated_as());
        const std::shared_ptr<Account> account = co_await loading;
        if (stream.phase() == Stream::Phase::closing) co_return;
        if (!account) co_return stream.close({xmpp::StreamCondition::resource_constraint, "The account cannot be loaded now."});
        std::string answers;
        ++account->busy;   // else it may be forgotten meanwhile
        for (const auto& hook : host_.before_binding.entries()) {
            auto answering = hook.call(hook.module, *account, answers);
            co_await answering;
        }
        if (--account->busy == 0) host_.worker.became_idle(*account);
        if (stream.phase() == Stream::Phase::closing) co_return;
        // From here on others see the session, and what they send it must not overtake <success/> (XEP-0388 §2.4).
        if (const auto refused = stream.take_resource(account, resource_for(stream, login.authenticate, asked)))
            co_return stream.close({condition_of(*refused), refused->text});
        account->log.expects_archive(*stream.session());
        Binding binding{*stream.session(), asked, std::move(answers)};
        host_.binding.tell(binding);
        xmpp::XmlWriter w;
        w.open("bound", ns).raw(binding.answers);
        login.answers += w.take();
        login.afterwards.emplace_back([&stream] { stream.announce_session(); });
    }

    static xmpp::StreamCondition condition_of(const xmpp::StanzaError& refused) {
        return refused.condition == xmpp::Condition::not_authorized ? xmpp::StreamCondition::not_authorized : xmpp::StreamCondition::resource_constraint;
    }

    // §3.2.1
    std::string resource_for(const Stream& stream, const xmpp::Stanza& authenticate, const xmpp::Element& asked) const {
        std::string tag = asked.child("tag", ns).text();
        if (tag.size() > longest_tag) tag.clear();
        const std::string_view client = authenticate.child("user-agent", xmpp::ns::sasl2).attr("id");
        const std::string named = std::string{stream.device()}.append(" ").append(client).append(" ").append(tag);
        const std::string id = client.empty() ? auth::random_token(id_bytes)
                                              : auth::token(auth::hmac(storage::Hash::sha256, host_.worker.server.fake_salt_secret(), named).substr(0, id_bytes));
        const std::string with_tag = tag.empty() ? id : tag + "/" + id;
        return xmpp::normalise_resourcepart(with_tag) ? with_tag : id;
    }

    Host& host_;
};

}  // namespace

MODULE_FACTORY(bind2, Bind2)

}  // namespace server
