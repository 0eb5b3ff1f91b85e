// SPDX-License-Identifier: MIT
// Finding the route of a request, and what all routes have in common.
#include "server/http/routes.h"

#include <optional>

#include "server/http/service.h"
#include "server/log.h"

namespace server::http {
namespace {

std::vector<std::string_view> parts_of(std::string_view path) {
    std::vector<std::string_view> parts;
    for (std::size_t at = 1; at <= path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        parts.push_back(path.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

// What stood for the {…} of the pattern.
std::optional<std::vector<std::string>> match(std::string_view pattern, std::string_view path) {
    if (path.empty() || path.front() != '/') return std::nullopt;
    const auto wanted = parts_of(pattern), given = parts_of(path);
    if (wanted.size() != given.size()) return std::nullopt;
    std::vector<std::string> captured;
    for (std::size_t at = 0; at < wanted.size(); ++at) {
        if (wanted[at].starts_with('{')) {
            if (given[at].empty()) return std::nullopt;
            captured.emplace_back(given[at]);
        } else if (wanted[at] != given[at]) {
            return std::nullopt;
        }
    }
    return captured;
}

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

void allow_any_origin(Response& response) { response.headers.emplace_back("Access-Control-Allow-Origin", "*"); }

// What a browser asks before it lets a script send the request itself.
Response preflight(const std::string& allowed, bool any_origin) {
    Response response;
    response.status = 204;
    response.headers.emplace_back("Allow", allowed);
    if (any_origin) {
        allow_any_origin(response);
        response.headers.emplace_back("Access-Control-Allow-Methods", allowed);
        response.headers.emplace_back("Access-Control-Allow-Headers", "Authorization, Content-Type");
        response.headers.emplace_back("Access-Control-Max-Age", "86400");
    }
    return response;
}

}  // namespace

Response nothing_there() { return problem(404, "not-found", "There is nothing at this path."); }

storage::Task<Response> dispatch(const Routes& routes, Service& service, Request request) {
    const std::string method = request.method == "HEAD" ? "GET" : request.method;
    std::string allowed;
    bool any_origin = false;
    for (const Route& route : routes) {
        auto captured = match(route.path, request.path);
        if (!captured) continue;
        any_origin = any_origin || route.any_origin;
        allowed.append(allowed.empty() ? "" : ", ").append(route.method == "GET" ? "GET, HEAD" : route.method);
        if (route.method != method) continue;
        request.captured = std::move(*captured);
        auto answering = route.answer(service, std::move(request));
        Response response = co_await answering;
        if (route.any_origin) allow_any_origin(response);
        co_return std::move(response);
    }
    if (allowed.empty()) co_return nothing_there();
    allowed += ", OPTIONS";
    if (method == "OPTIONS") co_return preflight(allowed, any_origin);
    Response response = problem(405, "method-not-allowed", "This path answers " + allowed + ".");
    response.headers.emplace_back("Allow", allowed);
    if (any_origin) allow_any_origin(response);
    co_return std::move(response);
}

std::optional<std::string> decode_path(std::string_view text) {
    std::string path;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            path += text[at];
            continue;
        }
        const int high = at + 2 < text.size() ? digit(text[at + 1]) : -1;
        const int low = at + 2 < text.size() ? digit(text[at + 2]) : -1;
        if (high < 0 || low < 0 || high * 16 + low == 0) return std::nullopt;
        path += static_cast<char>(high * 16 + low);
        at += 2;
    }
    return path;
}

}  // namespace server::http
