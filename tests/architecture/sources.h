// SPDX-License-Identifier: MIT
// The project's own source files as text, for rules about how they look.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tests {

struct Source {
    std::string path;                       // relative to the project
    std::vector<std::string> lines;
    std::string text() const;
    std::vector<std::string> includes() const;   // "xmpp/jid.h", <expat.h> with its brackets
};

// Every .h and .cpp below the folders of the project, in order.
const std::vector<Source>& sources();
std::vector<std::string> lines_of_file(const std::string& path);   // relative to the project; empty when there is none
bool exists(const std::string& path);

// README.md, "Who may use whom": what stands between ` in each row's first cell, and in its second.
struct Row {
    std::vector<std::string> names, places;
};
std::vector<Row> dependency_table();

// Comments and the insides of literals replaced by blanks, line by line.
std::vector<std::string> without_comments(const std::vector<std::string>& lines);

struct Function {
    std::string head;
    std::size_t first_line, lines;   // that hold code: no comments, no texts (a table of SQL is data)
};
// Bodies of functions, found by their braces: good enough to measure them.
std::vector<Function> functions_of(const Source& source);

}  // namespace tests
