// SPDX-License-Identifier: MIT
// Shows an admin command's result to a human: no command needs code of its own for that.
#include <algorithm>
#include <ostream>

#include "server/admin/client.h"

namespace server::admin {
namespace {

// Width on a terminal, roughly: code points. Control characters, which a display name may hold, are not let through.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string harmless(std::string text) {
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    return text;
}

std::string cell(const Json& value) {
    if (value.is_null()) return "-";
    if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
    if (value.is_string()) return value.get_ref<const std::string&>().empty() ? "-" : harmless(value.get<std::string>());
    if (value.is_array()) {
        std::string list;
        for (const Json& item : value) list += (list.empty() ? "" : ", ") + cell(item);
        return list.empty() ? "-" : list;
    }
    return value.dump();
}

std::string title(std::string name) {
    std::replace(name.begin(), name.end(), '_', ' ');
    return name;
}

void print_row(std::ostream& out, const std::vector<std::string>& cells, const std::vector<std::size_t>& widths, const std::vector<bool>& right) {
    std::string line;
    for (std::size_t at = 0; at < cells.size(); ++at) {
        const std::string space(widths[at] - width(cells[at]), ' ');
        line += (at == 0 ? "" : "  ") + (right[at] ? space + cells[at] : cells[at] + space);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
}

// The first row's names are the columns. Numbers stand to the right.
void print_table(std::ostream& out, const Json& rows) {
    std::vector<std::string> names, titles;
    std::vector<bool> right;
    for (const auto& [name, value] : rows.front().items()) {
        names.push_back(name);
        std::string heading = title(name);
        std::transform(heading.begin(), heading.end(), heading.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
        titles.push_back(std::move(heading));
        right.push_back(std::all_of(rows.begin(), rows.end(), [&, key = name](const Json& row) { return row.contains(key) && (row[key].is_number() || row[key].is_null()); }));
    }
    std::vector<std::vector<std::string>> lines;
    std::vector<std::size_t> widths;
    for (const std::string& heading : titles) widths.push_back(width(heading));
    for (const Json& row : rows) {
        auto& line = lines.emplace_back();
        for (std::size_t at = 0; at < names.size(); ++at) {
            line.push_back(row.contains(names[at]) ? cell(row[names[at]]) : "-");
            widths[at] = std::max(widths[at], width(line.back()));
        }
    }
    print_row(out, titles, widths, right);
    for (const auto& line : lines) print_row(out, line, widths, right);
}

bool is_table(const Json& value) { return value.is_array() && !value.empty() && value.front().is_object(); }

}  // namespace

void print_readable(std::ostream& out, const Json& result) {
    if (!result.is_object()) {
        out << cell(result) << '\n';
        return;
    }
    if (result.contains("message")) out << harmless(result["message"].get<std::string>()) << '\n';
    // What a sentence already said in words is not said again.
    const bool has_lists = std::any_of(result.begin(), result.end(), [](const Json& value) { return value.is_array(); });
    if (result.contains("message") && !has_lists) return;

    std::size_t widest = 0;
    for (const auto& [name, value] : result.items())
        if (!is_table(value)) widest = std::max(widest, width(title(name)));
    bool is_first = true;
    for (const auto& [name, value] : result.items()) {
        if (name == "message" || is_table(value)) continue;
        if (result.size() == 1) {
            out << "no " << title(name) << '\n';
            return;
        }
        out << title(name) << ':' << std::string(widest - width(title(name)) + 1, ' ') << cell(value) << '\n';
        is_first = false;
    }
    for (const auto& [name, value] : result.items()) {
        if (!is_table(value)) continue;
        if (!is_first) out << '\n' << title(name) << '\n';
        print_table(out, value);
        is_first = false;
    }
}

}  // namespace server::admin
