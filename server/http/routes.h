// SPDX-License-Identifier: MIT
// Which path is answered by what. A path's parts may be {…}: what stands there is handed to the handler. Answers 404, 405
// (with Allow), HEAD and OPTIONS by itself (RFC 9110).
#pragma once

#include <string_view>
#include <vector>

#include "server/http/message.h"

namespace server::http {

struct Service;   // service.h: what handlers work on

struct Route {
    std::string_view method;      // GET also answers HEAD
    std::string_view path;        // "/v1/register/{id}/confirm"
    storage::Task<Response> (*answer)(Service& service, Request request);
    bool any_origin = false;      // browsers' scripts of any site may use it (CORS)
};

using Routes = std::vector<Route>;

Routes registration_routes();     // registration.cpp
Routes invitation_routes();       // invitations.cpp
Routes linking_routes();          // linking.cpp
Routes device_routes();           // devices.cpp
Routes export_routes();           // exports.cpp
Routes health_routes();           // health.cpp

storage::Task<Response> dispatch(const Routes& routes, Service& service, Request request);
Response nothing_there();         // 404

// RFC 3986 §2.1; nullopt for broken encoding, and for encoded NUL.
std::optional<std::string> decode_path(std::string_view text);

}  // namespace server::http
