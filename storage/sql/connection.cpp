// SPDX-License-Identifier: MIT
// What all drivers share: kept statements, the kept error, transactions as SQL text.
#include "storage/sql/connection.h"

namespace storage::sql {

StorageError to_storage_error(const Error& error) {
    using Kind = StorageError::Kind;
    switch (error.kind) {
        case Error::Kind::unreachable:
        case Error::Kind::lost:
        case Error::Kind::slow:
        case Error::Kind::busy: return {Kind::unavailable, error.text};
        case Error::Kind::full: return {Kind::full, error.text};
        case Error::Kind::duplicate: return {Kind::conflict, error.text};
        case Error::Kind::missing: return {Kind::not_found, error.text};
        case Error::Kind::unfit:
        case Error::Kind::broken: break;
    }
    return {Kind::broken, error.text};
}

Statement* Connection::statement(std::string_view sql) {
    if (failed()) return nullptr;
    if (const auto found = statements_.find(sql); found != statements_.end()) return found->second.get();
    auto prepared = prepare(sql);
    if (!prepared) return nullptr;
    return statements_.emplace(std::string{sql}, std::move(prepared)).first->second.get();
}

Rows Connection::query(std::string_view sql, std::span<const Value> values) {
    Statement* const found = statement(sql);
    if (found) found->start(values);
    return Rows{found};
}

std::uint64_t Connection::change(std::string_view sql, std::span<const Value> values) {
    Statement* const found = statement(sql);
    if (!found) return 0;
    found->start(values);
    const std::uint64_t affected = failed() ? 0 : found->affected();
    found->finish();
    return affected;
}

void Connection::begin() {
    // A transaction that begins by reading and goes on to write would fail on SQLite when another writer came
    // between.
    execute(dialect() == Dialect::sqlite ? "BEGIN IMMEDIATE" : "START TRANSACTION");
}

void Connection::rollback() {
    if (!in_transaction()) return;
    auto before = take_error();
    execute("ROLLBACK");
    if (auto failure = take_error()) {
        error_.emplace(Error::Kind::lost, std::move(failure->text));
    } else {
        error_ = std::move(before);
    }
}

Jid stored_jid(std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::size_t at = text.substr(0, slash).find('@');
    return Jid{JidView{text, at, slash}};
}

}  // namespace storage::sql
