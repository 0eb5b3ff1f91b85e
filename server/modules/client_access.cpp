// SPDX-License-Identifier: MIT
// XEP-0494 0.1.0: Client Access Management — the devices of one's own account, and making one's key invalid; the same as
// commands (XEP-0050). A client is a device. A device key is an authentication method of its own beside <password/>; what
// else the registry knows of a device stands in <device xmlns='urn:tern:devices:0'/>: where it is woken (XEP-0357) and, if
// it was said at its linking, its OMEMO id. Companions may remove themselves
// alone; the primary, whose number can be registered again, cannot be removed. Leaves out grants.
#include <algorithm>

#include "auth/devices.h"
#include "server/account.h"
#include "server/host.h"
#include "server/log.h"
#include "server/server.h"
#include "server/worker.h"
#include "xmpp/date_time.h"

namespace server {

namespace {

using storage::Device;
using storage::DeviceRole;
using storage::Task;
using xmpp::Condition;
using xmpp::DataForm;
using xmpp::StanzaError;

constexpr std::string_view ns = "urn:xmpp:cam:0";
constexpr std::string_view ns_devices = "urn:tern:devices:0";

bool is_connected(const Account& account, const Device& device) {
    return std::ranges::any_of(account.sessions(), [&](const auto& session) { return session->device() == device.id; });
}

std::string title_of(const Device& device) {
    const std::string name = device.name.empty() ? device.id : device.name;
    return device.software.empty() ? name : name + " (" + std::string{device.software} + ")";
}

xmpp::FormField choice(std::string_view var, std::string_view label) {
    xmpp::FormField field;
    field.var = var;
    field.type = "list-single";
    field.label = label;
    field.required = true;
    return field;
}

class ClientAccess final : public Module {
public:
    explicit ClientAccess(Host& host) : worker_{host.worker} {
        host.disco.account_feature(ns);
        host.iq.get<&ClientAccess::list>(Asked::account, ns, "list", this, Condition::forbidden);
        host.iq.set<&ClientAccess::revoke>(Asked::account, ns, "revoke", this, Condition::forbidden);
        host.commands.add<&ClientAccess::show>("urn:tern:devices:0#list", "My devices", this);
        host.commands.add<&ClientAccess::choose_and_revoke>("urn:tern:devices:0#revoke", "Remove a device", this);
    }

private:
    using Devices = storage::Result<std::vector<Device>>;

    // From storage, which knows when each was seen last.
    Task<Devices> devices_of(xmpp::Jid account) {
        auto finding = worker_.storage().accounts().find(std::move(account));
        auto found = co_await finding;
        if (!found) co_return storage::Failure{found.error()};
        if (!*found) co_return Devices{std::vector<Device>{}};
        co_return Devices{std::move((*found)->devices)};
    }

    // §3.1
    Task<IqReply> list(Iq iq) {
        if (!iq.is_own()) co_return IqReply{Condition::forbidden};
        auto asking = devices_of(iq.account->jid());
        const auto devices = co_await asking;
        if (!devices) co_return IqReply{devices.error()};
        auto looking = worker_.storage().fast_tokens().devices(iq.account->id(), worker_.now());
        const auto with_token = co_await looking;
        if (!with_token) co_return IqReply{with_token.error()};
        auto asking_for_push = worker_.storage().push_registrations().find(iq.account->id());
        const auto woken = co_await asking_for_push;
        if (!woken) co_return IqReply{woken.error()};
        xmpp::XmlWriter w;
        w.open("clients", ns);
        for (const Device& device : *devices) write(w, *iq.account, device, std::ranges::find(*with_token, std::string{device.id}) != with_token->end(), *woken);
        co_return IqReply{w.take()};
    }

    static void write(xmpp::XmlWriter& w, const Account& account, const Device& device, bool has_token, const std::vector<storage::PushRegistration>& woken) {
        const bool connected = is_connected(account, device);
        const bool is_companion = device.role == DeviceRole::companion;
        const bool was_there = connected || device.last_seen > device.created;
        w.open("client").attr("connected", connected ? "true" : "false").attr("id", device.id).attr("type", was_there ? "session" : "access");
        w.leaf("first-seen", xmpp::format_date_time(device.created)).leaf("last-seen", xmpp::format_date_time(device.last_seen));
        w.open("auth");
        if (device.role == DeviceRole::password) w.leaf("password");
        else w.leaf_ns("key", ns_devices);
        if (has_token) w.leaf("fast");
        w.close();
        w.open("permission").attr("status", is_companion ? "normal" : "unrestricted").close();
        const Device* const here = account.device(device.id);   // what a login has just said may not be stored yet
        const std::string& software = here ? here->software : device.software;
        if (!device.name.empty() || !software.empty()) {
            w.open("user-agent");
            if (!software.empty()) w.leaf("software", software);
            if (!device.name.empty()) w.leaf("device", device.name);
            w.close();
        }
        w.open("device", ns_devices).attr("role", to_string(device.role)).attr_if("linked-by", device.linked_by).attr_if("omemo-id", device.omemo_id);
        if (!device.identity_key.empty()) w.leaf("identity-key", device.identity_key);
        if (!device.identity_signature.empty()) w.leaf("signature", device.identity_signature);
        for (const storage::PushRegistration& registration : woken)
            if (registration.device == device.id) w.open("push").attr("jid", registration.service.text()).attr_if("node", registration.node).close();
        w.close().close();
    }

    // §3.2
    Task<IqReply> revoke(Iq iq) {
        if (!iq.is_own() || !iq.session) co_return IqReply{Condition::forbidden};
        auto revoking = revoke_of(iq.account, iq.session->device(), std::string{iq.payload.attr("id")});
        const auto error = co_await revoking;
        if (error) co_return IqReply{*error};
        co_return IqReply::result();
    }

    // Why not, or nothing.
    Task<std::optional<StanzaError>> revoke_of(std::shared_ptr<Account> account, std::string by, std::string id) {
        using Refusal = std::optional<StanzaError>;
        using auth::Revoked;
        auto revoking = auth::revoke_device(worker_.storage(), account->record(), by, id);
        const auto revoked = co_await revoking;
        if (!revoked) co_return Refusal{*IqReply{revoked.error()}.error()};
        switch (*revoked) {
            case Revoked::not_allowed: co_return Refusal{Condition::forbidden};
            case Revoked::no_such_device: co_return Refusal{Condition::item_not_found};
            case Revoked::is_primary:
                co_return Refusal{StanzaError{Condition::not_allowed, "This is the phone itself. Registering the number again makes its key invalid."}};
            case Revoked::needs_password_change: {
                StanzaError error{Condition::service_unavailable};
                xmpp::XmlWriter w;
                error.payload = w.leaf_ns("password-reset-required", ns).take();
                co_return Refusal{std::move(error)};
            }
            case Revoked::done: break;
        }
        log::info("device revoked", {{"jid", account->jid().text()}, {"device", id}, {"by", by}});
        // The answer goes out first: it may be for the device itself.
        worker_.loop.post([&server = worker_.server, jid = account->jid(), id] { server.device_revoked(jid, id); });
        co_return Refusal{};
    }

    // ---- the same for people ----

    Task<CommandOutcome> show(CommandDialog& dialog) {
        auto asking = devices_of(dialog.account->jid());
        const auto devices = co_await asking;
        if (!devices) co_return CommandOutcome::failed("The list cannot be read now. Try again later.");
        DataForm form;
        form.type = "result";
        form.title = "My devices";
        for (const auto& [var, label] : {std::pair{"name", "Name"}, {"role", "Role"}, {"connected", "Connected"}, {"last-seen", "Last seen"}, {"id", "Id"}}) {
            xmpp::FormField column;
            column.var = var;
            column.label = label;
            form.reported.push_back(std::move(column));
        }
        for (const Device& device : *devices) {
            const bool is_this = device.id == dialog.device;
            form.rows.push_back({title_of(device), std::string{to_string(device.role)}, is_this ? "this one" : is_connected(*dialog.account, device) ? "yes" : "no",
                                 xmpp::format_date_time(device.last_seen), device.id});
        }
        co_return CommandOutcome::shown(std::move(form));
    }

    Task<CommandOutcome> choose_and_revoke(CommandDialog& dialog) {
        const Device* const own = dialog.account->device(dialog.device);
        DataForm form;
        form.title = "Remove a device";
        form.instructions.emplace_back("Its key stops working at once, and its connections end.");
        xmpp::FormField devices = choice("device", "Device");
        for (const Device& device : dialog.account->record().devices) {
            const bool may = own && device.role == DeviceRole::companion && (own->role != DeviceRole::companion || device.id == own->id);
            if (may) devices.options.emplace_back(title_of(device), device.id);
        }
        if (devices.options.empty()) co_return CommandOutcome::done("There is no device that could be removed.");
        form.fields.push_back(std::move(devices));
        auto asking = dialog.ask(std::move(form), CommandDialog::Stage::last);
        const auto submitted = co_await asking;
        if (!submitted) co_return CommandOutcome::cancelled();
        auto revoking = revoke_of(dialog.account, dialog.device, std::string{submitted->value("device")});
        const auto error = co_await revoking;
        if (error) co_return CommandOutcome::failed(error->text.empty() ? "The device was not removed." : error->text);
        co_return CommandOutcome::done("The device was removed.");
    }

    Worker& worker_;
};

}  // namespace

MODULE_FACTORY(client_access, ClientAccess)

}  // namespace server
