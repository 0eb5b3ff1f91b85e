// SPDX-License-Identifier: MIT
// XEP-0441 0.2.0: Message Archive Management Preferences — whose messages an account's archive keeps. What is refused
// here is still stored until every device has it; it is in no archive query. Also as a command (XEP-0050).
#include <algorithm>

#include "server/account.h"
#include "server/config.h"
#include "server/host.h"
#include "server/worker.h"

namespace server {

namespace {

using storage::Archiving;
using xmpp::Condition;
using xmpp::Jid;
using xmpp::JidView;

constexpr std::string_view ns = "urn:xmpp:mam:2";
constexpr std::string_view names[] = {"always", "never", "roster"};   // by Archiving

std::optional<Archiving> parse_default(std::string_view text) {
    const auto* const found = std::ranges::find(names, text);
    if (found == std::end(names)) return std::nullopt;
    return static_cast<Archiving>(found - std::begin(names));
}

// nullopt: one of them is no JID.
std::optional<std::vector<Jid>> parse_list(const xmpp::Element& list) {
    std::vector<Jid> jids;
    for (const xmpp::Element child : list.children()) {
        const auto jid = child.is("jid", ns) ? Jid::parse(child.text()) : std::nullopt;
        if (!jid) return std::nullopt;
        if (std::ranges::find(jids, *jid) == jids.end()) jids.push_back(*jid);
    }
    return jids;
}

// §2.3.1: a bare JID in a list stands for all its resources.
bool is_in(const std::vector<Jid>& list, JidView jid) {
    return std::ranges::any_of(list, [jid](const Jid& listed) { return listed.view() == (listed.view().is_full() ? jid : jid.bare()); });
}

class ArchivePreferences final : public Module {
public:
    explicit ArchivePreferences(Host& host) : worker_{host.worker}, preferences_{host} {
        host.at<&ArchivePreferences::load>(host.loading, this);
        host.at<&ArchivePreferences::apply>(host.outbound, Station::stamp, this);
        host.at<&ArchivePreferences::apply>(host.inbound, Station::stamp, this);
        host.iq.get<&ArchivePreferences::show>(Asked::account, ns, "prefs", this, Condition::forbidden);
        host.iq.set<&ArchivePreferences::change>(Asked::account, ns, "prefs", this, Condition::forbidden);
        host.commands.add<&ArchivePreferences::change_by_command>("urn:tern:archive:0#preferences", "What the archive keeps", this);
    }

private:
    using Preferences = std::unique_ptr<const storage::ArchivePreferences>;   // nullptr: whatever the server's are

    storage::Task<storage::Result<void>> load(Account& account) {
        auto loading = worker_.storage().archive_preferences().load(account.id());
        auto loaded = co_await loading;
        if (!loaded) co_return storage::Failure{loaded.error()};
        if (*loaded) preferences_[account] = std::make_unique<storage::ArchivePreferences>(std::move(**loaded));
        co_return storage::Result<void>{};
    }

    // §2.3.2, §2.3.3
    Verdict apply(Passage& passage) {
        if (passage.stanza.kind() == xmpp::Kind::message)
            passage.may_be_archived = allows(passage.account, passage.direction == storage::Direction::outgoing ? passage.to : passage.from);
        return Verdict::pass();
    }

    bool allows(Account& account, JidView contact) {
        const Preferences& preferences = preferences_[account];
        if (preferences && is_in(preferences->never, contact)) return false;
        if (preferences && is_in(preferences->always, contact)) return true;
        switch (default_of(account)) {
            case Archiving::always: return true;
            case Archiving::never: return false;
            case Archiving::roster: break;
        }
        const storage::RosterItem* const item = account.roster.find(contact.bare());   // §2.1.1
        return item && item->in_roster;
    }

    Archiving default_of(Account& account) {
        const Preferences& preferences = preferences_[account];
        return preferences ? preferences->by_default : *parse_default(worker_.config->messages.archive);
    }

    // §2.1
    IqReply show(Iq& iq) {
        if (!iq.is_own()) return Condition::forbidden;
        return described(*iq.account);
    }

    storage::Task<IqReply> change(Iq iq) {
        if (!iq.is_own()) co_return IqReply{Condition::forbidden};
        const auto by_default = parse_default(iq.payload.attr("default"));
        auto always = parse_list(iq.payload.child("always", ns)), never = parse_list(iq.payload.child("never", ns));
        if (!by_default || !always || !never) co_return IqReply{Condition::bad_request};
        storage::ArchivePreferences wanted;
        wanted.by_default = *by_default;
        wanted.always = std::move(*always);
        wanted.never = std::move(*never);
        auto setting = set(iq.account, std::move(wanted));
        auto refused = co_await setting;
        if (refused) co_return std::move(*refused);
        co_return IqReply{described(*iq.account)};
    }

    // nullopt: it is done.
    storage::Task<std::optional<IqReply>> set(std::shared_ptr<Account> account, storage::ArchivePreferences wanted) {
        if (wanted.always.size() + wanted.never.size() > worker_.config->limits.roster_items) co_return std::optional<IqReply>{Condition::resource_constraint};
        auto storing = worker_.storage().archive_preferences().store(account->id(), wanted);
        const auto stored = co_await storing;
        if (!stored) co_return std::optional<IqReply>{stored.error()};
        preferences_[*account] = std::make_unique<storage::ArchivePreferences>(std::move(wanted));
        co_return std::optional<IqReply>{};
    }

    storage::Task<CommandOutcome> change_by_command(CommandDialog& dialog) {
        auto asking = dialog.ask(form_of(*dialog.account), CommandDialog::Stage::last);
        const auto chosen = co_await asking;
        if (!chosen) co_return CommandOutcome::cancelled();
        const auto by_default = parse_default(chosen->value("default"));
        if (!by_default) co_return CommandOutcome::failed("Choose one of the three.");
        storage::ArchivePreferences wanted;
        wanted.by_default = *by_default;
        for (const auto& [var, list] : {std::pair{"always", &wanted.always}, std::pair{"never", &wanted.never}}) {
            const xmpp::FormField* const field = chosen->field(var);
            if (!field) continue;
            for (const std::string& line : field->values) {
                if (line.empty()) continue;   // an empty text box sends one
                auto jid = Jid::parse(line);
                if (!jid) co_return CommandOutcome::failed("\"" + line + "\" is no address.");
                if (std::ranges::find(*list, *jid) == list->end()) list->push_back(std::move(*jid));
            }
        }
        auto setting = set(dialog.account, std::move(wanted));
        const auto refused = co_await setting;
        co_return refused ? CommandOutcome::failed("This could not be stored.") : CommandOutcome::done("The archive keeps what you have chosen from now on.");
    }

    xmpp::DataForm form_of(Account& account) {
        const Preferences& preferences = preferences_[account];
        xmpp::DataForm form;
        form.title = "What the archive keeps";
        form.instructions.emplace_back("Messages that it does not keep reach your devices all the same.");
        xmpp::FormField by_default;
        by_default.var = "default";
        by_default.type = "list-single";
        by_default.label = "Keep messages";
        by_default.required = true;
        by_default.values.emplace_back(names[static_cast<int>(default_of(account))]);
        by_default.options = {{"of everybody", "always"}, {"of nobody", "never"}, {"of my contacts", "roster"}};
        form.fields.push_back(std::move(by_default));
        const auto add = [&form](std::string var, std::string label, const std::vector<Jid>* jids) {
            xmpp::FormField list;
            list.var = std::move(var);
            list.type = "jid-multi";
            list.label = std::move(label);
            if (jids) for (const Jid& jid : *jids) list.values.push_back(jid.text());
            form.fields.push_back(std::move(list));
        };
        add("always", "And always those of", preferences ? &preferences->always : nullptr);
        add("never", "But never those of", preferences ? &preferences->never : nullptr);
        return form;
    }

    std::string described(Account& account) {
        const Preferences& preferences = preferences_[account];
        xmpp::XmlWriter w;
        w.open("prefs", ns).attr("default", names[static_cast<int>(default_of(account))]);
        w.open("always");
        if (preferences) for (const Jid& jid : preferences->always) w.leaf("jid", jid.text());
        w.close().open("never");
        if (preferences) for (const Jid& jid : preferences->never) w.leaf("jid", jid.text());
        return w.take();
    }

    Worker& worker_;
    AccountSlot<Preferences> preferences_;
};

}  // namespace

MODULE_FACTORY(archive_preferences, ArchivePreferences)

}  // namespace server
