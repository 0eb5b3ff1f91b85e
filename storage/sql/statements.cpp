// SPDX-License-Identifier: MIT
// The texts of multi-row statements.
#include "storage/sql/statements.h"

namespace storage::sql {

std::string concat(std::initializer_list<std::string_view> parts) {
    std::string text;
    for (const std::string_view part : parts) text += part;
    return text;
}

std::size_t rows_at_once(std::size_t wanted) {
    static constexpr std::array<std::size_t, 6> sizes{most_rows, 64, 16, 8, 4, 2};
    for (const std::size_t size : sizes) {
        if (wanted >= size) return size;
    }
    return 1;
}

std::string with_rows(std::string_view begin, std::size_t columns, std::size_t rows, std::string_view end) {
    std::string text;
    text.reserve(begin.size() + rows * (columns * 2 + 3) + end.size());
    text = begin;
    for (std::size_t row = 0; row < rows; ++row) {
        text += row == 0 ? "(?" : ",(?";
        for (std::size_t column = 1; column < columns; ++column) text += ",?";
        text += ')';
    }
    text += end;
    return text;
}

}  // namespace storage::sql
