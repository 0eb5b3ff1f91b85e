// SPDX-License-Identifier: MIT
// What routes ask of a request: its body as JSON, and who sent it.
#pragma once

#include <optional>
#include <string>

#include "server/http/message.h"
#include "xmpp/jid.h"
#include "xmpp/result.h"

namespace server::http {

struct Service;

// The body as an object, or why it is none.
xmpp::Result<Json, Response> body_of(const Request& request);
// A text of the body; nullopt when it is missing or something else.
std::optional<std::string> text_of(const Json& body, const char* name);
// One that may be left out; false: it is there and something else.
bool take_text(const Json& body, const char* name, std::string& into);

// Who has proved to be a device of an account, by its address and key (RFC 7617, "Basic").
struct Caller {
    xmpp::Jid account;
    std::string device;
};
storage::Task<xmpp::Result<Caller, Response>> caller_of(Service& service, const Request& request);

}  // namespace server::http
