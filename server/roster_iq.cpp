// SPDX-License-Identifier: MIT
// RFC 6121 §2: what clients ask of the roster and change in it.
#include "server/roster_iq.h"

#include <algorithm>

#include "server/account.h"
#include "server/stream.h"
#include "server/worker.h"

namespace server {

using storage::RosterItem;
using xmpp::Condition;
using xmpp::Failure;
namespace ns = xmpp::ns;

namespace {

constexpr std::size_t longest_name = 1023;   // bytes, of a contact or a group
constexpr std::size_t most_groups = 64;      // of one contact
constexpr std::size_t most_bytes = 4096;     // of its name and its groups' together

struct Change {
    xmpp::Jid jid;
    std::string name;
    std::vector<std::string> groups;
    bool removes = false;
};

// RFC 6121 §2.3.1, §2.3.3. 'ask', 'approved' and any 'subscription' but "remove" are ignored (§2.1.2).
xmpp::Result<Change, xmpp::StanzaError> read_change(const xmpp::Element& query, const xmpp::Jid& own) {
    const auto bad = [](Condition condition, std::string text = {}) {
        return Failure{xmpp::StanzaError{condition, std::move(text)}};
    };
    // §2.3.3: exactly one <item/>.
    const xmpp::Element item = query.first_child();
    if (query.child_count() != 1 || !item.is("item", ns::roster)) return bad(Condition::bad_request, "one <item/> is wanted");
    const auto address = item.find_attr("jid");
    if (!address) return bad(Condition::bad_request, "a 'jid' is wanted");
    const auto jid = xmpp::Jid::parse(*address);
    if (!jid) return bad(Condition::jid_malformed);

    Change change;
    change.jid = jid->bare();
    change.removes = item.attr("subscription") == "remove";
    if (change.removes) return change;
    // §2.3.3, interoperability note: nobody is in their own roster.
    if (change.jid == own) return bad(Condition::not_allowed);
    change.name = item.attr("name");
    // §2.3.3: a name longer than the server is willing to store.
    if (change.name.size() > longest_name) return bad(Condition::not_acceptable, "the name is too long");
    std::size_t bytes = change.name.size();
    for (const xmpp::Element group : item.children()) {
        if (!group.is("group", ns::roster)) continue;
        std::string text = group.text();
        // §2.3.3: a group that is empty or too long.
        if (text.empty() || text.size() > longest_name)
            return bad(Condition::not_acceptable, "a group's name is empty or too long");
        // §2.3.3: more than one <group/> of the same name.
        if (std::find(change.groups.begin(), change.groups.end(), text) != change.groups.end())
            return bad(Condition::bad_request, "a group is there twice");
        bytes += text.size();
        if (change.groups.size() == most_groups || bytes > most_bytes) return bad(Condition::not_acceptable, "too many groups, or too long ones");
        change.groups.push_back(std::move(text));
    }
    return change;
}

}  // namespace

RosterIq::RosterIq(Host& host) : host_{host} {
    host.module = "roster";
    host.at<&RosterIq::features>(host.features, this);
    host.iq.get<&RosterIq::get>(Asked::account, ns::roster, "query", this);
    // §2.3.3: forbidden for everybody but the account itself.
    host.iq.set<&RosterIq::set>(Asked::account, ns::roster, "query", this, Condition::forbidden);
}

// RFC 6121 §2.6.1 and §3.4.1: both are announced when the client has authenticated.
void RosterIq::features(Stream& stream, xmpp::XmlWriter& w) {
    if (!stream.is_for_sessions()) return;
    w.leaf_ns("ver", ns::roster_versioning);
    w.leaf_ns("sub", ns::pre_approval);
}

// RFC 6121 §2.1.3, §2.1.4, §2.2
IqReply RosterIq::get(Iq& iq) {
    // Who may not ask learns no more than of an account that does not exist.
    if (!iq.is_own()) return Condition::service_unavailable;
    // §2.1.3: a request holds no item.
    if (iq.payload.first_child()) return Condition::bad_request;
    const Roster& roster = iq.account->roster;
    if (iq.session) iq.session->set_interested();

    // §2.6.2: either the whole roster, or an empty result and then the changes as roster pushes (§2.6.3).
    const auto known = iq.payload.find_attr("ver");
    const auto changes = known ? roster.changes_since(*known) : std::nullopt;
    if (changes && iq.session && changes->size() <= roster.size()) {
        // Behind the result, which the router sends when this returns.
        if (!changes->empty())
            host_.worker.loop.post([session = iq.session, version = std::string{*known}] {
                const auto later = session->account().roster.changes_since(version);
                if (!later) return;
                std::vector<RosterItem> items;
                for (const RosterItem* const item : *later) items.push_back(*item);
                for (const RosterItem& item : items) session->account().roster.push_to(*session, item);
            });
        return IqReply::result();
    }
    xmpp::XmlWriter w;
    w.open("query", ns::roster).attr("ver", roster.version());
    for (const auto& [jid, item] : roster.items())
        if (item.in_roster) write_roster_item(w, item);
    return w.take();
}

// RFC 6121 §2.1.5, §2.3, §2.4, §2.5
storage::Task<IqReply> RosterIq::set(Iq iq) {
    const std::shared_ptr<Receipt> receipt = Receipt::current();
    if (!iq.is_own()) co_return Condition::forbidden;
    auto change = read_change(iq.payload, iq.account->jid());
    if (!change) co_return change.error();
    Roster& roster = iq.account->roster;
    const Roster::Turn turn = co_await roster.turn();

    const RosterItem* const known = roster.find(change->jid);
    const bool is_in_roster = known && known->in_roster;
    RosterItem item;
    if (known) item = *known;
    if (change->removes) {
        // RFC 6121 §2.5.3
        if (!is_in_roster) co_return Condition::item_not_found;
        auto removing = host_.worker.subscriptions.remove_contact(iq.account, std::move(item), receipt);
        auto removed = co_await removing;
        if (!removed) co_return removed.error();
        co_return IqReply::result();
    }
    item.jid = std::move(change->jid);
    item.name = std::move(change->name);
    item.groups = std::move(change->groups);
    item.in_roster = true;
    if (!roster.has_room_for(item)) co_return xmpp::StanzaError{Condition::resource_constraint, "The roster is full."};
    auto changing = roster.change(std::move(item));
    auto changed = co_await changing;
    if (!changed) co_return changed.error();
    co_return IqReply::result();
}

}  // namespace server
