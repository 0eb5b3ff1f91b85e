// SPDX-License-Identifier: MIT
// XEP-0424 0.4.2: Message Retraction — what its sender takes back is replaced by a tombstone in the logs of both sides,
// so that no archive and no device that was away gets it any more. The retraction itself is stored like any message.
// Leaves out groupchat messages, which are the room's (rooms/retraction.cpp).
#include "server/account.h"
#include "server/host.h"
#include "server/log.h"
#include "server/stream.h"
#include "server/tombstone.h"
#include "server/worker.h"

namespace server {

namespace {

constexpr unsigned most_under_way = 4;   // of an account: each looks through a conversation

// In a room a bare JID is everybody's (XEP-0045 §7.5); who said it is known by the occupant-id (XEP-0424 §5).
bool is_of_the_same(const storage::LogEntry& entry, xmpp::JidView peer) {
    const xmpp::Stanza said = xmpp::parse_or_empty(entry.xml.bytes());
    return entry.peer.view() == peer || !(said.child("x", xmpp::ns::muc_user) || is_tombstone(said));
}

class Retraction final : public Module {
public:
    explicit Retraction(Host& host) : worker_{host.worker}, under_way_{host} {
        host.disco.feature(ns_retract);
        host.disco.account_feature(ns_retract);
        host.disco.account_feature(retract_tombstones);   // §4
        host.at<&Retraction::retract>(host.outbound, Station::copy, this);
        host.at<&Retraction::retract>(host.inbound, Station::copy, this);
    }

private:
    // §5: both from the same bare JID, which is whose conversation it is looked for in.
    Verdict retract(Passage& passage) {
        const xmpp::Stanza& message = passage.stanza;
        if (message.kind() != xmpp::Kind::message || passage.logged_as == 0) return Verdict::pass();   // tombstones point to what is stored
        const std::string_view original = message.child("retract", ns_retract).attr("id");
        if (original.empty() || message.is_error() || message.type() == "groupchat") return Verdict::pass();
        const bool is_outgoing = passage.direction == storage::Direction::outgoing;
        // Who takes it back sees it gone in whatever he asks for next.
        const std::shared_ptr<Stream> stream = passage.sender && passage.sender->stream() ? passage.sender->stream()->shared_from_this() : nullptr;
        worker_.spawn("retracting a message",
                      replace(passage.account.shared_from_this(), stream, passage.direction, xmpp::Jid{is_outgoing ? passage.to : passage.from},
                              std::string{original}, std::string{message.id()}));
        return Verdict::pass();
    }

    storage::Task<void> replace(std::shared_ptr<Account> account, std::shared_ptr<Stream> stream, storage::Direction direction, xmpp::Jid peer,
                                std::string original, std::string retraction) {
        const std::shared_ptr<Receipt> receipt = Receipt::current();
        if (under_way_[*account] >= most_under_way) co_return;   // §4: "MAY"
        ++under_way_[*account];
        if (stream) stream->hold();
        auto replacing = replace_in_log(account, direction, std::move(peer), std::move(original), std::move(retraction));
        const auto replaced = co_await replacing;
        if (!replaced) log::warn("message not retracted", {{"jid", account->jid().text()}, {"why", replaced.error().text}});
        --under_way_[*account];
        if (stream) stream->go_on();
    }

    storage::Task<storage::Result<void>> replace_in_log(std::shared_ptr<Account> account, storage::Direction direction, xmpp::Jid peer,
                                                        std::string original, std::string retraction) {
        auto& messages = worker_.storage().messages();
        auto finding = messages.find_by_origin(account->id(), direction, peer, original);
        const auto found = co_await finding;
        if (!found) co_return storage::Failure{found.error()};
        if (!*found || !is_of_the_same(**found, peer)) co_return storage::Result<void>{};
        const std::string left = tombstone(xmpp::parse_or_empty((*found)->xml.bytes()), retracted(retraction, worker_.now()));
        auto replacing = messages.replace(account->id(), (*found)->id, xmpp::Wire{left});
        const auto replaced = co_await replacing;
        co_return replaced;
    }

    Worker& worker_;
    AccountSlot<unsigned> under_way_;
};

}  // namespace

MODULE_FACTORY(retraction, Retraction)

}  // namespace server
