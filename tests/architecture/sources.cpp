// SPDX-License-Identifier: MIT
#include "tests/architecture/sources.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>

namespace tests {

namespace fs = std::filesystem;

namespace {

const fs::path root{PROJECT_DIRECTORY};

std::vector<std::string> between(std::string_view text, char quote) {
    std::vector<std::string> found;
    for (std::size_t begin = text.find(quote); begin != std::string_view::npos; begin = text.find(quote, begin)) {
        const std::size_t end = text.find(quote, begin + 1);
        if (end == std::string_view::npos) break;
        found.emplace_back(text.substr(begin + 1, end - begin - 1));
        begin = end + 1;
    }
    return found;
}

}  // namespace

std::vector<std::string> lines_of_file(const std::string& path) {
    std::vector<std::string> lines;
    std::ifstream file{root / path};
    for (std::string line; std::getline(file, line);) lines.push_back(std::move(line));
    return lines;
}

bool exists(const std::string& path) { return fs::exists(root / path); }

std::string Source::text() const {
    std::string all;
    for (const std::string& line : lines) all.append(line).append("\n");
    return all;
}

std::vector<std::string> Source::includes() const {
    static const std::regex include{R"(^\s*#\s*include\s+("([^"]+)\"|<[^>]+>))"};
    std::vector<std::string> found;
    for (const std::string& line : lines)
        if (std::smatch match; std::regex_search(line, match, include)) found.push_back(match[2].matched ? match[2] : match[1]);
    return found;
}

const std::vector<Source>& sources() {
    static const std::vector<Source> all = [] {
        std::vector<Source> found;
        for (const char* folder : {"xmpp", "storage", "auth", "server", "tests"}) {
            for (const auto& entry : fs::recursive_directory_iterator{root / folder}) {
                const auto extension = entry.path().extension();
                if (extension != ".h" && extension != ".cpp") continue;
                const std::string path = entry.path().lexically_relative(root).string();
                found.push_back({path, lines_of_file(path)});
            }
        }
        std::sort(found.begin(), found.end(), [](const Source& a, const Source& b) { return a.path < b.path; });
        return found;
    }();
    return all;
}

std::vector<Row> dependency_table() {
    std::vector<Row> rows;
    bool is_there = false;
    for (const std::string& line : lines_of_file("README.md")) {
        if (line.starts_with("#")) is_there = line.find("Who may use whom") != std::string::npos;
        if (!is_there || !line.starts_with("|")) continue;
        const std::size_t bar = line.find('|', 1);
        if (bar == std::string::npos) continue;
        Row row{between(std::string_view{line}.substr(0, bar), '`'), between(std::string_view{line}.substr(bar), '`')};
        if (!row.names.empty()) rows.push_back(std::move(row));
    }
    return rows;
}

// ---- functions -------------------------------------------------------------------------------------------------------

std::vector<std::string> without_comments(const std::vector<std::string>& lines) {
    std::vector<std::string> plain = lines;
    std::string raw_end;   // of the raw string that we are in
    bool in_comment = false;
    for (std::string& line : plain) {
        char quote = 0;
        for (std::size_t i = 0; i < line.size(); ++i) {
            const std::string_view rest = std::string_view{line}.substr(i);
            if (!raw_end.empty() || in_comment) {
                const std::string_view end = in_comment ? std::string_view{"*/"} : std::string_view{raw_end};
                const bool ends = rest.starts_with(end);
                const std::size_t blank = ends ? end.size() : 1;
                line.replace(i, blank, blank, ' ');
                i += blank - 1;
                if (ends) in_comment = false;
                if (ends) raw_end.clear();
            } else if (quote != 0) {
                if (line[i] == '\\') line.replace(i, std::min<std::size_t>(2, line.size() - i), std::min<std::size_t>(2, line.size() - i), ' ');
                else if (line[i] == quote) quote = 0;
                else line[i] = ' ';
            } else if (rest.starts_with("//")) {
                line.resize(i);
            } else if (rest.starts_with("/*")) {
                in_comment = true;
                line.replace(i, 2, "  ");
                ++i;
            } else if (rest.starts_with("R\"")) {
                const std::size_t open = rest.find('(');
                raw_end = ")" + std::string{rest.substr(2, open - 2)} + "\"";
                line.replace(i, open + 1, open + 1, ' ');
                i += open;
            } else if (line[i] == '"' || (line[i] == '\'' && (i == 0 || std::isalnum(static_cast<unsigned char>(line[i - 1])) == 0))) {
                quote = line[i];
            }
        }
    }
    return plain;
}

namespace {

// `head`: what stands before a brace, since the statement before it.
bool begins_function(std::string head) {
    head = std::regex_replace(head, std::regex{R"(^\s+|template\s*<[^>]*>|\[\[[^\]]*\]\])"}, "");
    static const std::regex no_function{R"(^(namespace|class|struct|enum|union|extern|using|do|else|try|if|for|while|switch|return|static const std|=)\b)"};
    return head.find('(') != std::string::npos && !std::regex_search(head, no_function);
}

std::size_t code_lines(const std::vector<std::string>& lines, std::size_t first, std::size_t last) {
    const auto holds_code = [](const std::string& line) { return line.find_first_not_of(" \t\",()") != std::string::npos; };
    return static_cast<std::size_t>(std::count_if(lines.begin() + static_cast<std::ptrdiff_t>(first), lines.begin() + static_cast<std::ptrdiff_t>(last) + 1, holds_code));
}

}  // namespace

std::vector<Function> functions_of(const Source& source) {
    std::vector<Function> found;
    std::string head;
    std::size_t depth = 0, function_depth = 0, head_line = 0;
    bool in_function = false;
    bool just_ended = false;   // a pair of braces; an initialiser a_{x} goes on with , or {
    const std::vector<std::string> lines = without_comments(source.lines);
    for (std::size_t number = 0; number < lines.size(); ++number) {
        if (lines[number].starts_with("#")) continue;
        for (const char c : lines[number] + "\n") {
            if (c == '{') {
                ++depth;
                if (!in_function && begins_function(head)) {
                    in_function = true;
                    just_ended = false;
                    function_depth = depth;
                } else if (!in_function) {
                    head.clear();
                }
            } else if (c == '}') {
                if (in_function && depth == function_depth) {
                    in_function = false;
                    found.push_back({head, head_line + 1, code_lines(lines, head_line, number)});
                    just_ended = true;
                } else if (!in_function) {
                    head.clear();
                }
                if (depth > 0) --depth;
            } else if (!in_function) {
                const bool is_space = std::isspace(static_cast<unsigned char>(c)) != 0;
                if (c == ';' || (just_ended && !is_space && c != ',')) head.clear();
                just_ended = just_ended && is_space;
                if (c == ';' || (head.empty() && is_space)) continue;
                if (head.empty()) head_line = number;
                head += c;
            }
        }
    }
    return found;
}

}  // namespace tests
