// SPDX-License-Identifier: MIT
// XEP-0054 1.3.0: vcard-temp — one's own vCard is set and got, everybody's can be seen. It is kept as it came: its
// content is between clients. Its size is bounded by the stanza's. Leaves out a vCard of the server.
#include "server/account.h"
#include "server/host.h"
#include "server/worker.h"

namespace server {

namespace {

constexpr std::string_view ns = "vcard-temp";

class Vcard final : public Module {
public:
    explicit Vcard(Host& host) {
        host.disco.feature(ns);
        host.disco.account_feature(ns);
        host.iq.get<&Vcard::show>(Asked::account, ns, "vCard", this);
        host.iq.set<&Vcard::update>(Asked::account, ns, "vCard", this, xmpp::Condition::forbidden);
    }

private:
    storage::Task<IqReply> show(Iq iq) {
        auto loading = iq.worker.storage().vcards().load(iq.account->id());
        auto vcard = co_await loading;
        if (!vcard) co_return IqReply{vcard.error()};
        if (!vcard->empty()) co_return IqReply{std::move(*vcard)};
        // XEP-0054 §3.1; §3.3: no vCard looks as if there was no such user.
        co_return IqReply{iq.is_own() ? xmpp::Condition::item_not_found : xmpp::Condition::service_unavailable};
    }

    // §3.2: always the whole vCard; an empty one is none.
    storage::Task<IqReply> update(Iq iq) {
        if (!iq.is_own()) co_return IqReply{xmpp::Condition::forbidden};
        std::string xml = iq.payload.first_child() ? iq.payload.xml() : std::string{};
        auto storing = iq.worker.storage().vcards().store(iq.account->id(), std::move(xml));
        const auto stored = co_await storing;
        if (!stored) co_return IqReply{stored.error()};
        co_return IqReply::result();
    }
};

}  // namespace

MODULE_FACTORY(vcard, Vcard)

}  // namespace server
