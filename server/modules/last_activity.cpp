// SPDX-License-Identifier: MIT
// XEP-0012 2.0: Last Activity — of the server its uptime, of an account the time since its last resource logged out.
// Only who receives the account's presence learns it; that goes for questions to connected resources as well (§4).
#include <algorithm>

#include "server/account.h"
#include "server/host.h"
#include "server/server.h"
#include "server/worker.h"

namespace server {

namespace {

using xmpp::Condition;

constexpr std::string_view ns = "jabber:iq:last";

class LastActivity final : public Module {
public:
    explicit LastActivity(Host& host) {
        host.disco.feature(ns);
        host.disco.account_feature(ns);
        host.iq.get<&LastActivity::of_server>(Asked::server, ns, "query", this);
        auto& of_account = host.iq.get<&LastActivity::of_account>(Asked::account, ns, "query", this, Condition::forbidden);
        of_account.guards_resources = true;
        host.at<&LastActivity::screen>(host.inbound, Station::screen, this);
    }

private:
    // XEP-0012 §5
    IqReply of_server(Iq& iq) { return answer(iq.worker.now() - iq.worker.server.started_at(), {}); }

    // §3
    IqReply of_account(Iq& iq) {
        const Account& account = *iq.account;
        if (!may_know(account, iq.from)) return Condition::forbidden;
        if (!account.sessions().empty()) return answer({}, {});
        const storage::Account& record = account.record();
        // Who never logged in has been away since the account was made.
        const storage::Time since = std::max(record.last_logout, record.created);
        return answer(iq.worker.now() - since, record.last_status);
    }

    // §4: the question does not reach a resource whose presence the asker may not see, whatever stands beside it.
    Verdict screen(Passage& passage) {
        const xmpp::Stanza& stanza = passage.stanza;
        const bool is_question = stanza.kind() == xmpp::Kind::iq && stanza.type() == "get" && stanza.child("query", ns);
        if (!is_question || !passage.to.is_full()) return Verdict::pass();
        return may_know(passage.account, passage.from) ? Verdict::pass() : Verdict::bounce(Condition::forbidden);
    }

    static bool may_know(const Account& account, xmpp::JidView asker) {
        return asker.bare() == account.jid().view() || account.roster.sends_presence_to(asker.bare());
    }

    static IqReply answer(std::chrono::microseconds ago, std::string_view status) {
        const auto seconds = std::chrono::floor<std::chrono::seconds>(std::max(ago, std::chrono::microseconds{}));
        xmpp::XmlWriter w;
        w.open("query", ns).attr("seconds", static_cast<std::uint64_t>(seconds.count())).text(status);
        return w.take();
    }
};

}  // namespace

MODULE_FACTORY(last_activity, LastActivity)

}  // namespace server
