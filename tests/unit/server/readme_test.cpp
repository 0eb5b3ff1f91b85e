// SPDX-License-Identifier: MIT
// The README's tables say what the server says of itself: configuration keys and modules.
#include <catch2/catch.hpp>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "server/config.h"
#include "server/host.h"

namespace {

std::string readme() {
    std::ifstream file{PROJECT_DIRECTORY "/README.md"};
    REQUIRE(file.good());
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
    const std::size_t from = text.find(begin);
    REQUIRE(from != std::string::npos);
    const std::size_t to = text.find(end, from + begin.size());
    REQUIRE(to != std::string::npos);
    return text.substr(from + begin.size(), to - from - begin.size());
}

}  // namespace

TEST_CASE("the README's configuration table is that of the server") {
    std::string expected = "\n| key | default | applies | what it is |\n|---|---|---|---|\n";
    for (const server::ConfigKey& key : server::config_keys())
        expected += "| `" + key.name + "` | `" + key.default_value + "` | " + key.reload + " | " + key.help + " |\n";
    CHECK(between(readme(), "<!-- config-table -->", "<!-- /config-table -->") == expected);
}

TEST_CASE("the README's module table names every module, and no other") {
    std::set<std::string> named;
    std::istringstream rows{between(readme(), "| module | XEP | what users get |\n|---|---|---|\n", "\n\n") + "\n"};
    for (std::string row; std::getline(rows, row);) named.insert(row.substr(2, row.find(" |", 2) - 2));
    std::set<std::string> built;
    for (const std::string_view name : server::module_names()) built.emplace(name);
    CHECK(named == built);
}
