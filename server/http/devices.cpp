// SPDX-License-Identifier: MIT
// An account's devices over HTTP, for who has a key of one: GET /v1/devices, DELETE /v1/devices/{id}.
#include <algorithm>

#include "auth/devices.h"
#include "server/account.h"
#include "server/http/body.h"
#include "server/http/routes.h"
#include "server/http/service.h"
#include "server/log.h"
#include "xmpp/date_time.h"

namespace server::http {
namespace {

using storage::Task;

Response not_now() { return problem(503, "unavailable", "Storage does not answer at the moment; try again later."); }

Task<Response> list(Service& service, Request request) {
    auto asking = caller_of(service, request);
    const auto caller = co_await asking;
    if (!caller) co_return caller.error();
    auto finding = service.server.storage().accounts().find(caller->account);
    const auto account = co_await finding;
    if (!account) co_return not_now();
    Json devices = Json::array();
    if (*account)
        for (const storage::Device& device : (*account)->devices)
            devices.push_back({{"id", device.id}, {"name", device.name}, {"software", device.software}, {"role", server::to_string(device.role)},
                               {"linked_by", device.linked_by}, {"created", xmpp::format_date_time(device.created)},
                               {"last_seen", xmpp::format_date_time(device.last_seen)}, {"identity_key", device.identity_key},
                               {"signature", device.identity_signature}, {"omemo_id", device.omemo_id}, {"is_this", device.id == caller->device}});
    co_return json_response(200, {{"jid", caller->account.text()}, {"devices", std::move(devices)}});
}

Task<Response> revoke(Service& service, Request request) {
    auto asking = caller_of(service, request);
    const auto caller = co_await asking;
    if (!caller) co_return caller.error();
    auto finding = service.server.storage().accounts().find(caller->account);
    auto account = co_await finding;
    if (!account || !*account) co_return not_now();
    const std::string device = request.captured.front();
    auto revoking = auth::revoke_device(service.server.storage(), std::move(**account), caller->device, device);
    const auto revoked = co_await revoking;
    if (!revoked) co_return not_now();
    using auth::Revoked;
    switch (*revoked) {
        case Revoked::no_such_device: co_return problem(404, "not-found", "The account has no such device.");
        case Revoked::not_allowed: co_return problem(403, "not-allowed", "A companion removes itself alone.");
        case Revoked::is_primary: co_return problem(409, "is-primary", "Registering the number again makes the phone's key invalid.");
        case Revoked::needs_password_change: co_return problem(409, "password", "Who knows the password is shut out by another password.");
        case Revoked::done: break;
    }
    service.server.device_revoked(caller->account, device);
    log::info("device revoked", {{"jid", caller->account.text()}, {"device", device}, {"by", caller->device}});
    Response response;
    response.status = 204;
    co_return std::move(response);
}

}  // namespace

Routes device_routes() {
    return {
        {"GET", "/v1/devices", list, true},
        {"DELETE", "/v1/devices/{id}", revoke, true},
    };
}

}  // namespace server::http
