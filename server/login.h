// SPDX-License-Identifier: MIT
// What a stream holds only until its resource is bound, and how nobody's account looks.
#pragma once

#include <memory>
#include <optional>

#include "auth/sasl.h"
#include "server/login_request.h"
#include "server/stream.h"
#include "xmpp/namespaces.h"

namespace server {

struct Config;

struct Stream::Login {
    std::string domain;                     // that the client named
    xmpp::Jid claimed;                      // bare, from the stream's header; trusted by nobody
    xmpp::Jid account;                      // bare, once it is known
    xmpp::SharedText device;                // of the account, that has proved itself
    std::unique_ptr<auth::Exchange> exchange;
    std::string username;                   // that wants to log in
    std::string_view ns = xmpp::ns::sasl;   // of the profile that the exchange is spoken in: RFC 6120's, or XEP-0388's
    std::optional<auth::Channel> channel;
    xmpp::Stanza request;                   // XEP-0388: what began it, and what it asks for besides
    std::optional<storage::Hash> hash;      // of SCRAM, when that is what is spoken
    std::unique_ptr<LoginTasks> tasks;      // XEP-0388: the proof is there, <success/> is not
    bool was_continued = false;             // there were some
    unsigned failures = 0;
    std::optional<net::Duration> patience_ends; // of whoever registers or links: no stream stays for ever without a login
};

// Of a password for an account that is not there: as many as one would have that was made here, so that nobody can tell.
std::uint32_t iterations_of_nobody(const Config& config, xmpp::JidView account);

}  // namespace server
