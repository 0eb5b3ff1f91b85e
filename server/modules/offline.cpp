// SPDX-License-Identifier: MIT
// XEP-0160 1.0.1: Offline Messages, by the account's log: what is worth keeping is appended before it is delivered, so
// that a device that was away gets it later. Heeds the hints of XEP-0334 1.0.0 and leaves chat states (XEP-0085) alone.
// Leaves out flexible retrieval (XEP-0013): a device is sent all that it lacks.
#include <algorithm>

#include "server/account.h"
#include "server/host.h"
#include "server/worker.h"

namespace server {

namespace {

using xmpp::Element;
using xmpp::Stanza;

constexpr std::string_view ns_chat_states = "http://jabber.org/protocol/chatstates";
constexpr std::string_view ns_hints = "urn:xmpp:hints";

const xmpp::StanzaError not_stored{xmpp::ErrorType::wait, xmpp::Condition::resource_constraint,
                                   "The message could not be stored."};

class Offline final : public Module {
public:
    explicit Offline(Host& host) : worker_{host.worker}, uncommitted_{host} {
        host.disco.feature("msgoffline");  // XEP-0160 §4
        host.at<&Offline::archive>(host.inbound, Station::archive, this);
        host.at<&Offline::unclaimed>(host.unclaimed, this);
        host.at<&Offline::catch_up>(host.available, this);
    }

private:
    // An entry on its way to the disk; whether nobody but the log took its message.
    struct Uncommitted {
        std::uint64_t ticket = 0;
        storage::LogId entry = 0;   // 0: it is being appended just now
        bool is_unclaimed = false;
    };

    Verdict archive(Passage& passage) {
        if (passage.stanza.kind() != xmpp::Kind::message || !is_worth_keeping(passage)) return Verdict::pass();
        auto& uncommitted = uncommitted_[passage.account];
        uncommitted.push_back({++tickets_});
        const storage::LogId entry = passage.account.log.append(
            storage::Direction::incoming, passage.from, passage.stanza, standing_alone(passage),
            [this, weak = passage.account.weak_from_this(), stanza = passage.stanza, ticket = tickets_](bool committed) {
                if (const auto account = weak.lock()) settled(*account, stanza, ticket, committed);
            });
        if (std::exchange(refused_, false)) return Verdict::bounce(not_stored);
        passage.logged_as = entry;
        if (!uncommitted.empty() && uncommitted.back().entry == 0) uncommitted.back().entry = entry;
        return Verdict::pass();
    }

    static bool is_worth_keeping(const Passage& passage) {
        const Stanza& message = passage.stanza;
        if (message.is_error()) return false;                                // XEP-0160 §3, XEP-0334 §5
        if (message.child("no-store", ns_hints)) return false;               // XEP-0334 §4.2
        // §4.1: kept as long as delivery needs it, so not at all when somebody is there to take it.
        if (message.child("no-permanent-store", ns_hints) && has_taker(passage.account)) return false;
        if (message.child("store", ns_hints)) return true;                   // §4.4
        if (message.type() == "groupchat" || message.type() == "headline") return false;  // XEP-0160 §3
        return has_content(message);
    }

    static bool has_taker(const Account& account) {
        return std::ranges::any_of(account.sessions(), [](const auto& session) { return session->takes_messages(); });
    }

    // XEP-0160 §3: chat states alone are not worth keeping, nor is what only goes along with a message.
    static bool has_content(const Stanza& message) { return std::ranges::any_of(message.children(), is_content); }
    static bool is_content(const Element& child) {
        return child.ns() != ns_chat_states && child.ns() != ns_hints && child.ns() != xmpp::ns::stanza_id &&
               child.ns() != xmpp::ns::delay && !child.is("thread", xmpp::ns::client);
    }

    // The stanza as it goes to clients, and the declaration that their stream headers have.
    static xmpp::Wire standing_alone(Passage& passage) {
        constexpr std::string_view tag = "<message";
        const xmpp::Wire wire = passage.wire();
        assert(wire.bytes().starts_with(tag));
        std::string xml{tag};
        xml.append(" xmlns='").append(xmpp::ns::client).append("'").append(wire.bytes().substr(tag.size()));
        return xmpp::Wire{xml};
    }

    // RFC 6121 §8.5.2.2.1: stored is taken care of.
    Verdict unclaimed(Passage& passage) {
        // A chat state that nobody sees is no loss worth an error.
        if (passage.logged_as == 0) return has_content(passage.stanza) ? Verdict::pass() : Verdict::drop();
        for (Uncommitted& each : uncommitted_[passage.account])
            if (each.entry == passage.logged_as) each.is_unclaimed = true;
        return Verdict::drop();
    }

    void settled(Account& account, const Stanza& message, std::uint64_t ticket, bool committed) {
        auto& uncommitted = uncommitted_[account];
        const auto found = std::ranges::find(uncommitted, ticket, &Uncommitted::ticket);
        if (found == uncommitted.end()) return;
        const Uncommitted entry = *found;
        uncommitted.erase(found);
        if (committed) return;
        if (entry.entry == 0) refused_ = true;
        else if (entry.is_unclaimed) worker_.router.bounce(message, message.to(), not_stored);
    }

    // XEP-0160 §2: at the first presence with a priority that is not negative.
    void catch_up(Session& session, bool /*initial*/) {
        if (session.takes_messages()) session.account().log.catch_up(session);
    }

    Worker& worker_;
    AccountSlot<std::vector<Uncommitted>> uncommitted_;
    std::uint64_t tickets_ = 0;
    bool refused_ = false;   // what is being appended was refused at once
};

}  // namespace

MODULE_FACTORY(offline, Offline)

}  // namespace server
