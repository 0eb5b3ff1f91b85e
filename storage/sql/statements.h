// SPDX-License-Identifier: MIT
// Multi-row statements in a few sizes, so that each size is prepared once and kept; and other texts of
// statements.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "storage/sql/connection.h"

namespace storage::sql {

// Statements are put together once and kept as constants.
std::string concat(std::initializer_list<std::string_view> parts);

inline constexpr std::size_t most_rows = 200;

// The largest of the sizes that are prepared which is not above `wanted`.
std::size_t rows_at_once(std::size_t wanted);
// `begin` followed by `rows` times (?, …, ?) and `end`.
std::string with_rows(std::string_view begin, std::size_t columns, std::size_t rows,
                      std::string_view end = {});

// Inserts all; a row that the database refuses is told to `refused` and fails alone.
template <std::size_t columns, class Refused>
void insert_rows(Connection& connection, std::string_view begin, std::string_view end,
                 const std::vector<std::array<Value, columns>>& rows, Refused refused) {
    const auto insert = [&](std::size_t first, std::size_t count) {
        connection.change(with_rows(begin, columns, count, end),
                          std::span{rows[first].data(), columns * count});
        auto error = connection.take_error();
        if (error && !error->is_of_the_row()) connection.fail(std::move(*error));
        return error && error->is_of_the_row() ? std::optional{to_storage_error(*error)} : std::nullopt;
    };
    for (std::size_t first = 0; first < rows.size() && !connection.failed();) {
        const std::size_t count = rows_at_once(rows.size() - first);
        if (auto error = insert(first, count)) {
            for (std::size_t i = first; i < first + count && !connection.failed(); ++i) {
                if (count > 1) error = insert(i, 1);
                if (error) refused(*error);
            }
        }
        first += count;
    }
}

}  // namespace storage::sql
