// SPDX-License-Identifier: MIT
// urn:tern:link:0: linking a companion in-band. Before login, the companion asks for a code (<link/>) and then for its key
// (<key/>, answered when the code was approved); after login, the account's primary looks at a code (<link code='…'/>) and
// approves it (<approve/>), or by a command (XEP-0050). Every other device is told of a new one by a message.
#include "auth/crypto.h"
#include "server/account.h"
#include "server/config.h"
#include "server/host.h"
#include "server/log.h"
#include "server/server.h"
#include "server/stream.h"
#include "server/worker.h"

namespace server {

namespace {

using auth::LinkError;
using storage::Device;
using storage::Task;
using xmpp::Condition;
using xmpp::DataForm;
using xmpp::StanzaError;

constexpr std::string_view ns = "urn:tern:link:0";
constexpr std::string_view ns_devices = "urn:tern:devices:0";
constexpr std::chrono::seconds answer_within{20};   // while nobody approves: clients give up requests that take longer

StanzaError refused(const LinkError& error) {
    using Kind = LinkError::Kind;
    switch (error.kind) {
        case Kind::gone: return {Condition::item_not_found, "There is no such code, or it has expired or was used."};
        case Kind::waiting: return {xmpp::ErrorType::wait, Condition::recipient_unavailable, "Nobody has approved it yet."};
        case Kind::not_allowed: return {Condition::not_allowed, "Only the phone itself approves companions."};
        case Kind::malformed: return Condition::not_acceptable;
        case Kind::too_many:
            return {xmpp::ErrorType::wait, Condition::policy_violation, "Try again in " + std::to_string(error.retry_after.count()) + " seconds."};
        case Kind::full: {
            StanzaError full{xmpp::ErrorType::wait, Condition::resource_constraint,
                             "The account has " + std::to_string(error.most) + " devices already. Remove one first."};
            xmpp::XmlWriter w;
            full.payload = w.open("device-limit", ns_devices).attr("max", error.most).close().take();
            return full;
        }
        case Kind::unavailable: break;
    }
    return {xmpp::ErrorType::wait, Condition::resource_constraint, "Try again later."};
}

void describe(xmpp::XmlWriter& w, const auth::Linking::Companion& companion) {
    w.leaf("device", companion.device_name);
    if (!companion.software.empty()) w.leaf("software", companion.software);
    if (!companion.identity_key.empty()) w.leaf("identity-key", companion.identity_key);
    if (!companion.omemo_id.empty()) w.leaf("omemo-id", companion.omemo_id);
}

std::string title_of(std::string_view name, std::string_view software) {
    std::string title{name};
    if (!software.empty()) title.append(" (").append(software).append(")");
    return title;
}

class LinkingModule final : public Module {
public:
    explicit LinkingModule(Host& host) : worker_{host.worker} {
        host.disco.account_feature(ns);
        host.at<&LinkingModule::offer>(host.features, this);
        host.iq_before_login.add<&LinkingModule::ask>(ns, "link", this);
        host.iq_before_login.add<&LinkingModule::collect>(ns, "key", this);
        host.iq.get<&LinkingModule::look>(Asked::account, ns, "link", this, Condition::forbidden);
        host.iq.set<&LinkingModule::approve>(Asked::account, ns, "approve", this, Condition::forbidden);
        host.commands.add<&LinkingModule::approve_by_command>("urn:tern:link:0#approve", "Link a device", this);
        host.at<&LinkingModule::tell_others>(host.device_linked, this);
    }

private:
    // ---- before login: the companion ----

    void offer(Stream& stream, xmpp::XmlWriter& w) {
        if (stream.may_register()) w.leaf_ns("link", ns);
    }

    Task<IqReply> ask(IqBeforeLogin iq) {
        if (iq.stanza.type() != "set") co_return IqReply{Condition::bad_request};
        auth::Linking::Companion companion;
        companion.device_name = iq.payload.child("device", ns).text();
        companion.software = iq.payload.child("software", ns).text();
        companion.identity_key = iq.payload.child("identity-key", ns).text();
        companion.omemo_id = iq.payload.child("omemo-id", ns).text();
        auto asking = worker_.server.linking().ask(std::move(companion), iq.client_address);
        const auto code = co_await asking;
        if (!code) co_return IqReply{refused(code.error())};
        if (const auto stream = iq.stream.lock()) stream->extend_login(code->expires_in);
        xmpp::XmlWriter w;
        w.open("link", ns).attr("id", code->id).attr("code", code->code).attr("expires-in", static_cast<std::uint64_t>(code->expires_in.count()));
        w.leaf("uri", "xmpp:" + iq.domain + "?link;code=" + code->code);
        co_return IqReply{w.take()};
    }

    Task<IqReply> collect(IqBeforeLogin iq) {
        if (iq.stanza.type() != "get") co_return IqReply{Condition::bad_request};
        const std::string id{iq.payload.attr("id")};
        net::Timer patience;
        patience.start(worker_.loop, answer_within, [this, id] { worker_.server.linking().stop_waiting(id); });
        auto waiting = worker_.server.linking().approved(id, auth::Linking::Patience::until_stopped);
        const auto approved = co_await waiting;
        if (!approved) co_return IqReply{refused(approved.error())};
        const auto stream = iq.stream.lock();
        const bool is_there = stream && stream->phase() != Stream::Phase::closing && !stream->transport().is_peer_gone();
        if (!is_there) co_return IqReply{Condition::recipient_unavailable};   // nobody reads this; the key is for the next stream
        auto collecting = worker_.server.linking().collect(id);
        const auto issued = co_await collecting;
        if (!issued) co_return IqReply{refused(issued.error())};
        log::info("device linked", {{"jid", issued->jid.text()}, {"device", issued->device_id}, {"address", iq.client_address}});
        xmpp::XmlWriter w;
        w.open("key", ns).leaf("jid", issued->jid.text()).leaf("device-id", issued->device_id).leaf("key", issued->key);
        co_return IqReply{w.take()};
    }

    // ---- after login: who approves ----

    Task<IqReply> look(Iq iq) {
        if (!iq.is_own()) co_return IqReply{Condition::forbidden};
        auto looking = worker_.server.linking().look(iq.account->jid(), std::string{iq.payload.attr("code")});
        const auto companion = co_await looking;
        if (!companion) co_return IqReply{refused(companion.error())};
        xmpp::XmlWriter w;
        w.open("link", ns);
        describe(w, *companion);
        co_return IqReply{w.take()};
    }

    Task<IqReply> approve(Iq iq) {
        if (!iq.is_own() || !iq.session) co_return IqReply{Condition::forbidden};
        auto approving = worker_.server.linking().approve(iq.account->jid(), iq.session->device(), std::string{iq.payload.attr("code")},
                                                          iq.payload.child("signature", ns).text());
        const auto companion = co_await approving;
        if (!companion) co_return IqReply{refused(companion.error())};
        xmpp::XmlWriter w;
        w.open("approve", ns);
        describe(w, *companion);
        co_return IqReply{w.take()};
    }

    Task<CommandOutcome> approve_by_command(CommandDialog& dialog) {
        auth::Linking& linking = worker_.server.linking();
        auto asking = dialog.ask(code_form(), CommandDialog::Stage::next);
        const auto typed = co_await asking;
        if (!typed) co_return CommandOutcome::cancelled();
        const std::string code{typed->value("code")};
        auto looking = linking.look(dialog.account->jid(), code);
        const auto companion = co_await looking;
        if (!companion) co_return CommandOutcome::failed(refused(companion.error()).text);

        auto confirming = dialog.ask(confirm_form(*companion), CommandDialog::Stage::last);
        const auto confirmed = co_await confirming;
        if (!confirmed) co_return CommandOutcome::cancelled();
        const std::string_view answer = confirmed->value("link");
        if (answer != "1" && answer != "true") co_return CommandOutcome::done("The device was not linked.");
        auto approving = linking.approve(dialog.account->jid(), dialog.device, code, std::string{confirmed->value("signature")});
        const auto approved = co_await approving;
        if (!approved) co_return CommandOutcome::failed(refused(approved.error()).text);
        co_return CommandOutcome::done("\"" + title_of(approved->device_name, approved->software) + "\" is being linked to your account.");
    }

    static DataForm code_form() {
        DataForm form;
        form.title = "Link a device";
        form.instructions.emplace_back("Type the code that the new device shows.");
        xmpp::FormField code;
        code.var = "code";
        code.label = "Code";
        code.required = true;
        form.fields.push_back(std::move(code));
        return form;
    }

    static DataForm confirm_form(const auth::Linking::Companion& companion) {
        DataForm form;
        form.title = "Link this device?";
        form.instructions.emplace_back("It will receive your messages and may write in your name.");
        const auto add = [&](std::string_view var, std::string_view type, std::string_view label, std::string value) {
            xmpp::FormField field;
            field.var = var;
            field.type = type;
            field.label = label;
            field.values.push_back(std::move(value));
            form.fields.push_back(std::move(field));
        };
        add("", "fixed", "Device", title_of(companion.device_name, companion.software));
        if (!companion.identity_key.empty()) add("", "fixed", "Identity key", companion.identity_key);
        add("link", "boolean", "Link it", "1");
        return form;
    }

    // ---- everybody else ----

    // A message like any other: devices that are off get it later.
    void tell_others(Account& account, const Device& device) {
        const Device* const by = account.device(device.linked_by);
        std::string text = "A new device was linked to your account: " + title_of(device.name, device.software);
        if (by && !by->name.empty()) text.append(", approved by ").append(by->name.view());
        text += ". If you did not expect this, remove it and register your number again.";
        xmpp::XmlWriter w;
        w.open("message").attr("from", account.jid().domainpart()).attr("to", account.jid().text()).attr("id", auth::random_token(9));
        w.leaf("body", text).open("device", ns_devices).attr("id", device.id).close();
        worker_.router.send_xml(w.take(), account.jid());
    }

    Worker& worker_;
};

}  // namespace

MODULE_FACTORY(linking, LinkingModule)

}  // namespace server
