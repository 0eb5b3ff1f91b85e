// SPDX-License-Identifier: MIT
// GET /invite/{token}: the page that an invitation's link leads to (XEP-0379 §3.3, XEP-0401 §5.2) — who invites, the xmpp:
// link as a button and as a QR code, and clients that can open it. One file: nothing is fetched from elsewhere, no script
// runs, and nobody is told where it was opened. Clients are not chosen by the browser's name (§5.2), since all are few.
#include <array>

#include "server/http/qr_code.h"
#include "server/http/routes.h"
#include "server/http/service.h"
#include "server/invited.h"
#include "xmpp/date_time.h"
#include "xmpp/xml_writer.h"

namespace server::http {
namespace {

using storage::Invitation;
using storage::Task;

struct Client {
    std::string_view name, runs_on, url;
};
constexpr std::array<Client, 8> clients{{
    {"Conversations", "Android", "https://conversations.im/"},
    {"Cheogram", "Android", "https://cheogram.com/"},
    {"Monal", "iOS, macOS", "https://monal-im.org/"},
    {"Siskin", "iOS", "https://siskin.im/"},
    {"Dino", "Linux, Windows", "https://dino.im/"},
    {"Gajim", "Windows, Linux, macOS", "https://gajim.org/"},
    {"profanity", "terminals", "https://profanity-im.github.io/"},
    {"Converse", "browsers", "https://conversejs.org/"},
}};

// Colours of the reader's own scheme.
constexpr std::string_view style =
    ":root{color-scheme:light dark}body{font:17px/1.5 system-ui,sans-serif;max-width:34em;margin:2em auto;padding:0 1em}"
    "h1{font-size:1.5em}a.open{display:inline-block;padding:.6em 1.2em;border-radius:.4em;background:#1a5fb4;color:#fff;"
    "text-decoration:none;font-weight:bold}svg{width:13em;height:13em;display:block;margin:1.5em 0}code{word-break:break-all}"
    ".small{font-size:.85em}";

std::string escaped(std::string_view text) {
    std::string html;
    xmpp::append_escaped_attribute(html, text);
    return html;
}

Response page(unsigned status, std::string_view title, std::string_view body) {
    std::string html = "<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'>"
                       "<meta name='viewport' content='width=device-width,initial-scale=1'><meta name='robots' content='noindex'><title>";
    html.append(escaped(title)).append("</title><style>").append(style).append("</style></head><body><main><h1>").append(escaped(title));
    html.append("</h1>\n").append(body).append("</main></body></html>\n");
    Response response = text_response(status, std::move(html), "text/html; charset=utf-8");
    // Nothing but what is written here; the token goes to nobody else; whoever frames it could have the button clicked.
    response.headers.emplace_back("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    response.headers.emplace_back("Referrer-Policy", "no-referrer");
    response.headers.emplace_back("Cache-Control", "no-store");
    return response;
}

std::string list_of_clients() {
    std::string html = "<ul>";
    for (const Client& client : clients) {
        html.append("<li><a rel='noreferrer' href='").append(client.url).append("'>").append(client.name).append("</a> (");
        html.append(client.runs_on).append(")</li>");
    }
    return html + "</ul>\n";
}

// What the link does, in a sentence.
std::string explained(const Invitation& invitation, const Config& config) {
    const std::string domain = escaped(invitation.address.domainpart());
    if (invitation.purpose == Invitation::Purpose::account) {
        const std::string_view name = invitation.address.localpart();
        return "With this link you get an account at <b>" + domain + "</b>" + (name.empty() ? "" : ", with the address <b>" + escaped(invitation.address.text()) + "</b>") + ".";
    }
    std::string text = "With this link you and <b>" + escaped(invitation.inviter.text()) + "</b> become contacts.";
    if (lets_register(invitation, config)) text += " If you have no account for chatting yet, you can get one at <b>" + domain + "</b>.";
    return text;
}

Response page_of(const Invitation& invitation, std::string_view token, const Config& config) {
    const bool is_account = invitation.purpose == Invitation::Purpose::account;
    const std::string uri = uri_of(invitation, token, config);
    const std::string title = is_account ? "You are invited to " + std::string{invitation.address.domainpart()}
                                         : std::string{invitation.inviter.localpart()} + " has invited you to chat";
    std::string body = "<p>" + explained(invitation, config) + "</p>\n";
    body.append("<p><a class='open' href='").append(escaped(uri)).append("'>").append(is_account ? "Get the account" : "Add the contact").append("</a></p>\n");
    body += "<p>If this does nothing, install one of these first, and then come back to this page:</p>\n" + list_of_clients();
    body += "<p>Or scan this with a phone that has one:</p>\n" + qr_svg(uri) + "\n<p class='small'>The link itself: <code>" + escaped(uri) + "</code></p>\n";
    body += "<p class='small'>Good until " + xmpp::format_date_time(invitation.expires) + ". If you do not know who sent you this, close the page: nothing happens.</p>\n";
    return page(200, title, body);
}

Task<Response> show(Service& service, Request request) {
    const std::string token = request.captured.front();
    auto looking = service.server.invitations().look(token, request.client_address);
    const auto found = co_await looking;
    if (found) co_return page_of(*found, token, *service.server.config());
    using Kind = auth::InvitationError::Kind;
    if (found.error().kind == Kind::gone)
        co_return page(404, "This invitation is no longer good", "<p>It has expired, was used or taken back, or the link is not whole. Ask for a new one.</p>\n");
    if (found.error().kind == Kind::too_many) {
        Response response = page(429, "Too many requests", "<p>Try again in a minute.</p>\n");
        response.headers.emplace_back("Retry-After", std::to_string(found.error().retry_after.count()));
        co_return std::move(response);
    }
    co_return page(503, "This does not work now", "<p>Try again later.</p>\n");
}

}  // namespace

Routes invitation_routes() { return {{"GET", "/invite/{token}", show}}; }

}  // namespace server::http
