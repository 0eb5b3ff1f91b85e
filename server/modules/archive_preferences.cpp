// SPDX-License-Identifier: MIT
// XEP-0441 0.2.0: Message Archive Management Preferences — whose messages an account's archive keeps. What is refused
// here is still stored until every device has it; it is in no archive query.
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
    }

private:
    using Preferences = std::optional<storage::ArchivePreferences>;

    storage::Task<storage::Result<void>> load(Account& account) {
        auto loading = worker_.storage().archive_preferences().load(account.id());
        auto loaded = co_await loading;
        if (!loaded) co_return storage::Failure{loaded.error()};
        preferences_[account] = std::move(*loaded);
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
        if (always->size() + never->size() > worker_.config->limits.roster_items) co_return IqReply{Condition::resource_constraint};
        storage::ArchivePreferences wanted;
        wanted.by_default = *by_default;
        wanted.always = std::move(*always);
        wanted.never = std::move(*never);
        auto storing = worker_.storage().archive_preferences().store(iq.account->id(), wanted);
        const auto stored = co_await storing;
        if (!stored) co_return IqReply{stored.error()};
        preferences_[*iq.account] = std::move(wanted);
        co_return IqReply{described(*iq.account)};
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
