// SPDX-License-Identifier: MIT
// XEP-0445 0.2.0: Pre-Authenticated In-Band Registration, and XEP-0379 0.3.3: Pre-Authenticated Roster Subscription — an
// invitation's token, shown before login, lets its holder register; in a subscription request it is its inviter's answer.
// What is registered then is the module registration's; tokens are made by the module invitations and the command line.
// The server answers for the inviter alone: the guest's client approves in advance, or asks its user (XEP-0379 §3.6).
#include <map>

#include "server/account.h"
#include "server/config.h"
#include "server/invited.h"
#include "server/log.h"
#include "server/server.h"
#include "server/stream.h"
#include "server/worker.h"

namespace server {

namespace {

using storage::Invitation;
using storage::Task;
using xmpp::Condition;

constexpr std::string_view ns = "urn:xmpp:pars:0";
constexpr std::string_view ns_feature = "urn:xmpp:ibr-token:0";

class PreAuthentication final : public Module {
public:
    explicit PreAuthentication(Host& host) : worker_{host.worker} {
        host.at<&PreAuthentication::offer>(host.features, this);
        host.iq_before_login.add<&PreAuthentication::show>(ns, "preauth", this);
        host.invitation.provide<&PreAuthentication::invitation_of>(this);
        host.at<&PreAuthentication::has_agreed>(host.agreed, this);
    }

private:
    struct Shown {
        Invitation invitation;
        bool was_encrypted;
    };

    // XEP-0445 §3
    void offer(Stream& stream, xmpp::XmlWriter& w) {
        if (stream.may_register()) w.leaf_ns("register", ns_feature);
    }

    // XEP-0445 §4: nothing is used up before somebody has registered, and later nobody asks whether it has expired.
    Task<IqReply> show(IqBeforeLogin iq) {
        const std::string token{iq.payload.attr("token")};
        if (iq.stanza.type() != "set" || token.empty()) co_return IqReply{Condition::bad_request};
        auto looking = worker_.server.invitations().look(token, iq.client_address);
        auto found = co_await looking;
        if (!found && found.error().kind != auth::InvitationError::Kind::gone) co_return IqReply{stanza_error_of(found.error())};
        const bool is_acceptable = found && found->address.domainpart() == iq.domain && lets_register(*found, *worker_.config);
        if (!is_acceptable) co_return IqReply{xmpp::StanzaError{Condition::item_not_found, "The provided token is invalid or expired"}};
        std::erase_if(shown_, [](const auto& entry) { return entry.first.expired(); });
        shown_.insert_or_assign(iq.stream, Shown{std::move(*found), iq.encrypted});
        if (const auto stream = iq.stream.lock()) stream->extend_login(worker_.config->registration.pin_lifetime);
        co_return IqReply::result();
    }

    std::optional<Invitation> invitation_of(const std::weak_ptr<Stream>& stream) {
        const auto found = shown_.find(stream);
        const auto there = stream.lock();
        if (found == shown_.end() || !there) return std::nullopt;
        // RFC 6120 §5.4.3.3: what was said before STARTTLS counts no more, for somebody else may have said it.
        const bool is_encrypted = there->phase() != Stream::Phase::secure;
        if (found->second.was_encrypted != is_encrypted) return std::nullopt;
        return found->second.invitation;
    }

    // XEP-0379 §3.5. §4.1: an unknown token may be one that the inviter's client has made; it is let through.
    Task<Agreement> has_agreed(Account& account, const xmpp::Stanza& request) {
        const std::string token{request.child("preauth", ns).attr("token")};
        if (token.empty()) co_return Agreement{};
        const xmpp::Jid guest{request.from().bare()};
        auto& invitations = worker_.server.invitations();
        auto looking = invitations.look(token, guest.text());
        const auto found = co_await looking;
        if (!found || !found->subscribes || found->inviter_id != account.id()) co_return Agreement{};
        auto using_up = invitations.use(found->id);
        const auto used = co_await using_up;
        if (!used) co_return Agreement{};
        log::info("invitation used", {{"jid", guest.text()}, {"inviter", account.jid().text()}, {"invitation", found->id}});
        co_return Agreement{[this, id = found->id] { worker_.spawn("giving an invitation back", worker_.server.invitations().give_back(id)); }};
    }

    Worker& worker_;
    std::map<std::weak_ptr<Stream>, Shown, std::owner_less<>> shown_;
};

}  // namespace

MODULE_FACTORY(pre_authentication, PreAuthentication)

}  // namespace server
