// SPDX-License-Identifier: MIT
// XEP-0202 2.0: Entity Time — of the server, in UTC whatever zone its machine stands in (§6: a zone tells where).
#include "server/host.h"
#include "server/worker.h"
#include "xmpp/date_time.h"

namespace server {

namespace {

constexpr std::string_view ns = "urn:xmpp:time";

class EntityTime final : public Module {
public:
    explicit EntityTime(Host& host) {
        host.disco.feature(ns);
        host.iq.get<&EntityTime::answer>(Asked::server, ns, "time", this);
    }

private:
    // XEP-0202 §2: <tzo/> and <utc/> are required.
    IqReply answer(Iq& iq) {
        xmpp::XmlWriter w;
        w.open("time", ns).leaf("tzo", "+00:00").leaf("utc", xmpp::format_date_time(iq.worker.now()));
        return w.take();
    }
};

}  // namespace

MODULE_FACTORY(time, EntityTime)

}  // namespace server
