// SPDX-License-Identifier: MIT
// XEP-0478 0.2.0: Stream Limits Advertisement — how big a stanza may be and when a silent client is asked for a sign of
// life, told in the stream features, so that a client need not find out by losing its stream.
#include "server/config.h"
#include "server/host.h"
#include "server/stream.h"
#include "server/worker.h"

namespace server {

namespace {

constexpr std::string_view ns = "urn:xmpp:stream-limits:0";

class StreamLimits final : public Module {
public:
    explicit StreamLimits(Host& host) : worker_{host.worker} { host.at<&StreamLimits::announce>(host.features, this); }

private:
    // §3.1. The features behind a login are the last ones, and tell what holds for the session (§4). Before it
    // limits.login_deadline ends the stream, silent or not.
    void announce(Stream& stream, xmpp::XmlWriter& w) {
        const bool has_logged_in = stream.phase() == Stream::Phase::bind || stream.phase() == Stream::Phase::session;
        w.open("limits", ns);
        w.leaf("max-bytes", std::to_string(has_logged_in ? worker_.limits.stanza_bytes : worker_.login_limits.stanza_bytes));
        if (has_logged_in) w.leaf("idle-seconds", std::to_string(worker_.config->limits.idle.count()));
        w.close();
    }

    Worker& worker_;
};

}  // namespace

MODULE_FACTORY(stream_limits, StreamLimits)

}  // namespace server
