// SPDX-License-Identifier: MIT
// The rules of the project that a compiler does not know: who may include whom (the table in README.md), where foreign
// headers may stand, how long files and functions may be, what every module needs.
#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>

#include <catch2/catch.hpp>

#include "tests/architecture/sources.h"

using namespace tests;

namespace {

std::string folder_of(const std::string& path) { return path.substr(0, path.find('/') + 1); }

bool stands_in(const std::string& path, const std::vector<std::string>& places) {
    return std::any_of(places.begin(), places.end(), [&](const std::string& place) { return path.starts_with(place); });
}

// `<openssl/*>` is all that begins so.
bool is_like(const std::string& header, const std::string& pattern) {
    const std::size_t star = pattern.find('*');
    return star == std::string::npos ? header == pattern : header.starts_with(pattern.substr(0, star));
}

std::map<std::string, std::vector<std::string>> allowed_folders() {
    std::map<std::string, std::vector<std::string>> allowed;
    for (const Row& row : dependency_table())
        if (row.names.front().ends_with('/')) allowed[row.names.front()] = row.places;
    return allowed;
}

std::vector<std::string> modules() {
    static const std::regex line_of_module{R"(^MODULE\(([a-z0-9_]+)\))"};
    std::vector<std::string> names;
    for (const std::string& line : lines_of_file("server/modules/modules.def"))
        if (std::smatch match; std::regex_search(line, match, line_of_module)) names.push_back(match[1]);
    return names;
}

std::string join(const std::vector<std::string>& lines) {
    std::string all;
    for (const std::string& line : lines) all.append("\n  ").append(line);
    return all;
}

#define CHECK_NONE(found) CHECK_THAT(join(found), Catch::Matchers::Equals(""))

}  // namespace

TEST_CASE("README.md says who may use whom") {
    const auto allowed = allowed_folders();
    for (const char* folder : {"xmpp/", "storage/", "auth/", "server/"}) {
        INFO(folder);
        CHECK(allowed.contains(folder));
    }
}

TEST_CASE("a folder includes only what the README's table allows it") {
    const auto allowed = allowed_folders();
    std::vector<std::string> wrong;
    for (const Source& source : sources()) {
        const std::string folder = folder_of(source.path);
        if (folder == "tests/") continue;
        for (const std::string& header : source.includes()) {
            const std::string from = folder_of(header);
            if (header.starts_with('<') || from == folder) continue;
            const auto row = allowed.find(folder);
            const bool is_fine = row != allowed.end() && std::find(row->second.begin(), row->second.end(), from) != row->second.end();
            if (!is_fine) wrong.push_back(source.path + " includes " + header);
        }
    }
    CHECK_NONE(wrong);
}

TEST_CASE("a foreign header is included only where the README's table says") {
    const auto table = dependency_table();
    std::vector<std::string> wrong;
    for (const Source& source : sources()) {
        if (folder_of(source.path) == "tests/") continue;
        for (const std::string& header : source.includes()) {
            if (!header.starts_with('<')) continue;
            // Standard headers have no dot; the system's own (<sys/…>, <unistd.h>) are in the table or in the list.
            static const std::regex own{R"(^<([a-z0-9_]+|(sys|netinet|arpa|net|linux)/[a-z0-9_]+\.h|[a-z0-9_]+\.h)>$)"};
            const auto row = std::find_if(table.begin(), table.end(), [&](const Row& candidate) {
                return std::any_of(candidate.names.begin(), candidate.names.end(), [&](const std::string& name) { return is_like(header, name); });
            });
            if (row != table.end() ? !stands_in(source.path, row->places) : !std::regex_match(header, own))
                wrong.push_back(source.path + " includes " + header);
        }
    }
    CHECK_NONE(wrong);
}

TEST_CASE("the well-known foreign headers are in the README's table") {
    const auto table = dependency_table();
    for (const char* header : {"<expat.h>", "<sqlite3.h>", "<cppconn/driver.h>", "<openssl/ssl.h>", "<toml++/toml.h>", "<spdlog/logger.h>",
                               "<curl/curl.h>", "<phonenumbers/phonenumberutil.h>", "<unicode/idna.h>"}) {
        INFO(header);
        CHECK(std::any_of(table.begin(), table.end(), [&](const Row& row) {
            return std::any_of(row.names.begin(), row.names.end(), [&](const std::string& name) { return is_like(header, name); });
        }));
    }
}

TEST_CASE("no module includes another") {
    std::vector<std::string> wrong;
    for (const Source& source : sources()) {
        if (!source.path.starts_with("server/")) continue;
        const std::string own_folder = source.path.substr(0, source.path.rfind('/') + 1);
        for (const std::string& header : source.includes()) {
            if (!header.starts_with("server/modules/") || header == "server/modules/modules.def") continue;
            const bool same_module = own_folder != "server/modules/" && header.starts_with(own_folder);   // modules/muc/
            if (!same_module) wrong.push_back(source.path + " includes " + header);
        }
    }
    CHECK_NONE(wrong);
}

TEST_CASE("every module has its file and its scenes") {
    REQUIRE_FALSE(modules().empty());
    std::vector<std::string> scenes;
    for (const auto& entry : std::filesystem::directory_iterator{std::string{PROJECT_DIRECTORY} + "/tests/scenes"})
        if (entry.path().extension() == ".scs") scenes.push_back(entry.path().filename().string());
    std::vector<std::string> missing;
    for (const std::string& module : modules()) {
        if (!exists("server/modules/" + module + ".cpp")) missing.push_back("server/modules/" + module + ".cpp");
        if (std::none_of(scenes.begin(), scenes.end(), [&](const std::string& scene) { return scene.starts_with(module); }))
            missing.push_back("tests/scenes/" + module + "*.scs");
    }
    CHECK_NONE(missing);
}

TEST_CASE("every file in server/modules is a module") {
    const auto names = modules();
    std::vector<std::string> unknown;
    for (const Source& source : sources()) {
        static const std::regex file{R"(^server/modules/([a-z0-9_]+)\.cpp$)"};
        std::smatch match;
        if (std::regex_match(source.path, match, file) && std::find(names.begin(), names.end(), match[1]) == names.end()) unknown.push_back(source.path);
    }
    CHECK_NONE(unknown);
}

TEST_CASE("every file begins with its licence") {
    std::vector<std::string> without;
    for (const Source& source : sources())
        if (source.lines.empty() || source.lines.front() != "// SPDX-License-Identifier: MIT") without.push_back(source.path);
    CHECK_NONE(without);
}

TEST_CASE("no file is longer than 500 lines, no function longer than 70") {
    std::vector<std::string> too_long;
    for (const Source& source : sources()) {
        if (source.lines.size() > 500) too_long.push_back(source.path + ": " + std::to_string(source.lines.size()) + " lines");
        for (const Function& function : functions_of(source))
            // A test case may be one long table.
            if (function.lines > (function.head.find("TEST_CASE") == std::string::npos ? 70 : 120))
                too_long.push_back(source.path + ":" + std::to_string(function.first_line) + ": " + std::to_string(function.lines) + " lines: " +
                                   function.head.substr(0, function.head.find('\n')));
    }
    CHECK_NONE(too_long);
}

TEST_CASE("nothing is left to be done, and nothing is caught to be forgotten") {
    static const std::regex mark{R"(\b(TO)(DO)\b|\b(FIX)(ME)\b)"};
    static const std::regex swallowed{R"(catch\s*\(\.\.\.\)\s*\{\s*\})"};
    std::vector<std::string> found;
    for (const Source& source : sources())
        for (std::size_t i = 0; i < source.lines.size(); ++i)
            if (std::regex_search(source.lines[i], mark) || std::regex_search(source.lines[i], swallowed))
                found.push_back(source.path + ":" + std::to_string(i + 1) + ": " + source.lines[i]);
    CHECK_NONE(found);
}

TEST_CASE("what the README names is there") {
    // `server/router.cpp`, or `server/router.cpp: deliver` for a name in that file
    static const std::regex named{R"(`((xmpp|storage|auth|server|tests|docker)/[A-Za-z0-9_/.-]*[A-Za-z0-9_/])(:\s?([A-Za-z_:]+))?`)"};
    std::vector<std::string> missing;
    for (const std::string& line : lines_of_file("README.md")) {
        for (std::sregex_iterator match{line.begin(), line.end(), named}, end; match != end; ++match) {
            const std::string path = (*match)[1];
            const std::string name = (*match)[4];
            if (!exists(path)) missing.push_back(path);
            else if (!name.empty() && Source{path, lines_of_file(path)}.text().find(name) == std::string::npos) missing.push_back(path + ": " + name);
        }
    }
    CHECK_NONE(missing);
}

TEST_CASE("functions are measured") {
    const Source source{"x.cpp", {"#include <a>", "namespace x {", "int f(int a) {", "    if (a) { return \"{\"; }", "    return 1;  // {", "}",
                                  "X::X(int a) : a_{a}, b_{1} {", "    g();", "}", "struct Y {", "    void h() const { k(); }", "};", "int z{f(1)};",
                                  "void last()", "{", "}", "}"}};
    std::vector<std::pair<std::size_t, std::size_t>> measured;
    for (const Function& function : functions_of(source)) measured.emplace_back(function.first_line, function.lines);
    using Pairs = std::vector<std::pair<std::size_t, std::size_t>>;
    CHECK(std::find(measured.begin(), measured.end(), std::pair<std::size_t, std::size_t>{3, 4}) != measured.end());
    CHECK(std::find(measured.begin(), measured.end(), std::pair<std::size_t, std::size_t>{7, 3}) != measured.end());
    CHECK(std::find(measured.begin(), measured.end(), std::pair<std::size_t, std::size_t>{11, 1}) != measured.end());
    CHECK(std::find(measured.begin(), measured.end(), std::pair<std::size_t, std::size_t>{14, 3}) != measured.end());
    CHECK(measured != Pairs{});
}
