// SPDX-License-Identifier: MIT
// GET /v1/export/{token}: an account's data (account_export.h), once, for who holds the link. What is no link, has expired or
// was used looks alike. It is read from storage as fast as the client takes it, and breaks off when the account is disabled or
// one of its keys is none any more.
#include <algorithm>

#include "server/account_export.h"
#include "server/http/routes.h"
#include "server/http/service.h"
#include "server/log.h"

namespace server::http {
namespace {

using storage::Task;
using Piece = xmpp::Result<std::string, std::string>;

struct Reading {
    Reading(Server& s, storage::Account a) : server{s}, ids{s.archive_id_secret()}, account{std::move(a)} {}
    Server& server;
    ArchiveIds ids;
    storage::Account account;
    std::string next;
    bool is_over = false;
};

// Whether all keys that the account had when the link was opened are good still.
bool is_as_before(const storage::Account& before, const std::optional<storage::Account>& now) {
    if (!now || now->id != before.id || now->disabled) return false;
    return std::ranges::all_of(before.devices, [&](const storage::Device& device) { return now->device(device.id) != nullptr; });
}

// An empty piece is the end, so one without anything to show is passed over.
Task<Piece> read_on(std::shared_ptr<Reading> reading) {
    std::string xml;
    while (xml.empty() && !reading->is_over) {
        auto looking = reading->server.storage().accounts().find(reading->account.jid);
        const auto now = co_await looking;
        if (!now) co_return xmpp::Failure{now.error().text};
        if (!is_as_before(reading->account, *now)) co_return xmpp::Failure{std::string{"the account's keys have changed"}};
        auto asking = export_piece(reading->server.storage(), reading->ids, reading->account, reading->next);
        auto piece = co_await asking;
        if (!piece) co_return xmpp::Failure{piece.error().text};
        xml = std::move(piece->xml);
        reading->next = std::move(piece->next);
        reading->is_over = reading->next.empty();
    }
    co_return std::move(xml);
}

Task<Piece> nobody_reads() { co_return std::string{}; }

Task<Response> send(Service& service, Request request) {
    ExportLinks& links = service.server.export_links();
    const storage::Time now = service.server.clock().wall();
    const std::string& token = request.captured.front();
    Response nothing = problem(404, "not-found", "There is no such link, or it has expired or was used.");
    Response response;
    response.content_type = "application/xml";
    response.headers = {{"Content-Disposition", "attachment; filename=\"export.xml\""}, {"Cache-Control", "no-store"}};
    if (request.method == "HEAD") {   // those who look first do not use it up
        response.more = [] { return nobody_reads(); };   // RFC 9110 §9.3.2: the header is that of GET
        co_return links.is_good(token, now) ? std::move(response) : std::move(nothing);
    }
    const auto jid = links.take(token, now);
    if (!jid) co_return std::move(nothing);
    auto finding = service.server.storage().accounts().find(*jid);
    auto account = co_await finding;
    if (!account) co_return problem(503, "unavailable", "Storage does not answer at the moment; ask for another link later.");
    if (!*account || (*account)->disabled) co_return std::move(nothing);
    log::info("account exported", {{"jid", jid->text()}, {"address", request.client_address}});
    response.more = [reading = std::make_shared<Reading>(service.server, std::move(**account))] { return read_on(reading); };
    co_return std::move(response);
}

}  // namespace

Routes export_routes() { return {{"GET", "/v1/export/{token}", send}}; }

}  // namespace server::http
