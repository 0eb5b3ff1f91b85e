// SPDX-License-Identifier: MIT
// XEP-0388: a login that has succeeded, and what its client asked for together with it. Modules answer in the order of
// modules.def; both live in the frame of the coroutine that completes the login (server/modules/sasl2.cpp).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/sasl.h"
#include "xmpp/stanza.h"

namespace server {

class Session;
class Stream;

// XEP-0388 §2.6.3: what a module keeps of a login whose client still has something to do. The module takes <next/> and
// <task-data/> from the stream meanwhile, nobody anything else.
class LoginTasks {
public:
    virtual ~LoginTasks() = default;
};

struct LoginRequest {
    Stream& stream;                                  // held, on the account's worker; it may be closing after every co_await
    const xmpp::Stanza authenticate;                 // what was asked
    const std::optional<auth::Credentials::Token> token;   // what proved who it is, when that was one (XEP-0484)
    std::string answers;                             // XML to stand in <success/>
    std::vector<std::function<void()>> afterwards;   // when <success/> has been sent
    bool is_resumed = false;                         // with an old session; its client knows the stream's features (XEP-0198 §9.2)
};

// XEP-0386: what is to be switched on in a session that has just got its resource.
struct Binding {
    Session& session;
    const xmpp::Element bind;                        // what was asked
    std::string answers;                             // XML to stand in <bound/>
};

}  // namespace server
