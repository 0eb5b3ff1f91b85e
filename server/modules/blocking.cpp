// SPDX-License-Identifier: MIT
// XEP-0191 1.3: Blocking Command — a list of JIDs, per account, whose stanzas do not come in and to whom none go out.
// "Polite blocking" (§4): subscriptions stay. One's own account and one's own server cannot be shut out, whatever the
// list says. Leaves out privacy lists (XEP-0016, §5).
#include <algorithm>
#include <set>

#include "server/account.h"
#include "server/config.h"
#include "server/host.h"
#include "server/worker.h"

namespace server {

namespace {

using xmpp::Condition;
using xmpp::Jid;
using xmpp::JidView;

constexpr std::string_view ns = "urn:xmpp:blocking";
constexpr std::string_view ns_errors = "urn:xmpp:blocking:errors";

using BlockList = std::set<std::string, std::less<>>;  // normalised JIDs
constexpr std::size_t most_bytes = 1U << 20U;          // of one list; of its items: limits.roster_items

class Blocking final : public Module {
public:
    explicit Blocking(Host& host) : worker_{host.worker}, list_{host}, wants_pushes_{host} {
        host.disco.feature(ns);
        host.iq.get<&Blocking::show>(Asked::account, ns, "blocklist", this, Condition::forbidden);
        host.iq.set<&Blocking::block>(Asked::account, ns, "block", this, Condition::forbidden);
        host.iq.set<&Blocking::unblock>(Asked::account, ns, "unblock", this, Condition::forbidden);
        host.at<&Blocking::load>(host.loading, this);
        host.at<&Blocking::screen_outbound>(host.outbound, Station::screen, this);
        host.at<&Blocking::screen_inbound>(host.inbound, Station::screen, this);
        host.at<&Blocking::screen_leaving>(host.leaving, this);
        host.at<&Blocking::store>(host.storing, this);
        host.at<&Blocking::restore>(host.restored, this);
    }

private:
    void store(Session& session, SessionState& state) {
        if (wants_pushes_[session]) state[ns];
    }
    void restore(Session& session, const SessionState& state) { wants_pushes_[session] = state.find(ns) != nullptr; }

    storage::Task<storage::Result<void>> load(Account& account) {
        auto loading = worker_.storage().block_lists().load(account.id());
        const auto blocked = co_await loading;
        if (!blocked) co_return storage::Failure{blocked.error()};
        for (const Jid& jid : *blocked) list_[account].set().insert(jid.text());
        co_return storage::Result<void>{};
    }

    // XEP-0191 §3.3: nothing goes to a blocked JID; the sender is told why.
    Verdict screen_outbound(Passage& passage) {
        if (!is_blocked(passage.account, passage.to)) return Verdict::pass();
        xmpp::StanzaError error{xmpp::ErrorType::cancel, Condition::not_acceptable};
        xmpp::XmlWriter w;
        error.payload = w.open("blocked", ns_errors).close().take();
        return Verdict::bounce(std::move(error));
    }

    // §3.3: as if the account were offline.
    Verdict screen_inbound(Passage& passage) {
        const xmpp::Stanza& stanza = passage.stanza;
        if (!is_blocked(passage.account, passage.from) && !is_on_behalf_of_blocked(passage.account, stanza)) return Verdict::pass();
        const bool is_message = stanza.kind() == xmpp::Kind::message && !stanza.is_error();
        return is_message || (stanza.kind() == xmpp::Kind::iq && is_request(stanza)) ? Verdict::bounce(Condition::service_unavailable) : Verdict::drop();
    }

    // §3.3: nor does anything that came before the block: stored messages, subscription requests that wait.
    Verdict screen_leaving(Leaving& leaving) {
        if (!leaving.stanza) return Verdict::pass();
        Account& account = leaving.session.account();
        return is_blocked(account, leaving.stanza->from()) || is_on_behalf_of_blocked(account, *leaving.stanza) ? Verdict::drop() : Verdict::pass();
    }

    // XEP-0045 §7.8.2: by way of a room, whose invitation it is stands inside.
    bool is_on_behalf_of_blocked(Account& account, const xmpp::Stanza& message) const {
        if (list_[account].get().empty() || message.kind() != xmpp::Kind::message) return false;
        const xmpp::Element x = message.child("x", xmpp::ns::muc_user);
        for (const std::string_view name : {"invite", "decline"})
            if (const auto by = Jid::parse(x.child(name, xmpp::ns::muc_user).attr("from")); by && is_blocked(account, *by)) return true;
        return false;
    }

    bool is_blocked(Account& account, JidView jid) const {
        const BlockList& list = list_[account].get();
        if (list.empty() || jid.bare() == account.jid().view()) return false;
        if (jid.localpart().empty() && jid.domainpart() == account.jid().domainpart()) return false;
        return is_in(list, jid);
    }

    // §6: the address itself, any resource of it, anything at its domain.
    static bool is_in(const BlockList& list, JidView jid) {
        return list.contains(jid.text()) || list.contains(jid.bare().text()) || list.contains(jid.domainpart());
    }

    // §3.2
    IqReply show(Iq& iq) {
        if (!iq.is_own()) return Condition::forbidden;
        if (iq.session) wants_pushes_[*iq.session] = true;
        xmpp::XmlWriter w;
        w.open("blocklist", ns);
        for (const std::string& jid : list_[*iq.account].get()) w.open("item").attr("jid", jid).close();
        return w.take();
    }

    // §3.3
    storage::Task<IqReply> block(Iq iq) {
        if (!iq.is_own()) co_return IqReply{Condition::forbidden};
        auto named = named_in(iq.payload);
        if (!named) co_return IqReply{named.error()};
        if (named->empty()) co_return IqReply{Condition::bad_request};

        // The roster stays as it is until contacts have been told, and lists are changed one after the other.
        auto turning = iq.account->roster.turn();
        const auto turn = co_await turning;
        BlockList& list = list_[*iq.account].set();
        std::vector<Jid> fresh;
        std::size_t bytes = 0;
        for (const std::string& jid : list) bytes += jid.size();
        for (const Jid& jid : *named) {
            if (list.contains(jid.text())) continue;
            fresh.push_back(jid);
            bytes += jid.text().size();
        }
        if (list.size() + fresh.size() > worker_.config->limits.roster_items || bytes > most_bytes)
            co_return IqReply{xmpp::StanzaError{Condition::resource_constraint, "The block list is full."}};
        auto changing = worker_.storage().block_lists().change(iq.account->id(), fresh, {});
        const auto changed = co_await changing;
        if (!changed) co_return IqReply{changed.error()};

        for (const Jid& jid : fresh) send_unavailable(*iq.account, jid);
        for (const Jid& jid : fresh) list.insert(jid.text());
        push(*iq.account, "block", *named);
        co_return IqReply::result();
    }

    // §3.4, §3.5
    storage::Task<IqReply> unblock(Iq iq) {
        if (!iq.is_own()) co_return IqReply{Condition::forbidden};
        auto named = named_in(iq.payload);
        if (!named) co_return IqReply{named.error()};

        auto turning = iq.account->roster.turn();
        const auto turn = co_await turning;
        BlockList& list = list_[*iq.account].set();
        std::vector<Jid> gone;
        if (named->empty()) {
            for (const std::string& jid : list)
                if (auto parsed = Jid::parse(jid)) gone.push_back(std::move(*parsed));
        } else {
            for (const Jid& jid : *named)
                if (list.contains(jid.text())) gone.push_back(jid);
        }
        auto changing = named->empty() ? worker_.storage().block_lists().clear(iq.account->id())
                                       : worker_.storage().block_lists().change(iq.account->id(), {}, gone);
        const auto changed = co_await changing;
        if (!changed) co_return IqReply{changed.error()};

        for (const Jid& jid : gone) list.erase(jid.text());
        for (const Jid& jid : gone) send_available(*iq.account, jid);
        push(*iq.account, "unblock", *named);
        co_return IqReply::result();
    }

    static xmpp::Result<std::vector<Jid>, xmpp::StanzaError> named_in(const xmpp::Element& command) {
        std::vector<Jid> named;
        for (const xmpp::Element item : command.children()) {
            const bool is_complete = item.is("item", ns) && !item.attr("jid").empty();
            if (!is_complete) return xmpp::Failure{xmpp::StanzaError{Condition::bad_request}};
            auto jid = Jid::parse(item.attr("jid"));
            if (!jid) return xmpp::Failure{xmpp::StanzaError{Condition::jid_malformed}};
            named.push_back(std::move(*jid));
        }
        return named;
    }

    // §3.3: to whom the user's presence goes, by subscription or directed (RFC 6121 §4.6).
    void send_unavailable(Account& account, const Jid& blocked) {
        const auto contacts = contacts_behind(account, blocked, &Roster::sends_presence_to);
        for (const Jid& jid : contacts) worker_.presence.withdraw(account, jid);
        for (const auto& session : account.sessions()) {
            if (!session->has_directed()) continue;
            std::vector<Jid> directed;
            for (const Jid& jid : session->directed())
                if (is_in({blocked.text()}, jid)) directed.push_back(jid);
            for (const Jid& jid : directed) {
                session->directed().erase(jid);
                if (std::ranges::find(contacts, jid) != contacts.end()) continue;
                send_presence("unavailable", session->jid(), jid);
            }
        }
    }

    // §3.4: the contact sees the user again; a probe (RFC 6121 §4.3) asks for what the user did not see.
    void send_available(Account& account, const Jid& unblocked) {
        const auto is_available = [](const auto& session) { return session->is_available(); };
        if (std::ranges::none_of(account.sessions(), is_available)) return;
        // Unless another item of the list still blocks it.
        for (const Jid& jid : contacts_behind(account, unblocked, &Roster::sends_presence_to))
            if (!is_blocked(account, jid)) worker_.presence.share(account, jid);
        for (const Jid& jid : contacts_behind(account, unblocked, &Roster::receives_presence_from))
            if (!is_blocked(account, jid)) send_presence("probe", account.jid(), jid);
    }

    void send_presence(std::string_view type, const Jid& from, const Jid& to) {
        xmpp::XmlWriter w;
        w.open("presence").attr("type", type).attr("from", from.text()).attr("to", to.text());
        worker_.router.send_xml(w.take(), to);
    }

    // The contacts that an item of the list means: a full JID is told as such, a domain is everybody there.
    using HasSubscription = bool (Roster::*)(JidView) const;
    static std::vector<Jid> contacts_behind(const Account& account, const Jid& item, HasSubscription has_subscription) {
        std::vector<Jid> contacts;
        if (!item.is_domain()) {
            if ((account.roster.*has_subscription)(item.view().bare())) contacts.push_back(item);
            return contacts;
        }
        for (const auto& [jid, roster_item] : account.roster.items())
            if (jid.domainpart() == item.domainpart() && (account.roster.*has_subscription)(jid))
                contacts.push_back(jid);
        return contacts;
    }

    // §3.3: to all resources that have asked for the list.
    void push(const Account& account, std::string_view command, const std::vector<Jid>& items) {
        for (const auto& session : account.sessions()) {
            if (!wants_pushes_[*session]) continue;
            xmpp::XmlWriter w;
            w.open("iq").attr("type", "set").attr("id", "blocking-" + std::to_string(++pushes_));
            w.attr("to", session->jid().text()).open(command, ns);
            for (const Jid& jid : items) w.open("item").attr("jid", jid.text()).close();
            session->send_xml(w.take());
        }
    }

    Worker& worker_;
    AccountSlot<Seldom<BlockList>> list_;
    SessionSlot<bool> wants_pushes_;
    std::uint64_t pushes_ = 0;
};

}  // namespace

MODULE_FACTORY(blocking, Blocking)

}  // namespace server
