// SPDX-License-Identifier: MIT
// XEP-0049 1.2: Private XML Storage — an account keeps XML that only its own clients see, by namespace and name of
// the element. Refuses the namespaces that the XEP calls reserved (§2.3). One element is asked for at a time; several
// of one namespace may be set at once.
#include <map>

#include "server/account.h"
#include "server/host.h"
#include "server/worker.h"

namespace server {

namespace {

using xmpp::Condition;

constexpr std::string_view ns = "jabber:iq:private";
constexpr std::size_t longest_key = 1024;  // namespace and name together

class PrivateXml final : public Module {
public:
    explicit PrivateXml(Host& host) {
        host.disco.feature(ns);
        host.disco.account_feature(ns);
        host.iq.get<&PrivateXml::show>(Asked::account, ns, "query", this, Condition::forbidden);
        host.iq.set<&PrivateXml::keep>(Asked::account, ns, "query", this, Condition::forbidden);
    }

private:
    storage::Task<IqReply> show(Iq iq) {
        if (!iq.is_own()) co_return IqReply{Condition::forbidden};  // XEP-0049 §2.3, §4
        const xmpp::Element wanted = iq.payload.first_child();
        if (!wanted || iq.payload.child_count() > 1) co_return IqReply{Condition::bad_request};
        if (!may_keep(wanted)) co_return IqReply{Condition::not_acceptable};
        auto loading = iq.worker.storage().private_xml().load(iq.account->id(), key_of(wanted));
        const auto kept = co_await loading;
        if (!kept) co_return IqReply{kept.error()};
        xmpp::XmlWriter w;
        w.open("query", ns);
        if (kept->empty()) w.open(wanted.name(), wanted.ns()).close();  // nothing kept: the element as it was asked for
        else w.raw(*kept);
        co_return IqReply{w.take()};
    }

    storage::Task<IqReply> keep(Iq iq) {
        if (!iq.is_own()) co_return IqReply{Condition::forbidden};
        const xmpp::Element first = iq.payload.first_child();
        if (!first) co_return IqReply{Condition::not_acceptable};  // §2.3: at least one child element
        std::map<std::string, std::string> kept;
        for (const xmpp::Element child : iq.payload.children()) {
            if (!may_keep(child) || child.ns() != first.ns()) co_return IqReply{Condition::not_acceptable};
            child.append_to(kept[key_of(child)]);
        }
        for (auto& [key, xml] : kept) {
            auto storing = iq.worker.storage().private_xml().store(iq.account->id(), key, std::move(xml));
            const auto stored = co_await storing;
            if (!stored) co_return IqReply{stored.error()};
        }
        co_return IqReply::result();
    }

    // §2.3: a namespace of its own, and none that is reserved.
    static bool may_keep(const xmpp::Element& element) {
        const std::string_view own = element.ns();
        const bool is_reserved = own.starts_with("jabber:") || own.starts_with("http://jabber.org/") || own == "vcard-temp";
        return !own.empty() && !is_reserved && own.size() + element.name().size() < longest_key;
    }

    static std::string key_of(const xmpp::Element& element) {
        std::string key{element.ns()};
        key += ' ';
        return key.append(element.name());
    }
};

}  // namespace

MODULE_FACTORY(private_xml, PrivateXml)

}  // namespace server
