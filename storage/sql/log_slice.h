// SPDX-License-Identifier: MIT
// What goes into one transaction of the accounts' logs, and its SQL: multi-row inserts that fall back to
// single rows, so that a row which the database refuses fails alone.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "storage/executor.h"
#include "storage/sql/seat.h"

namespace storage::sql {

struct Append {
    LogEntry entry;
    std::function<void(const Result<void>&)> committed;
    Executor* executor = nullptr;
    std::chrono::steady_clock::time_point asked{};
    std::uint64_t number = 0;   // in the order of asking
    bool may_be_there = false;  // the connection was lost while it was being committed
    std::optional<StorageError> error;

    std::size_t size() const;
};

struct DeviceKey {
    AccountId account = 0;
    std::string device;
    friend auto operator<=>(const DeviceKey&, const DeviceKey&) = default;
};

struct Mark {
    DeviceKey device;
    LogId id = 0;
};

class LogSlice final : public Work {
public:
    std::vector<Append> appends;
    std::map<DeviceKey, LogId> cursors;  // sorted: transactions that lock in one order do not deadlock
    std::vector<Mark> marks;
    std::vector<Mark> passed;       // marks up to here say nothing any more: the device's cursor went beyond
    std::uint64_t last_number = 0;  // everything asked up to here is in the database once this slice is

    bool run(Connection& connection) override;

private:
    void insert_entries(Connection& connection);
    void insert_unarchived(Connection& connection);
    void insert_one_by_one(Connection& connection, std::size_t first, std::size_t count);
    void move_cursors(Connection& connection);
    void insert_marks(Connection& connection);
    void remove_passed_marks(Connection& connection);
};

}  // namespace storage::sql
