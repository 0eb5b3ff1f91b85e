// SPDX-License-Identifier: MIT
// Building responses.
#include "server/http/message.h"

namespace server::http {
namespace {

std::string dump(const Json& body) { return body.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

Response json_response(unsigned status, const Json& body) {
    Response response;
    response.status = status;
    response.content_type = "application/json";
    response.body = dump(body);
    return response;
}

Response text_response(unsigned status, std::string body, std::string content_type) {
    Response response;
    response.status = status;
    response.content_type = std::move(content_type);
    response.body = std::move(body);
    return response;
}

Response problem(unsigned status, std::string_view code, std::string_view detail, Json more) {
    Json body{{"title", reason_of(status)}, {"status", status}, {"code", code}, {"detail", detail}};
    for (auto& [name, value] : more.items()) body[name] = std::move(value);
    Response response;
    response.status = status;
    response.content_type = "application/problem+json";
    response.body = dump(body);
    return response;
}

std::string_view reason_of(unsigned status) {  // RFC 9110 §15
    switch (status) {
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 400: return "Bad Request";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 408: return "Request Timeout";
        case 410: return "Gone";
        case 413: return "Content Too Large";
        case 415: return "Unsupported Media Type";
        case 417: return "Expectation Failed";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 503: return "Service Unavailable";
        case 505: return "HTTP Version Not Supported";
        default: return status < 500 ? "Error" : "Internal Server Error";
    }
}

}  // namespace server::http
