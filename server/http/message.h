// SPDX-License-Identifier: MIT
// An HTTP request and its response as the routes see them: plain values, nothing of the library that carries them.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "storage/task.h"
#include "xmpp/result.h"

namespace server {
class Server;
}

namespace server::http {

using Json = nlohmann::ordered_json;

struct Request {
    std::string method;             // "GET"
    std::string path;               // without the query, percent-encoding undone
    std::string query;              // as it came
    std::string content_type;       // without parameters, in lower case; empty: not given
    std::string authorization;      // the field, as it came; empty: not given
    std::string body;
    std::string client_address;     // behind a trusted proxy: whom the proxy names
    std::vector<std::string> captured;   // what stood for {…} in the route's path
};

struct Response {
    unsigned status = 200;
    std::string content_type;       // empty: no body
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    // What follows the body, so that none of it need be in memory as a whole: an empty piece is the end, a failure breaks
    // the connection off.
    std::function<storage::Task<xmpp::Result<std::string, std::string>>()> more;
};

Response json_response(unsigned status, const Json& body);
Response text_response(unsigned status, std::string body, std::string content_type = "text/plain; charset=utf-8");
// RFC 7807. `code` is for programs, `detail` for people; `more` is merged into the object.
Response problem(unsigned status, std::string_view code, std::string_view detail, Json more = Json::object());
std::string_view reason_of(unsigned status);

}  // namespace server::http
