// SPDX-License-Identifier: MIT
// Holding back who has others wait for the database.
#include "server/awaited.h"

#include "server/account.h"
#include "server/server.h"
#include "server/stream.h"
#include "server/worker.h"

namespace server {

constexpr std::size_t most = 50, enough = 25;   // of one account

void Awaited::begin(xmpp::JidView sender) {
    auto entry = senders_.find(sender.bare().text());
    if (entry == senders_.end()) entry = senders_.try_emplace(std::string{sender.bare().text()}).first;
    if (++entry->second.count < most || !sender.is_full()) return;
    // By the time that this arrives some more may have come; each holds it once more.
    const auto held = entry->second.held.emplace_back(std::make_shared<Held>());
    Worker& home = worker_.server.worker_of(sender.bare().text());
    home.loop.post([&home, held, jid = xmpp::Jid{sender}] {
        Account* const account = home.find(jid.view().bare().text());
        Session* const session = account ? account->session(jid.resourcepart()) : nullptr;
        if (!session || !session->stream()) return;
        held->stream = session->stream()->weak_from_this();
        session->stream()->hold();
    });
}

void Awaited::end(xmpp::JidView sender) {
    const auto entry = senders_.find(sender.bare().text());
    if (--entry->second.count == enough && !entry->second.held.empty()) {
        Worker& home = worker_.server.worker_of(sender.bare().text());
        home.loop.post([all = std::exchange(entry->second.held, {})] {
            for (const auto& held : all)
                if (const auto stream = held->stream.lock()) stream->go_on();
        });
    }
    if (entry->second.count == 0) senders_.erase(entry);
}

}  // namespace server
