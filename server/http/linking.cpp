// SPDX-License-Identifier: MIT
// Linking a companion over HTTP: POST /v1/link gives it a code to show (and as a QR code), GET /v1/link/{id} tells whether
// it was approved, POST /v1/link/{id}/key trades the approval for a key; POST /v1/devices/approve is for the phone. What is
// allowed is decided in auth::Linking; here it becomes HTTP.
#include <charconv>

#include "server/http/body.h"
#include "server/http/qr_code.h"
#include "server/http/routes.h"
#include "server/http/service.h"
#include "server/log.h"

namespace server::http {
namespace {

using auth::LinkError;
using storage::Task;

constexpr std::chrono::seconds longest_wait{60};

Response refusal(const LinkError& error) {
    using Kind = LinkError::Kind;
    switch (error.kind) {
        case Kind::gone: return problem(410, "gone", "There is no such code, or it has expired or was used; begin again.");
        case Kind::waiting: return problem(409, "waiting", "Nobody has approved it yet.");
        case Kind::not_allowed: return problem(403, "not-allowed", "Only the phone itself approves companions.");
        case Kind::malformed: return problem(400, "bad-request", "A text is too long, or holds characters that it may not.");
        case Kind::full: return problem(409, "device-limit", "The account has as many devices as it may; remove one first.", {{"max", error.most}});
        case Kind::too_many: {
            Response response = problem(429, "too-many", "Too many requests; try again later.", {{"retry_after", error.retry_after.count()}});
            response.headers.emplace_back("Retry-After", std::to_string(error.retry_after.count()));
            return response;
        }
        case Kind::unavailable: break;
    }
    return problem(503, "unavailable", "Linking does not work at the moment; try again later.");
}

std::string uri_of(Service& service, std::string_view code) {
    return "xmpp:" + service.server.config()->domains.front() + "?link;code=" + std::string{code};
}

Task<Response> ask(Service& service, Request request) {
    const auto body = body_of(request);
    if (!body) co_return body.error();
    auth::Linking::Companion companion;
    const bool are_texts = take_text(*body, "device", companion.device_name) && take_text(*body, "software", companion.software) &&
                           take_text(*body, "identity_key", companion.identity_key) && take_text(*body, "omemo_id", companion.omemo_id);
    if (!are_texts) co_return problem(400, "bad-request", "\"device\", \"software\", \"identity_key\" and \"omemo_id\" must be texts.");
    auto asking = service.server.linking().ask(std::move(companion), request.client_address);
    const auto code = co_await asking;
    if (!code) co_return refusal(code.error());
    Response response = json_response(201, {{"id", code->id}, {"code", code->code}, {"uri", uri_of(service, code->code)},
                                            {"qr", "/v1/link/" + code->id + "/qr.svg"}, {"expires_in", code->expires_in.count()}});
    response.headers.emplace_back("Cache-Control", "no-store");
    co_return std::move(response);
}

// ?wait=SECONDS
std::chrono::seconds wait_of(const std::string& query) {
    constexpr std::string_view name = "wait=";
    const std::size_t at = query.find(name);
    if (at == std::string::npos || (at > 0 && query[at - 1] != '&')) return {};
    std::uint32_t seconds = 0;
    std::from_chars(query.data() + at + name.size(), query.data() + query.size(), seconds);
    return std::min(std::chrono::seconds{seconds}, longest_wait);
}

Task<Response> state(Service& service, Request request) {
    const std::string id = request.captured.front();
    const auto wait = wait_of(request.query);
    net::Timer patience;
    if (wait.count() > 0) patience.start(service.loop, wait, [&service, id] { service.server.linking().stop_waiting(id); });
    using Patience = auth::Linking::Patience;
    auto asking = service.server.linking().approved(id, wait.count() > 0 ? Patience::until_stopped : Patience::none);
    const auto approved = co_await asking;
    if (!approved) co_return refusal(approved.error());
    Response response = json_response(200, {{"state", *approved ? "approved" : "waiting"}});
    response.headers.emplace_back("Cache-Control", "no-store");
    co_return std::move(response);
}

Task<Response> collect(Service& service, Request request) {
    auto collecting = service.server.linking().collect(request.captured.front());
    const auto issued = co_await collecting;
    if (!issued) co_return refusal(issued.error());
    log::info("device linked", {{"jid", issued->jid.text()}, {"device", issued->device_id}, {"address", request.client_address}});
    Response response = json_response(201, {{"jid", issued->jid.text()}, {"device_id", issued->device_id}, {"key", issued->key}});
    response.headers.emplace_back("Cache-Control", "no-store");   // the key is shown once
    co_return std::move(response);
}

// The code follows from the id, so this tells nothing to who has no id.
Task<Response> picture(Service& service, Request request) {
    const std::string uri = uri_of(service, service.server.linking().code_of(request.captured[0]));
    const std::string& file = request.captured[1];
    Response response;
    if (file == "qr.svg") response = text_response(200, qr_svg(uri), "image/svg+xml");
    else if (file == "qr.png") response = text_response(200, qr_png(uri), "image/png");
    else if (file == "qr.txt") response = text_response(200, qr_text(uri));
    else co_return problem(404, "not-found", "There are qr.svg, qr.png and qr.txt.");
    response.headers.emplace_back("Cache-Control", "no-store");
    co_return std::move(response);
}

Task<Response> approve(Service& service, Request request) {
    auto asking = caller_of(service, request);
    const auto caller = co_await asking;
    if (!caller) co_return caller.error();
    const auto body = body_of(request);
    if (!body) co_return body.error();
    const auto code = text_of(*body, "code");
    std::string signature;
    if (!code || !take_text(*body, "signature", signature)) co_return problem(400, "bad-request", "\"code\" must be a text, and \"signature\" if it is there.");
    auto approving = service.server.linking().approve(caller->account, caller->device, *code, std::move(signature));
    const auto companion = co_await approving;
    if (!companion) co_return refusal(companion.error());
    co_return json_response(200, {{"device", companion->device_name}, {"software", companion->software},
                                  {"identity_key", companion->identity_key}, {"omemo_id", companion->omemo_id}});
}

}  // namespace

Routes linking_routes() {
    return {
        {"POST", "/v1/link", ask, true},
        {"GET", "/v1/link/{id}", state, true},
        {"POST", "/v1/link/{id}/key", collect, true},
        {"GET", "/v1/link/{id}/{picture}", picture, true},
        {"POST", "/v1/devices/approve", approve, true},
    };
}

}  // namespace server::http
