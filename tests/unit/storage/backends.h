// SPDX-License-Identifier: MIT
// What the storage contract is held against: SQLite in memory on one thread, the same with threads, a SQLite
// file, and MariaDB. TERN_STORAGE_BACKENDS names them for TEMPLATE_TEST_CASE.
#pragma once

#include <algorithm>
#include <set>
#include <thread>

#include <catch2/catch.hpp>

#include "storage/storage.h"
#include "tests/support/mariadb.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_executor.h"

namespace tests {

using namespace std::chrono_literals;
using storage::Account;
using storage::AccountId;
using storage::Device;
using storage::Jid;
using storage::LogEntry;
using storage::LogId;
using storage::StorageError;
using storage::Time;
using Kind = StorageError::Kind;

struct InlineMemory {
    storage::Options options() const {
        storage::Options options;
        options.url = "sqlite::memory:";
        options.run_inline = true;
        return options;
    }
};

struct ThreadedMemory {
    storage::Options options() const {
        storage::Options options;
        options.url = "sqlite::memory:";
        return options;
    }
};

struct SqliteFile {
    storage::Options options() const {
        storage::Options options;
        options.url = "sqlite:" + directory.path() + "/tern.db";
        return options;
    }
    TemporaryDirectory directory;
};

struct Maria {
    Maria() : database{MariaDb::shared().create_database()} {}
    ~Maria() { MariaDb::shared().drop_database(database); }
    Maria(const Maria&) = delete;
    Maria& operator=(const Maria&) = delete;
    storage::Options options() const {
        storage::Options options;
        options.url = MariaDb::shared().url(database);
        return options;
    }
    std::string database;
};

#define TERN_STORAGE_BACKENDS tests::InlineMemory, tests::ThreadedMemory, tests::SqliteFile, tests::Maria

// A result that must be there.
template <class T>
T must(storage::Result<T> result) {
    if (!result) throw std::runtime_error{result.error().text};
    return std::move(*result);
}
inline void must(const storage::Result<void>& result) {
    if (!result) throw std::runtime_error{result.error().text};
}

inline Jid jid(std::string_view text) {
    auto parsed = Jid::parse(text);
    if (!parsed) throw std::runtime_error{"not a JID: " + std::string{text}};
    return std::move(*parsed);
}

inline Time at(std::int64_t microseconds) { return Time{std::chrono::microseconds{microseconds}}; }

inline Device device(std::string id, LogId cursor = 0, Time created = {}) {
    Device made;
    made.id = std::move(id);
    made.cursor = cursor;
    made.created = created;
    made.last_seen = created;
    return made;
}

inline Account account(std::string_view address, std::vector<Device> devices = {}) {
    Account made;
    made.jid = jid(address);
    made.salt = "salt";
    made.iterations = 4096;
    made.devices = std::move(devices);
    return made;
}

inline LogEntry entry(AccountId owner, LogId id, std::string_view xml = "<message/>",
                      storage::Direction direction = storage::Direction::incoming) {
    LogEntry made;
    made.account = owner;
    made.id = id;
    made.direction = direction;
    made.peer = jid("juliet@capulet.example/balcony");
    made.stanza_type = "chat";
    made.origin_id = "o" + std::to_string(id);
    made.xml = xmpp::Wire{xml};
    return made;
}

// An open storage of a backend, and the thread that asks it.
template <class Backend>
struct Opened {
    Opened() : storage{must(storage::open(backend.options()))} {}

    template <class T>
    T run(storage::Task<T> task) {
        return executor.run(std::move(task));
    }
    template <class T>
    auto get(storage::Task<storage::Result<T>> task) {
        return must(executor.run(std::move(task)));
    }

    AccountId create(std::string_view address, std::vector<Device> devices = {}) {
        return get(storage->accounts().create(account(address, std::move(devices))));
    }
    // Appends and waits until it is committed.
    storage::Result<void> append(LogEntry made) {
        std::optional<storage::Result<void>> result;
        storage->messages().append(std::move(made), [&](const storage::Result<void>& r) { result = r; });
        REQUIRE(executor.run_until([&] { return result.has_value(); }));
        return *result;
    }
    std::vector<LogId> ids(AccountId owner) {
        std::vector<LogId> found;
        for (const LogEntry& e : get(storage->messages().read(owner, 0, 1000000))) found.push_back(e.id);
        return found;
    }
    void reopen() {
        storage.reset();
        storage = must(storage::open(backend.options()));
    }

    Backend backend;
    TestExecutor executor;
    std::unique_ptr<storage::Storage> storage;
};

inline std::vector<LogId> ids_of(const std::vector<LogEntry>& entries) {
    std::vector<LogId> ids;
    for (const LogEntry& e : entries) ids.push_back(e.id);
    return ids;
}

}  // namespace tests
