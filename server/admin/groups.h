// SPDX-License-Identifier: MIT
// The groups of admin commands, one file each, and what they share: storage's answers as an admin reads them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/admin/commands.h"
#include "storage/storage.h"

namespace server::admin {

std::vector<Command> account_commands();
std::vector<Command> invitation_commands();
std::vector<Command> session_commands();
std::vector<Command> server_commands();

storage::Task<Answer> import_accounts(Context& context, Arguments arguments);   // import.cpp

xmpp::Failure<Problem> failure_of(const storage::StorageError& error);
// The account with its devices, or a problem that says that there is none.
storage::Task<xmpp::Result<storage::Account, Problem>> stored_account(Context& context, xmpp::Jid jid);
Json time_of(storage::Time time);   // null when it never was
// The sessions of all workers (or of one account) as rows, at most `limit`; `total` counts them all.
storage::Task<Json> session_rows(Context& context, xmpp::Jid of, std::size_t limit, std::size_t* total);

}  // namespace server::admin
