// SPDX-License-Identifier: MIT
#include "server/invited.h"

#include "server/config.h"
#include "server/log.h"
#include "server/server.h"
#include "server/web_url.h"

namespace server {

namespace {

using storage::Invitation;
using xmpp::Condition;

// RFC 5122 §2.3: of an address, whatever could be taken for something else; RFC 3986 §2.3 has the characters that cannot.
std::string encoded(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string uri;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (is_plain) uri += c;
        else uri.append("%").append(1, digits[byte >> 4U]).append(1, digits[byte & 15U]);
    }
    return uri;
}

std::string encoded(xmpp::JidView address) {
    const std::string domain = encoded(address.domainpart());
    return address.localpart().empty() ? domain : encoded(address.localpart()) + "@" + domain;
}

bool is_open_to_numbers(const Config& config, std::string_view domain) {
    return config.registration.phone && domain == config.domains.front();
}

}  // namespace

std::string uri_of(const Invitation& invitation, std::string_view token, const Config& config) {
    std::string uri = "xmpp:";
    if (invitation.purpose == Invitation::Purpose::account) return uri + encoded(invitation.address) + "?register;preauth=" + std::string{token};
    uri += encoded(invitation.inviter) + "?roster;preauth=" + std::string{token};
    return lets_register(invitation, config) ? uri + ";ibr=y" : uri;
}

std::string landing_url_of(std::string_view token, const Config& config) { return web_url(config, "/invite/" + std::string{token}); }

bool lets_register(const Invitation& invitation, const Config& config) {
    if (invitation.registers || config.registration.open) return true;
    return is_for_numbers(invitation, config);
}

bool is_for_numbers(const Invitation& invitation, const Config& config) {
    return invitation.address.localpart().empty() && is_open_to_numbers(config, invitation.address.domainpart());
}

bool may_give_accounts(const Config& config, xmpp::JidView inviter) {
    const std::string& who = config.invitations.register_by;
    return who == "everybody" || (who == "admins" && config.is_admin(inviter));
}

bool is_like_a_number(const Config& config, xmpp::JidView address) {
    return is_open_to_numbers(config, address.domainpart()) && address.localpart().find_first_not_of("0123456789") == std::string_view::npos;
}

void welcome(Server& server, const Invitation& invitation, const xmpp::Jid& guest) {
    log::info("invitation used", {{"jid", guest.text()}, {"inviter", invitation.inviter.text()}, {"invitation", invitation.id}});
    if (invitation.subscribes && !invitation.inviter.empty() && invitation.inviter != guest) server.befriend(invitation.inviter, guest);
}

storage::Task<xmpp::Result<auth::Registration::Issued, auth::RegistrationError>> confirm_registration(
    Server& server, std::optional<Invitation> invitation, Confirmation confirmation) {
    if (invitation && !is_for_numbers(*invitation, *server.config())) invitation.reset();   // it may have been shown after the number
    // Used before there is a key, so that two guests do not share the last use. A wrong PIN gives it back, and so does a
    // number that has an account, which needs none.
    if (invitation) {
        auto using_up = server.invitations().use(invitation->id);
        const auto used = co_await using_up;
        if (!used) invitation.reset();
    }
    confirmation.login.is_invited = invitation.has_value();
    auto confirming = server.registration().confirm(std::move(confirmation.id), std::move(confirmation.pin), std::move(confirmation.device),
                                                    std::move(confirmation.client_address), std::move(confirmation.login));
    auto issued = co_await confirming;
    const bool is_used = issued && issued->is_new;
    if (invitation && is_used) welcome(server, *invitation, issued->jid);
    if (invitation && !is_used) {
        auto giving = server.invitations().give_back(invitation->id);
        co_await giving;
    }
    co_return std::move(issued);
}

std::string sentence_of(const auth::InvitationError& error) {
    using Kind = auth::InvitationError::Kind;
    switch (error.kind) {
        case Kind::gone: return "There is no such invitation, or it has expired or was used.";
        case Kind::taken: return "This user name is taken.";
        case Kind::no_inviter: return "There is no such account.";
        case Kind::too_many: return "Try again in " + std::to_string(error.retry_after.count()) + " seconds.";
        case Kind::unavailable: break;
    }
    return "Try again later.";
}

xmpp::StanzaError stanza_error_of(const auth::InvitationError& error) {
    using Kind = auth::InvitationError::Kind;
    const bool may_be_tried_again = error.kind == Kind::too_many || error.kind == Kind::unavailable;
    if (may_be_tried_again) return {xmpp::ErrorType::wait, Condition::resource_constraint, sentence_of(error)};
    return {error.kind == Kind::taken ? Condition::conflict : Condition::item_not_found, sentence_of(error)};
}

}  // namespace server
