// SPDX-License-Identifier: MIT
// What devices can fetch: when all is calm, each account's archive (XEP-0313) is read from its beginning to
// its end. It has what was acked to the sender and what was acked to somebody else, in the order of each
// conversation, and nothing more often than it was sent.
#pragma once

#include "tests/clients/tern_process.h"
#include "tests/faults/proof/ledger.h"

namespace tests {

void check_archives(const TernProcess& server, const Plan& plan, Ledger& ledger);

}  // namespace tests
