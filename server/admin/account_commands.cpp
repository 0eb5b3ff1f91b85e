// SPDX-License-Identifier: MIT
// Commands on accounts and their devices. Whatever makes a key invalid also ends the account's sessions.
#include <algorithm>

#include "auth/passwords.h"
#include "server/account.h"
#include "server/account_export.h"
#include "server/admin/everywhere.h"
#include "server/admin/groups.h"
#include "server/log.h"
#include "server/net/address.h"
#include "server/server.h"

namespace server::admin {
namespace {

using Kind = Problem::Kind;
using storage::Task;

constexpr std::size_t page = 500;   // accounts in one answer

xmpp::Failure<Problem> failure_of_password(const auth::PasswordError& error) {
    using PasswordKind = auth::PasswordError::Kind;
    switch (error.kind) {
        case PasswordKind::not_allowed: return failure(Kind::bad_request, "the password is empty, too long, or holds characters that RFC 8265 does not allow");
        case PasswordKind::conflict: return failure(Kind::conflict, "the account exists already");
        case PasswordKind::not_found: return failure(Kind::not_found, "there is no such account");
        case PasswordKind::busy: return failure(Kind::busy, "too many passwords wait to be hashed; try again");
        case PasswordKind::unavailable: return failure(Kind::unavailable, "storage cannot take it now: " + error.text);
    }
    return failure(Kind::internal, "unknown");
}

Json device_rows(const std::vector<storage::Device>& devices, const Json& sessions, const std::vector<storage::PushRegistration>& woken) {
    Json rows = Json::array();
    for (const storage::Device& device : devices) {
        std::string push;   // services and nodes, as XEP-0357 has them
        for (const storage::PushRegistration& registration : woken)
            if (registration.device == device.id) push.append(push.empty() ? "" : ", ").append(registration.service.text()).append(registration.node.empty() ? "" : " ").append(registration.node);
        const auto connected = std::count_if(sessions.begin(), sessions.end(), [&](const Json& session) { return session["device"] == device.id.view(); });
        rows.push_back({{"id", device.id}, {"name", device.name}, {"role", server::to_string(device.role)}, {"software", device.software},
                        {"linked_by", device.linked_by}, {"networks", device.networks}, {"push", std::move(push)}, {"omemo_id", device.omemo_id}, {"sessions", connected}, {"created", time_of(device.created)}, {"last_seen", time_of(device.last_seen)}});
    }
    return rows;
}

std::uint32_t iterations_now(Context& context) { return context.server.config()->auth.iterations; }

Task<Answer> add(Context& context, Arguments arguments) {
    const xmpp::Jid jid = arguments.jid("jid");
    if (!context.server.config()->is_local(jid.domainpart()))
        co_return failure(Kind::bad_request, "\"" + std::string{jid.domainpart()} + "\" is none of this server's domains");
    auto making = auth::make_password_account(context.server.storage(), context.server.hashes(), jid, arguments.take_password("password"), iterations_now(context));
    const auto made = co_await making;
    if (!made) co_return failure_of_password(made.error());
    co_return Json{{"message", "added " + jid.text()}, {"jid", jid.text()}};
}

Task<Answer> passwd(Context& context, Arguments arguments) {
    const xmpp::Jid jid = arguments.jid("jid");
    auto finding = stored_account(context, jid);
    const auto account = co_await finding;
    if (!account) co_return xmpp::Failure{account.error()};
    auto changing = auth::change_password(context.server.storage(), context.server.hashes(), account->id, arguments.take_password("password"), iterations_now(context));
    const auto changed = co_await changing;
    if (!changed) co_return failure_of_password(changed.error());
    context.server.keys_changed(jid);
    co_return Json{{"message", "changed the password of " + jid.text() + "; its sessions were ended"}, {"jid", jid.text()}};
}

Task<Answer> remove(Context& context, Arguments arguments) {
    const xmpp::Jid jid = arguments.jid("jid");
    auto finding = stored_account(context, jid);
    const auto account = co_await finding;
    if (!account) co_return xmpp::Failure{account.error()};
    auto removing = context.server.storage().accounts().remove(account->id);
    const auto removed = co_await removing;
    if (!removed) co_return failure_of(removed.error());
    context.server.account_removed(jid);
    co_return Json{{"message", "removed " + jid.text() + " and everything stored for it"}, {"jid", jid.text()}};
}

Task<Answer> set_disabled(Context& context, Arguments arguments, bool disabled) {
    const xmpp::Jid jid = arguments.jid("jid");
    auto finding = stored_account(context, jid);
    const auto account = co_await finding;
    if (!account) co_return xmpp::Failure{account.error()};
    auto setting = context.server.storage().accounts().set_disabled(account->id, disabled);
    const auto set = co_await setting;
    if (!set) co_return failure_of(set.error());
    context.server.keys_changed(jid);
    co_return Json{{"message", (disabled ? "disabled " : "enabled ") + jid.text()}, {"jid", jid.text()}};
}
Task<Answer> disable(Context& context, Arguments arguments) { return set_disabled(context, std::move(arguments), true); }
Task<Answer> enable(Context& context, Arguments arguments) { return set_disabled(context, std::move(arguments), false); }

Task<Answer> list(Context& context, Arguments arguments) {
    const auto& domains = context.server.config()->domains;
    const std::string after = arguments.text("after");
    Json rows = Json::array();
    bool behind = after.empty();   // earlier domains of the list are done
    for (const std::string& domain : domains) {
        if (arguments.has("domain") && arguments.text("domain") != domain) continue;
        std::string from;
        if (!behind) {
            if (!after.ends_with("@" + domain)) continue;
            behind = true;
            from = after;
        }
        auto reading = context.server.storage().accounts().list(domain, from, page - rows.size());
        const auto accounts = co_await reading;
        if (!accounts) co_return failure_of(accounts.error());
        for (const storage::Account& account : *accounts)
            rows.push_back({{"jid", account.jid.text()}, {"phone", account.phone}, {"created", time_of(account.created)},
                            {"last_logout", time_of(account.last_logout)}, {"disabled", account.disabled}});
        if (rows.size() >= page) break;
    }
    if (arguments.has("domain") && !context.server.config()->is_local(arguments.text("domain")))
        co_return failure(Kind::not_found, "\"" + arguments.text("domain") + "\" is none of this server's domains");
    Json answer{{"accounts", std::move(rows)}};
    if (answer["accounts"].size() >= page) answer["next"] = answer["accounts"].back()["jid"];
    co_return std::move(answer);
}

Task<Answer> show(Context& context, Arguments arguments) {
    const xmpp::Jid jid = arguments.jid("jid");
    auto finding = stored_account(context, jid);
    const auto account = co_await finding;
    if (!account) co_return xmpp::Failure{account.error()};
    auto looking = session_rows(context, jid, 1000, nullptr);
    Json sessions = co_await looking;
    auto asking = context.server.storage().push_registrations().find(account->id);
    const auto woken = co_await asking;
    if (!woken) co_return failure_of(woken.error());
    Json answer{{"jid", account->jid.text()}, {"phone", account->phone}, {"created", time_of(account->created)}, {"disabled", account->disabled},
                {"last_logout", time_of(account->last_logout)}, {"last_status", account->last_status}, {"iterations", account->iterations}};
    answer["devices"] = device_rows(account->devices, sessions, *woken);
    answer["sessions"] = std::move(sessions);
    co_return std::move(answer);
}

Task<Answer> export_account(Context& context, Arguments arguments) {
    const xmpp::Jid jid = arguments.jid("jid");
    auto finding = stored_account(context, jid);
    auto account = co_await finding;
    if (!account) co_return xmpp::Failure{account.error()};
    // Every page of it, for none needs the ones before.
    log::info("account exported", {{"jid", jid.text()}, {"by", "admin"}, {"from", arguments.text("from")}});
    ArchiveIds ids{context.server.archive_id_secret()};
    auto asking = export_piece(context.server.storage(), ids, std::move(*account), arguments.text("from"));
    auto piece = co_await asking;
    if (!piece && piece.error().kind == storage::StorageError::Kind::not_found) co_return failure(Kind::bad_request, "from: is no place in an export");
    if (!piece) co_return failure_of(piece.error());
    Json answer{{"content", std::move(piece->xml)}};
    if (!piece->next.empty()) answer["next"] = std::move(piece->next);
    co_return std::move(answer);
}

Task<Answer> list_devices(Context& context, Arguments arguments) {
    const xmpp::Jid jid = arguments.jid("jid");
    auto finding = stored_account(context, jid);
    const auto account = co_await finding;
    if (!account) co_return xmpp::Failure{account.error()};
    auto looking = session_rows(context, jid, 1000, nullptr);
    const Json sessions = co_await looking;
    auto asking = context.server.storage().push_registrations().find(account->id);
    const auto woken = co_await asking;
    if (!woken) co_return failure_of(woken.error());
    co_return Json{{"devices", device_rows(account->devices, sessions, *woken)}};
}

Task<Answer> revoke_device(Context& context, Arguments arguments) {
    const xmpp::Jid jid = arguments.jid("jid");
    const std::string device = arguments.text("device");
    auto finding = stored_account(context, jid);
    const auto account = co_await finding;
    if (!account) co_return xmpp::Failure{account.error()};
    const auto& devices = account->devices;
    if (std::none_of(devices.begin(), devices.end(), [&](const storage::Device& known) { return known.id == device; }))
        co_return failure(Kind::not_found, jid.text() + " has no device \"" + device + "\"; see: tern device list " + jid.text());
    if (devices.size() == 1)   // what waits for the account waits for it
        co_return failure(Kind::bad_request, device + " is the last device of " + jid.text() + "; use: tern account passwd, disable or remove");
    auto removing = context.server.storage().accounts().remove_device(account->id, device);
    const auto removed = co_await removing;
    if (!removed) co_return failure_of(removed.error());
    context.server.device_revoked(jid, device);
    co_return Json{{"message", "revoked " + device + " of " + jid.text()}, {"jid", jid.text()}, {"device", device}};
}

Task<Answer> limit_device(Context& context, Arguments arguments) {
    const xmpp::Jid jid = arguments.jid("jid");
    const std::string device = arguments.text("device");
    const std::string networks = arguments.has("networks") ? arguments.text("networks") : "";
    for (const std::string_view network : net::networks_in(networks))
        if (!net::is_network(network)) co_return failure(Kind::bad_request, "\"" + std::string{network} + "\" is no network; expected addresses such as 10.0.0.0/8 or 2001:db8::/32, separated by blanks");
    auto finding = stored_account(context, jid);
    const auto account = co_await finding;
    if (!account) co_return xmpp::Failure{account.error()};
    auto setting = context.server.storage().accounts().set_device_networks(account->id, device, networks);
    const auto set = co_await setting;
    if (!set) co_return failure_of(set.error());
    co_return Json{{"message", networks.empty() ? device + " may log in from anywhere" : device + " may log in from " + networks + " alone"},
                   {"jid", jid.text()}, {"device", device}, {"networks", networks}};
}

}  // namespace

std::vector<Command> account_commands() {
    const Parameter jid{.name = "jid", .type = Type::bare_jid, .help = "the account, romeo@example.org"};
    const Parameter password{.name = "password", .type = Type::password, .positional = false,
                             .help = "the password; \"-\" or nothing: read from standard input"};
    return {
        {"account add", "make an account with a password", Role::change, {jid, password}, add},
        {"account passwd", "set an account's password and end its sessions", Role::change, {jid, password}, passwd},
        {"account remove", "remove an account and everything stored for it", Role::change, {jid}, remove},
        {"account disable", "let nobody log in to an account and end its sessions", Role::change, {jid}, disable},
        {"account enable", "undo \"account disable\"", Role::change, {jid}, enable},
        {"account list", "the accounts of a domain, or of all", Role::look,
         {{.name = "domain", .type = Type::domain, .required = false, .help = "this domain's alone"},
          {.name = "after", .type = Type::bare_jid, .required = false, .positional = false, .help = "begin behind this account"}}, list, "after"},
        {"account show", "what is known of an account", Role::look, {jid}, show},
        {"account import", "make many accounts, from lines \"user@domain password\" or \"user@domain SCRAM-SHA-1 iterations salt StoredKey ServerKey\"", Role::change,
         {{.name = "file", .type = Type::lines, .help = "the file; \"-\": standard input"},
          {.name = "first_line", .type = Type::number, .required = false, .positional = false, .help = "what to count lines from in problems", .least = 1, .most = 1'000'000'000},
          {.name = "iterations", .type = Type::number, .required = false, .positional = false, .help = "PBKDF2 iterations, instead of auth.iterations", .least = 1, .most = 10'000'000}}, import_accounts},
        {"account export", "write an account's data, without its keys, to a file (XEP-0227)", Role::look,
         {jid, {.name = "file", .type = Type::output, .help = "the file"},
          {.name = "from", .required = false, .positional = false, .help = "where the answer begins, as \"next\" said"}}, export_account, "from"},
        {"device list", "the devices of an account", Role::look, {jid}, list_devices},
        {"device limit", "say where a device may log in from; sessions that it has go on", Role::change,
         {jid, {.name = "device", .help = "its id, as \"device list\" shows it"},
          {.name = "networks", .required = false, .help = "\"10.0.0.0/8 2001:db8::/32\"; nothing: anywhere"}}, limit_device},
        {"device revoke", "make a device's key invalid and end its session", Role::change,
         {jid, {.name = "device", .help = "its id, as \"device list\" shows it"}}, revoke_device},
    };
}

}  // namespace server::admin
