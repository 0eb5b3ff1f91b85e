// SPDX-License-Identifier: MIT
// RFC 6121 §2: what clients ask of the roster and change in it, with roster versioning (§2.6). Announces versioning and
// pre-approval (§3.4) as stream features.
#pragma once

#include "server/host.h"
#include "server/iq.h"
#include "storage/task.h"

namespace server {

class RosterIq {
public:
    explicit RosterIq(Host& host);

private:
    void features(Stream& stream, xmpp::XmlWriter& w);
    IqReply get(Iq& iq);
    storage::Task<IqReply> set(Iq iq);

    Host& host_;
};

}  // namespace server
