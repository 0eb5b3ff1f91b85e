// SPDX-License-Identifier: MIT
// XEP-0160 1.0.1: Offline Messages, by the account's log: what is worth keeping is appended before it is delivered, so
// that a device that was away gets it later. Heeds the hints of XEP-0334 1.0.0 and leaves chat states (XEP-0085) alone.
// Leaves out flexible retrieval (XEP-0013): a device is sent all that it lacks.
#include <algorithm>

#include "server/account.h"
#include "server/host.h"
#include "server/message_content.h"
#include "server/worker.h"

namespace server {

namespace {

using xmpp::Stanza;

class Offline final : public Module {
public:
    explicit Offline(Host& host) {
        host.disco.feature("msgoffline");  // XEP-0160 §4
        host.at<&Offline::archive>(host.inbound, Station::archive, this);
        host.at<&Offline::unclaimed>(host.unclaimed, this);
        host.at<&Offline::catch_up>(host.available, this);
    }

private:
    Verdict archive(Passage& passage) {
        if (passage.stanza.kind() == xmpp::Kind::message && is_worth_keeping(passage)) passage.keep(Keep::until_delivered);
        return Verdict::pass();
    }

    static bool is_worth_keeping(const Passage& passage) {
        const Stanza& message = passage.stanza;
        if (message.is_error()) return false;                                // XEP-0160 §3, XEP-0334 §5
        if (message.type() == "groupchat") return false;   // one for each occupant, and kept by the room (XEP-0045 §7.2.13)
        if (has_hint(message, "no-store")) return false;               // XEP-0334 §4.2
        // §4.1: kept as long as delivery needs it, so not at all when somebody is there to take it.
        if (has_hint(message, "no-permanent-store") && has_taker(passage.account)) return false;
        if (has_hint(message, "store")) return true;                   // §4.4
        if (message.type() == "headline") return false;                // XEP-0160 §3
        return has_content(message);
    }

    // A session that waits to be resumed may never be.
    static bool has_taker(const Account& account) {
        return std::ranges::any_of(account.sessions(), [](const auto& session) { return session->stream() && session->takes_messages(); });
    }

    // RFC 6121 §8.5.2.2.1: stored is taken care of.
    Verdict unclaimed(Passage& passage) {
        // A chat state that nobody sees is no loss worth an error.
        return passage.logged_as == 0 && has_content(passage.stanza) ? Verdict::pass() : Verdict::drop();
    }

    // XEP-0160 §2: at the first presence with a priority that is not negative.
    void catch_up(Session& session, bool /*initial*/) {
        if (session.takes_messages()) session.account().log.catch_up(session);
    }
};

}  // namespace

MODULE_FACTORY(offline, Offline)

}  // namespace server
