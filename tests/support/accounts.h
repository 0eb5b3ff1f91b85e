// SPDX-License-Identifier: MIT
// The accounts that a scene takes for granted, put straight into storage with few hash iterations so that a login costs
// nothing, and how to run a storage task where no event loop is.
#pragma once

#include "storage/storage.h"
#include "tests/support/scene.h"
#include "tests/support/test_executor.h"

namespace tests {

// What a storage task comes to, where no event loop runs.
template <class T>
T wait_for(storage::Task<T> task) {
    TestExecutor executor;
    return executor.run(std::move(task));
}

// Makes the accounts of [Account] and [Client]. Clients of one account with different passwords are its devices.
void make_accounts(storage::Storage& storage, const Scene& scene, xmpp::Time now);

}  // namespace tests
