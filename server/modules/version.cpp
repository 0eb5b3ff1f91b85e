// SPDX-License-Identifier: MIT
// XEP-0092 1.1: Software Version — of the server. Leaves out <os/>, which helps attackers alone (§5); accounts have no
// version, their connected resources answer for themselves.
#include "server/host.h"

namespace server {

namespace {

constexpr std::string_view ns = "jabber:iq:version";

class Version final : public Module {
public:
    explicit Version(Host& host) {
        host.disco.feature(ns);
        host.iq.get<&Version::answer>(Asked::server, ns, "query", this);
    }

private:
    // XEP-0092 §2: <name/> and <version/> are required.
    IqReply answer(Iq&) {
        xmpp::XmlWriter w;
        w.open("query", ns).leaf("name", "Tern").leaf("version", TERN_VERSION);
        return w.take();
    }
};

}  // namespace

MODULE_FACTORY(version, Version)

}  // namespace server
