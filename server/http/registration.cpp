// SPDX-License-Identifier: MIT
// Registration by SMS PIN over HTTP: POST /v1/register, POST /v1/register/{id}/confirm, the latter with an invitation's
// token where there is one. What is allowed, and how often, is decided in auth::Registration; here it becomes HTTP.
#include "server/http/body.h"
#include "server/http/routes.h"
#include "server/http/service.h"
#include "server/invited.h"
#include "server/log.h"

namespace server::http {
namespace {

using auth::RegistrationError;
using storage::Task;

Response too_many(std::chrono::seconds wait) {
    const auto seconds = std::max<std::int64_t>(1, wait.count());
    Response response = problem(429, "too-many", "Too many requests; try again later.", {{"retry_after", seconds}});
    response.headers.emplace_back("Retry-After", std::to_string(seconds));
    return response;
}

Response unavailable() { return problem(503, "unavailable", "Registration does not work at the moment; try again later."); }

Response refusal(const RegistrationError& error) {
    using Kind = RegistrationError::Kind;
    switch (error.kind) {
        case Kind::not_a_number: return problem(400, "not-a-number", "This is no phone number in international form (+49…).");
        case Kind::wrong_pin: return problem(403, "wrong-pin", "The PIN is wrong.", {{"tries_left", error.tries_left}});
        case Kind::gone: return problem(410, "gone", "This registration has expired or is used up; begin again.");
        case Kind::disabled: return problem(403, "disabled", "Registration is not open, or not to this number.");
        case Kind::not_invited: return problem(403, "not-invited", "A new number needs an invitation here.");
        case Kind::other_login:  // nothing is expected at this door
        case Kind::unavailable: break;
        case Kind::too_many: return too_many(error.retry_after);
    }
    return unavailable();
}

Task<Response> start(Service& service, Request request) {
    const auto body = body_of(request);
    if (!body) co_return body.error();
    const auto phone = text_of(*body, "phone");
    if (!phone) co_return problem(400, "bad-request", "\"phone\" must be a text.");
    auto starting = service.server.registration().start(*phone, request.client_address);
    const auto started = co_await starting;
    if (!started) co_return refusal(started.error());
    co_return json_response(202, {{"id", started->id}, {"expires_in", started->expires_in.count()}, {"resend_after", started->resend_after.count()}});
}

Task<Response> confirm(Service& service, Request request) {
    const auto body = body_of(request);
    if (!body) co_return body.error();
    const auto pin = text_of(*body, "pin");
    if (!pin) co_return problem(400, "bad-request", "\"pin\" must be a text.");
    Confirmation confirmation{request.captured.front(), *pin, {}, request.client_address, {}};
    std::string token;
    if (!take_text(*body, "device", confirmation.device)) co_return problem(400, "bad-request", "\"device\" must be a text.");
    if (!take_text(*body, "invitation", token)) co_return problem(400, "bad-request", "\"invitation\" must be a text.");
    std::optional<storage::Invitation> invitation;
    if (!token.empty()) {
        auto looking = service.server.invitations().look(token, request.client_address);
        const auto found = co_await looking;
        if (!found && found.error().kind == auth::InvitationError::Kind::too_many) co_return too_many(found.error().retry_after);
        if (!found && found.error().kind == auth::InvitationError::Kind::unavailable) co_return unavailable();
        // Who has no need of it is not kept out by one that is too old.
        if (found && is_for_numbers(*found, *service.server.config())) invitation = *found;
    }
    auto confirming = confirm_registration(service.server, std::move(invitation), std::move(confirmation));
    const auto issued = co_await confirming;
    if (!issued) co_return refusal(issued.error());
    log::info("device registered", {{"jid", issued->jid.text()}, {"device", issued->device_id}, {"address", request.client_address}});
    Response response = json_response(201, {{"jid", issued->jid.text()}, {"device_id", issued->device_id}, {"key", issued->key}});
    response.headers.emplace_back("Cache-Control", "no-store");   // the key is shown once
    co_return std::move(response);
}

}  // namespace

Routes registration_routes() {
    return {
        {"POST", "/v1/register", start, true},
        {"POST", "/v1/register/{id}/confirm", confirm, true},
    };
}

}  // namespace server::http
