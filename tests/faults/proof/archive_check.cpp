// SPDX-License-Identifier: MIT
#include "tests/faults/proof/archive_check.h"

#include "tests/clients/wire_client.h"
#include "tests/faults/proof/device.h"

namespace tests {

namespace {

constexpr std::string_view mam = "urn:xmpp:mam:2";
constexpr std::string_view rsm = "http://jabber.org/protocol/rsm";

class Reading {
public:
    Reading(int account, const Plan& plan, Ledger& ledger)
        : account_{account},
          plan_{plan},
          ledger_{ledger},
          talks_(static_cast<std::size_t>(plan.devices() * plan.accounts)) {}

    void read(const TernProcess& server) {
        WireClient client{server, Device::account(account_) + "@localhost/reader",
                          Device::password(account_ * Plan::devices_per_account)};
        std::string last;
        for (bool is_complete = false; !is_complete;) {
            const Node answer = client.ask(
                "set",
                "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>250</max>" +
                    (last.empty() ? "" : "<after>" + last + "</after>") + "</set></query>",
                "");
            while (const auto node = client.next(WireClient::Patience{0})) take(*node);
            const Node* const fin = answer.child("fin", mam);
            const Node* const set = fin != nullptr ? fin->child("set", rsm) : nullptr;
            if (set == nullptr) return ledger_.wrong("archive", "not to be read:\n" + indented(answer));
            if (const Node* const end = set->child("last", rsm)) last = end->text;
            is_complete = fin->attr_or_empty("complete") == "true";
        }
    }

    void compare() {
        for (int sender = 0; sender < plan_.devices(); ++sender)
            for (int to = 0; to < plan_.accounts; ++to) {
                if (to != account_ && sender / Plan::devices_per_account != account_) continue;
                for (std::uint32_t number = 1; number <= ledger_.sent_to(sender, to); ++number)
                    compare({sender, to, number});
            }
    }

private:
    struct Talk {
        std::vector<std::uint8_t> copies;
        std::uint32_t highest = 0;
    };
    Talk& talk(MessageId message) {
        return talks_[static_cast<std::size_t>(message.sender * plan_.accounts + message.account)];
    }

    void take(const Node& node) {
        const Node* const result = node.child("result", mam);
        const Node* const forwarded =
            result != nullptr ? result->child("forwarded", "urn:xmpp:forward:0") : nullptr;
        const Node* const message = forwarded != nullptr ? forwarded->child("message", ns::client) : nullptr;
        const auto id = message != nullptr ? MessageId::parse(message->attr_or_empty("id")) : std::nullopt;
        if (!id || id->sender >= plan_.devices() || id->account >= plan_.accounts)
            return ledger_.wrong("archive", "has:\n" + indented(node));
        Talk& here = talk(*id);
        if (here.copies.size() < id->number) here.copies.resize(id->number);
        if (here.copies[id->number - 1]++ != 0) return;
        if (id->number < here.highest)
            ledger_.wrong("archive",
                          "of account " + std::to_string(account_) + " is out of order at " + id->text());
        here.highest = std::max(here.highest, id->number);
    }

    void compare(MessageId message) {
        const auto& copies = talk(message).copies;
        const std::uint32_t count = message.number <= copies.size() ? copies[message.number - 1] : 0;
        if (count == 0 && ledger_.is_acked(message))
            ledger_.lost(message, "the archive of account " + std::to_string(account_) + " lacks it");
        if (count > ledger_.times_sent(message))
            ledger_.wrong("archive", "has " + std::to_string(count) + " copies of " + message.text());
    }

    int account_;
    const Plan& plan_;
    Ledger& ledger_;
    std::vector<Talk> talks_;
};

}  // namespace

void check_archives(const TernProcess& server, const Plan& plan, Ledger& ledger) {
    for (int account = 0; account < plan.accounts; ++account) {
        Reading reading{account, plan, ledger};
        reading.read(server);
        reading.compare();
    }
}

}  // namespace tests
