// SPDX-License-Identifier: MIT
#include "server/http/body.h"

#include "auth/devices.h"
#include "server/account.h"
#include "server/http/service.h"
#include "server/login.h"
#include "xmpp/base64.h"

namespace server::http {

xmpp::Result<Json, Response> body_of(const Request& request) {
    // Where a browser may add credentials by itself: a page of somebody else's cannot send this type without asking first.
    const bool is_json = request.content_type == "application/json" || (request.content_type.empty() && request.authorization.empty());
    if (!is_json)
        return xmpp::Failure{problem(415, "unsupported-media-type", "Send application/json.")};
    Json body = Json::parse(request.body, nullptr, false);
    if (!body.is_object()) return xmpp::Failure{problem(400, "bad-request", "The body must be a JSON object.")};
    return body;
}

std::optional<std::string> text_of(const Json& body, const char* name) {
    const auto found = body.find(name);
    if (found == body.end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
}

bool take_text(const Json& body, const char* name, std::string& into) {
    if (!body.contains(name) || body[name].is_null()) return true;
    const auto text = text_of(body, name);
    if (text) into = *text;
    return text.has_value();
}

namespace {

Response too_many(std::chrono::seconds wait) {
    Response response = problem(429, "too-many", "Too many requests; try again later.");
    response.headers.emplace_back("Retry-After", std::to_string(wait.count()));
    return response;
}

}  // namespace

storage::Task<xmpp::Result<Caller, Response>> caller_of(Service& service, const Request& request) {
    const auto unauthorized = [] {
        Response response = problem(401, "unauthorized", "Send the address of the account and the key of a device (Basic).");
        response.headers.emplace_back("WWW-Authenticate", "Basic realm=\"tern\", charset=\"UTF-8\"");
        return response;
    };
    constexpr std::string_view scheme = "basic ";
    const std::string& field = request.authorization;
    const bool is_basic = field.size() > scheme.size() && std::equal(scheme.begin(), scheme.end(), field.begin(), [](char wanted, char given) {
        return wanted == (given >= 'A' && given <= 'Z' ? static_cast<char>(given - 'A' + 'a') : given);
    });
    const auto decoded = is_basic ? xmpp::parse_base64(std::string_view{field}.substr(scheme.size())) : std::nullopt;
    const std::size_t colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos) co_return xmpp::Failure{unauthorized()};
    const auto jid = xmpp::Jid::parse(decoded->substr(0, colon));
    if (!jid || !jid->is_bare() || !service.server.config()->is_local(jid->domainpart())) co_return xmpp::Failure{unauthorized()};
    if (const auto wait = service.key_checks.take(auth::network_of(request.client_address), service.loop.wall()); wait.count() > 0) {
        co_return xmpp::Failure{too_many(wait)};
    }
    auto checking = auth::device_of_key(service.server.storage(), service.server.hashes(), service.server.fake_salt_secret(),
                                        iterations_of_nobody(*service.server.config(), *jid), *jid, decoded->substr(colon + 1),
                                        [address = request.client_address](const storage::Device& device) { return may_come_from(device, address); });
    const auto device = co_await checking;
    if (!device) co_return xmpp::Failure{problem(503, "unavailable", "Keys cannot be checked at the moment; try again later.")};
    if (!*device) co_return xmpp::Failure{unauthorized()};
    Caller caller;
    caller.account = *jid;
    caller.device = **device;
    co_return std::move(caller);
}

}  // namespace server::http
