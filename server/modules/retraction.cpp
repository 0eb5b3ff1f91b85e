// SPDX-License-Identifier: MIT
// XEP-0424 0.4.2: Message Retraction — what its sender takes back is replaced by a tombstone in the logs of both sides,
// so that no archive and no device that was away gets it any more. The retraction itself is stored like any message.
// Leaves out groupchat messages: a room passes the retraction on and goes on remembering the original.
#include "server/account.h"
#include "server/host.h"
#include "server/log.h"
#include "server/stream.h"
#include "server/worker.h"

namespace server {

namespace {

constexpr std::string_view ns = "urn:xmpp:message-retract:1";

class Retraction final : public Module {
public:
    explicit Retraction(Host& host) : worker_{host.worker} {
        host.disco.feature(ns);
        host.disco.account_feature(ns);
        host.disco.account_feature("urn:xmpp:message-retract:1#tombstone");   // §4
        host.at<&Retraction::retract>(host.outbound, Station::copy, this);
        host.at<&Retraction::retract>(host.inbound, Station::copy, this);
    }

private:
    // §5: both from the same bare JID, which is whose conversation it is looked for in.
    Verdict retract(Passage& passage) {
        const xmpp::Stanza& message = passage.stanza;
        if (message.kind() != xmpp::Kind::message || passage.logged_as == 0) return Verdict::pass();   // tombstones point to what is stored
        const std::string_view original = message.child("retract", ns).attr("id");
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
        if (stream) stream->hold();
        auto replacing = replace_in_log(account, direction, std::move(peer), std::move(original), std::move(retraction));
        const auto replaced = co_await replacing;
        if (!replaced) log::warn("message not retracted", {{"jid", account->jid().text()}, {"why", replaced.error().text}});
        if (stream) stream->go_on();
    }

    storage::Task<storage::Result<void>> replace_in_log(std::shared_ptr<Account> account, storage::Direction direction, xmpp::Jid peer,
                                                        std::string original, std::string retraction) {
        auto& messages = worker_.storage().messages();
        auto finding = messages.find_by_origin(account->id(), direction, peer, original);
        const auto found = co_await finding;
        if (!found) co_return storage::Failure{found.error()};
        if (!*found) co_return storage::Result<void>{};
        auto replacing = messages.replace(account->id(), (*found)->id, tombstone(**found, retraction));
        const auto replaced = co_await replacing;
        co_return replaced;
    }

    // §4: the addresses and ids stay, and everything else goes.
    xmpp::Wire tombstone(const storage::LogEntry& entry, std::string_view retraction) {
        const xmpp::Stanza original = xmpp::parse_or_empty(entry.xml.bytes());
        xmpp::XmlWriter w;
        w.open("message");
        for (const std::string_view name : {"type", "from", "to", "id"}) w.attr_if(name, original.element().attr(name));
        w.open("retracted", ns).attr("id", retraction).attr("stamp", xmpp::format_date_time(worker_.now())).close();
        for (const xmpp::Element child : original.children())
            if (child.ns() == xmpp::ns::stanza_id) w.raw(child.xml(xmpp::ns::client));
        return xmpp::Wire{w.take()};
    }

    Worker& worker_;
};

}  // namespace

MODULE_FACTORY(retraction, Retraction)

}  // namespace server
