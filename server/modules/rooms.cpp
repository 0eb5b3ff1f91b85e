// SPDX-License-Identifier: MIT
// XEP-0045 1.35: Multi-User Chat at SERVICE.DOMAIN (rooms.service), with XEP-0410, XEP-0421 and archives (XEP-0313): the service
// for each domain. What a room is and does: server/rooms/room.h.
#include <memory>
#include <vector>

#include "server/config.h"
#include "server/host.h"
#include "server/rooms/rooms.h"
#include "server/worker.h"

namespace server {

namespace {

constexpr std::size_t most_remembered = 64U << 20;   // bytes of what is said in this worker's rooms

class RoomsModule final : public Module {
public:
    explicit RoomsModule(Host& host) {
        const std::string& name = host.worker.config->rooms.service;
        if (name.empty()) return;
        host.at<&RoomsModule::account_removed>(host.account_removed, this);
        host.at<&RoomsModule::going_down>(host.going_down, this);
        for (const std::string& domain : host.worker.config->domains) {
            const std::string jid = name + "." + domain;
            rooms::Rooms& service = *services_.emplace_back(std::make_unique<rooms::Rooms>(host.worker, jid, histories_));
            ServiceOf& entry = host.services[jid];
            entry.disco.identities.push_back({"conference", "text", "Group chats"});   // §6.2
            for (const std::string_view feature : {xmpp::ns::disco_info, xmpp::ns::disco_items, rooms::ns_muc, xmpp::ns::rsm, xmpp::ns::occupant_id,
                                                   std::string_view{"http://jabber.org/protocol/muc#stable_id"}})
                entry.disco.features.emplace_back(feature);
            entry.entities.provide<&rooms::Rooms::take>(&service);
            entry.iq.get<&rooms::Rooms::items>(Asked::service, xmpp::ns::disco_items, "query", &service);
            host.disco.server.items.push_back({jid, "", "Group chats"});   // §6.1
        }
    }

private:
    void account_removed(const xmpp::Jid& account) {
        for (const auto& service : services_) service->account_removed(account);
    }
    void going_down() {
        for (const auto& service : services_) service->going_down();
    }

    rooms::Histories histories_{most_remembered};
    std::vector<std::unique_ptr<rooms::Rooms>> services_;
};

}  // namespace

MODULE_FACTORY(rooms, RoomsModule)

}  // namespace server
