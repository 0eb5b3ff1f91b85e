// SPDX-License-Identifier: MIT
// XEP-0030 2.5.0: Service Discovery, XEP-0128 1.0.1: its Extensions — answers for the server and for accounts from
// DiscoTable, which modules fill when they are constructed; an account's items are its available resources (§4.1).
// Differs from §8: a stranger who asks an account for items gets <service-unavailable/>, as for every other request and
// as when there is no such account (RFC 6121 §8.5.1), not an empty list. Leaves out xml:lang on identities.
#include <algorithm>

#include "server/account.h"
#include "server/host.h"

namespace server {

namespace {

class Disco final : public Module {
public:
    explicit Disco(Host& host) : table_{host.disco}, services_{host.services} {
        table_.server.identities.push_back({"server", "im", "Tern"});
        table_.account.identities.push_back({"account", "registered", ""});
        for (const std::string_view ns : {xmpp::ns::disco_info, xmpp::ns::disco_items}) {
            table_.feature(ns);
            table_.account_feature(ns);
        }
        host.iq.get<&Disco::server_info>(Asked::server, xmpp::ns::disco_info, "query", this);
        host.iq.get<&Disco::server_items>(Asked::server, xmpp::ns::disco_items, "query", this);
        host.iq.get<&Disco::service_info>(Asked::service, xmpp::ns::disco_info, "query", this);
        host.iq.get<&Disco::service_items>(Asked::service, xmpp::ns::disco_items, "query", this);
        host.iq.get<&Disco::account_info>(Asked::account, xmpp::ns::disco_info, "query", this);
        host.iq.get<&Disco::account_items>(Asked::account, xmpp::ns::disco_items, "query", this);
    }

private:
    IqReply server_info(Iq& iq) { return info(table_.server, iq); }
    IqReply server_items(Iq& iq) { return items(table_.server, iq, nullptr); }

    IqReply service_info(Iq& iq) { return info(service(iq).disco, iq); }
    IqReply service_items(Iq& iq) { return items(service(iq).disco, iq, nullptr); }
    const ServiceOf& service(const Iq& iq) const { return services_.find(iq.to.domainpart())->second; }

    // XEP-0030 §8 rule 1: only who receives the account's presence learns that it exists.
    IqReply account_info(Iq& iq) {
        if (!may_know(iq)) return xmpp::Condition::service_unavailable;
        return info(table_.account, iq);
    }
    IqReply account_items(Iq& iq) {
        if (!may_know(iq)) return xmpp::Condition::service_unavailable;
        return items(table_.account, iq, iq.account.get());
    }
    static bool may_know(const Iq& iq) {
        return iq.is_own() || iq.account->roster.sends_presence_to(iq.from.view().bare());
    }

    // §3.1
    IqReply info(const DiscoTable::Of& whole, const Iq& iq) const {
        const auto node = iq.payload.find_attr("node");
        DiscoTable::Of beneath;
        const bool is_beneath = node && !whole.aliases.claim(*node);
        if (is_beneath && !table_.nodes.claim(iq, *node, beneath)) return xmpp::Condition::item_not_found;  // §7
        const DiscoTable::Of& of = is_beneath ? beneath : whole;
        xmpp::XmlWriter w;
        w.open("query", xmpp::ns::disco_info);
        if (node) w.attr("node", *node);  // §3.2: mirrored
        for (const auto& identity : of.identities)
            w.open("identity").attr("category", identity.category).attr("type", identity.type)
                .attr_if("name", identity.name).close();
        // Several modules may need the same feature; XEP-0115 §5.4 takes a repeated one for an attack.
        std::vector<std::string_view> features{of.features.begin(), of.features.end()};
        std::ranges::sort(features);
        features.erase(std::unique(features.begin(), features.end()), features.end());
        for (const std::string_view feature : features) w.open("feature").attr("var", feature).close();
        // XEP-0128 §2
        std::vector<xmpp::DataForm> forms = of.forms;
        of.live_forms.tell(forms);
        for (const auto& form : forms) form.write(w);
        return w.take();
    }

    // XEP-0030 §4.1; `account`: the one that is asked, or nullptr.
    IqReply items(const DiscoTable::Of& whole, const Iq& iq, const Account* account) const {
        const auto node = iq.payload.find_attr("node");
        DiscoTable::Of beneath;
        if (node && !table_.nodes.claim(iq, *node, beneath)) return xmpp::Condition::item_not_found;
        const DiscoTable::Of& of = node ? beneath : whole;
        if (node) account = nullptr;
        xmpp::XmlWriter w;
        w.open("query", xmpp::ns::disco_items);
        if (node) w.attr("node", *node);
        for (const auto& item : of.items)
            w.open("item").attr("jid", item.jid).attr_if("node", item.node).attr_if("name", item.name).close();
        if (account)
            for (const auto& session : account->sessions())
                if (session->is_available()) w.open("item").attr("jid", session->jid().text()).close();
        return w.take();
    }

    DiscoTable& table_;
    const std::map<std::string, ServiceOf, std::less<>>& services_;
};

}  // namespace

MODULE_FACTORY(disco, Disco)

}  // namespace server
