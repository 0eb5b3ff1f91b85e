// SPDX-License-Identifier: MIT
// What an invitation means to this server: where its link leads, and what becomes of who comes with one. Whether a token
// is good is auth::Invitations' to tell.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "auth/registration.h"
#include "storage/storage.h"
#include "xmpp/error.h"

namespace auth {
struct InvitationError;
}

namespace server {

class Server;
struct Config;

// The xmpp: URI (XEP-0401 §5.1 and §5.4).
std::string uri_of(const storage::Invitation& invitation, std::string_view token, const Config& config);
// Its landing page; empty when nothing says where that could be reached.
std::string landing_url_of(std::string_view token, const Config& config);

// Whether its holder can register with it, by one door or another (XEP-0401 §5.1, "ibr=y").
bool lets_register(const storage::Invitation& invitation, const Config& config);
// Whether a number may use it for its registration.
bool is_for_numbers(const storage::Invitation& invitation, const Config& config);
// Whether guests of that account may register with user name and password: invitations.register.
bool may_give_accounts(const Config& config, xmpp::JidView inviter);
// Whether a number's account would have this address: whoever has the number gets it.
bool is_like_a_number(const Config& config, xmpp::JidView address);

// An invitation's use has become an account.
void welcome(Server& server, const storage::Invitation& invitation, const xmpp::Jid& guest);

// auth::Registration::confirm() for somebody who may be invited: that is used when it makes an account.
struct Confirmation {
    std::string id, pin, device, client_address;
    auth::Registration::Login login;
};
storage::Task<xmpp::Result<auth::Registration::Issued, auth::RegistrationError>> confirm_registration(
    Server& server, std::optional<storage::Invitation> invitation, Confirmation confirmation);

// In sentences, and as stanza errors.
std::string sentence_of(const auth::InvitationError& error);
xmpp::StanzaError stanza_error_of(const auth::InvitationError& error);

}  // namespace server
