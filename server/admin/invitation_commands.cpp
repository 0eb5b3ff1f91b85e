// SPDX-License-Identifier: MIT
// Commands on invitations: what XEP-0401's commands do for users, without their limits.
#include "auth/invitations.h"
#include "server/admin/groups.h"
#include "server/invited.h"
#include "server/server.h"

namespace server::admin {
namespace {

using Kind = Problem::Kind;
using auth::Invitations;
using storage::Invitation;
using storage::Task;

xmpp::Failure<Problem> failure_of_invitation(const auth::InvitationError& error) {
    using InvitationKind = auth::InvitationError::Kind;
    switch (error.kind) {
        case InvitationKind::gone: return failure(Kind::not_found, "there is no such invitation; see: tern invite list");
        case InvitationKind::taken: return failure(Kind::conflict, "there is an account of that name, or another invitation keeps it");
        case InvitationKind::no_inviter: return failure(Kind::not_found, "there is no account that could invite");
        case InvitationKind::too_many: return failure(Kind::busy, "too many invitations");
        case InvitationKind::unavailable: break;
    }
    return failure(Kind::unavailable, "storage cannot take it now");
}

// "juliet", at the domain of who invites or the first one; or "juliet@example.org".
std::optional<xmpp::Jid> address_of(const Config& config, const std::string& name, const xmpp::Jid& inviter) {
    const std::string domain = inviter.empty() ? config.domains.front() : std::string{inviter.domainpart()};
    if (name.find('@') == std::string::npos) return xmpp::Jid::from_parts(name, domain);
    return xmpp::Jid::parse(name);
}

xmpp::Result<Invitations::Wanted, Problem> wanted_by(const Config& config, const Arguments& arguments) {
    Invitations::Wanted wanted;
    wanted.is_limited = false;
    if (arguments.has("jid")) wanted.inviter = arguments.jid("jid");
    if (!wanted.inviter.empty() && !config.is_local(wanted.inviter.domainpart()))
        return failure(Kind::bad_request, "\"" + std::string{wanted.inviter.domainpart()} + "\" is none of this server's domains");
    wanted.subscribes = !wanted.inviter.empty();
    const bool is_named = arguments.has("account");
    wanted.purpose = wanted.subscribes && !is_named ? Invitation::Purpose::contact : Invitation::Purpose::account;
    wanted.registers = wanted.purpose == Invitation::Purpose::account || may_give_accounts(config, wanted.inviter);
    const auto address = address_of(config, arguments.text("account"), wanted.inviter);
    if (!address || !address->is_bare() || (is_named && address->localpart().empty())) return failure(Kind::bad_request, "account must be a user name, or an address");
    if (!config.is_local(address->domainpart()))
        return failure(Kind::bad_request, "\"" + std::string{address->domainpart()} + "\" is none of this server's domains");
    if (is_named && is_like_a_number(config, *address)) return failure(Kind::bad_request, "a number's account belongs to whoever has the number");
    if (is_named && config.is_admin(*address)) return failure(Kind::bad_request, "nobody is invited to be an admin; see: tern account add");
    wanted.address = *address;
    wanted.uses = static_cast<std::uint32_t>(arguments.number("uses").value_or(1));
    if (is_named && wanted.uses != 1) return failure(Kind::bad_request, "one account is made once: leave out --uses, or --account");
    wanted.lifetime = config.invitations.lifetime;
    if (arguments.has("expires")) {
        const auto lifetime = parse_duration(arguments.text("expires"));
        if (!lifetime || *lifetime < std::chrono::minutes{1} || *lifetime > std::chrono::hours{24 * 365})
            return failure(Kind::bad_request, "expires must be a duration from 1m to 365d, e.g. \"12h\" or \"7d\"");
        wanted.lifetime = std::chrono::duration_cast<std::chrono::seconds>(*lifetime);
    }
    return wanted;
}

Task<Answer> invite(Context& context, Arguments arguments) {
    const auto config = context.server.config();
    auto wanted = wanted_by(*config, arguments);
    if (!wanted) co_return xmpp::Failure{wanted.error()};
    auto making = context.server.invitations().invite(std::move(*wanted));
    const auto link = co_await making;
    if (!link) co_return failure_of_invitation(link.error());
    const Invitation& invitation = link->invitation;
    Json answer{{"id", invitation.id}, {"uri", uri_of(invitation, link->token, *config)}};
    if (std::string url = landing_url_of(link->token, *config); !url.empty()) answer["url"] = std::move(url);
    answer["uses"] = invitation.uses_left;
    answer["expires"] = time_of(invitation.expires);
    co_return std::move(answer);
}

Task<Answer> list(Context& context, Arguments arguments) {
    auto listing = context.server.invitations().list(arguments.has("jid") ? arguments.jid("jid") : xmpp::Jid{});
    const auto invitations = co_await listing;
    if (!invitations) co_return failure_of_invitation(invitations.error());
    Json rows = Json::array();
    for (const Invitation& invitation : *invitations)
        rows.push_back({{"id", invitation.id}, {"inviter", invitation.inviter.text()}, {"for", invitation.purpose == Invitation::Purpose::account ? "account" : "contact"},
                        {"address", invitation.address.text()}, {"uses", invitation.uses_left}, {"created", time_of(invitation.created)}, {"expires", time_of(invitation.expires)}});
    co_return Json{{"invitations", std::move(rows)}};
}

Task<Answer> revoke(Context& context, Arguments arguments) {
    const std::string id = arguments.text("id");
    auto revoking = context.server.invitations().revoke(id);
    const auto revoked = co_await revoking;
    if (!revoked) co_return failure_of_invitation(revoked.error());
    co_return Json{{"message", "revoked the invitation " + id}, {"id", id}};
}

}  // namespace

std::vector<Command> invitation_commands() {
    return {
        {"invite", "make a link that gives its holder an account, or makes him somebody's contact", Role::change,
         {{.name = "jid", .type = Type::bare_jid, .required = false, .help = "who invites a contact, romeo@example.org; nobody: the link is for an account"},
          {.name = "account", .required = false, .positional = false, .help = "the user name that the account will have; else its holder chooses"},
          {.name = "uses", .type = Type::number, .required = false, .positional = false, .help = "how many may use it; else one", .least = 1, .most = 100'000},
          {.name = "expires", .required = false, .positional = false, .help = "how long it is good, \"12h\"; else invitations.lifetime"}}, invite},
        {"invite list", "the invitations that are good", Role::look,
         {{.name = "jid", .type = Type::bare_jid, .required = false, .help = "those of this account alone"}}, list},
        {"invite revoke", "make an invitation good for nothing", Role::change, {{.name = "id", .help = "its id, as \"invite list\" shows it"}}, revoke},
    };
}

}  // namespace server::admin
