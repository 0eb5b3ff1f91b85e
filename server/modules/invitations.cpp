// SPDX-License-Identifier: MIT
// XEP-0401 0.6.0: Ad-hoc Account Invitation Generation — a user's command makes a link for a friend, who becomes a contact
// and may get an account; whoever invitations.register permits makes links for new accounts. What such a link does is the
// module pre_authentication's; its landing page is server/http's. §5.1 names a field "expire", §12.1 "expiry": it is the former.
#include "server/account.h"
#include "server/config.h"
#include "server/invited.h"
#include "server/log.h"
#include "server/registration_forms.h"
#include "server/server.h"
#include "server/worker.h"
#include "xmpp/date_time.h"

namespace server {

namespace {

using auth::Invitations;
using storage::Invitation;
using storage::Task;
using xmpp::DataForm;

constexpr std::string_view form_type = "urn:xmpp:invite#invitation";

class InvitationsModule final : public Module {
public:
    explicit InvitationsModule(Host& host) : worker_{host.worker} {
        host.commands.add<&InvitationsModule::invite>("urn:xmpp:invite#invite", "Invite user", this);
        host.commands.add<&InvitationsModule::create_account>("urn:xmpp:invite#create-account", "Create account", this)
            .only_for<&InvitationsModule::may_create_accounts>(this);
    }

private:
    bool may_create_accounts(const Account& account) const { return may_give_accounts(*worker_.config, account.jid()); }

    // §5.1
    Task<CommandOutcome> invite(CommandDialog& dialog) {
        Invitations::Wanted wanted;
        wanted.inviter = dialog.account->jid();
        wanted.address = *xmpp::Jid::from_parts({}, wanted.inviter.domainpart());
        wanted.subscribes = true;
        wanted.registers = may_create_accounts(*dialog.account);
        auto making = make(std::move(wanted));
        auto outcome = co_await making;
        co_return std::move(outcome);
    }

    // §5.4
    Task<CommandOutcome> create_account(CommandDialog& dialog) {
        DataForm form;
        form.title = "Create account";
        add_field(form, "username", "text-single", "Username");
        add_field(form, "roster-subscription", "boolean", "Roster subscription");
        auto asking = dialog.ask(std::move(form), CommandDialog::Stage::last);
        const auto submitted = co_await asking;
        if (!submitted) co_return CommandOutcome::cancelled();
        Invitations::Wanted wanted;
        wanted.inviter = dialog.account->jid();
        wanted.purpose = Invitation::Purpose::account;
        wanted.registers = true;
        const std::string_view answer = submitted->value("roster-subscription");
        wanted.subscribes = answer == "1" || answer == "true";
        const std::string_view username = submitted->value("username");
        const auto address = xmpp::Jid::from_parts(username, wanted.inviter.domainpart());
        const bool is_named = address && !address->localpart().empty();
        if (!address || (is_named && (is_like_a_number(*worker_.config, *address) || worker_.config->is_admin(*address))))
            co_return CommandOutcome::failed("This user name is not allowed.");
        wanted.address = *address;
        auto making = make(std::move(wanted));
        auto outcome = co_await making;
        co_return std::move(outcome);
    }

    Task<CommandOutcome> make(Invitations::Wanted wanted) {
        wanted.lifetime = worker_.config->invitations.lifetime;
        auto making = worker_.server.invitations().invite(std::move(wanted));
        const auto link = co_await making;
        if (!link) co_return CommandOutcome::failed(sentence_of(link.error()));
        const Invitation& invitation = link->invitation;
        log::info("invitation made", {{"jid", invitation.inviter.text()}, {"invitation", invitation.id}, {"for", invitation.address.text()}});
        DataForm form;
        form.type = "result";
        form.title = "Invitation";
        add_field(form, "uri", "text-single", "Link", uri_of(invitation, link->token, *worker_.config));
        if (std::string url = landing_url_of(link->token, *worker_.config); !url.empty())
            add_field(form, "landing-url", "text-single", "Web page", std::move(url));
        add_field(form, "expire", "text-single", "Good until", xmpp::format_date_time(invitation.expires));
        form.hidden_form_type(form_type);
        co_return CommandOutcome::shown(std::move(form));
    }

    Worker& worker_;
};

}  // namespace

MODULE_FACTORY(invitations, InvitationsModule)

}  // namespace server
