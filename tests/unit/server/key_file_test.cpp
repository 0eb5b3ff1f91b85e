// SPDX-License-Identifier: MIT
// The key that is kept beside the database.
#include <array>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <thread>
#include <vector>

#include "server/key_file.h"
#include "tests/support/temporary_directory.h"

using server::key_in_file;

TEST_CASE("a key is made once, for its owner alone, and is the same ever after") {
    const tests::TemporaryDirectory directory;
    const std::string path = directory.path() + "/tokens.key";
    const auto made = key_in_file(path);
    REQUIRE(made);
    CHECK(made->size() == server::key_file_size);
    CHECK(*key_in_file(path) == *made);
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK(*key_in_file(directory.path() + "/another.key") != *made);
}

TEST_CASE("a key is written where nobody else has put something, leaves nothing beside it, and is one for all who make it") {
    const tests::TemporaryDirectory directory;
    const std::string path = directory.path() + "/tokens.key", victim = directory.path() + "/victim";
    std::ofstream{victim} << "precious";
    std::filesystem::create_symlink(victim, path + ".new");
    std::array<std::string, 8> keys;
    {
        std::vector<std::jthread> makers;
        for (std::string& key : keys) makers.emplace_back([&] { key = *key_in_file(path); });
    }
    for (const std::string& key : keys) CHECK(key == keys.front());
    CHECK(*key_in_file(path) == keys.front());
    std::string kept;
    std::ifstream{victim} >> kept;
    CHECK(kept == "precious");
    CHECK(std::distance(std::filesystem::directory_iterator{directory.path()}, {}) == 3);

    std::filesystem::create_symlink(directory.path() + "/nowhere", directory.path() + "/dangling.key");
    CHECK_FALSE(key_in_file(directory.path() + "/dangling.key"));
}

TEST_CASE("a file that holds no key is left alone, and a directory that is not there is a problem") {
    const tests::TemporaryDirectory directory;
    const std::string path = directory.path() + "/tokens.key";
    for (const std::string& content : {std::string{}, std::string(31, 'x'), std::string(33, 'x')}) {
        std::ofstream{path, std::ios::trunc} << content;
        const auto key = key_in_file(path);
        REQUIRE_FALSE(key);
        CHECK(key.error().find(path) != std::string::npos);
    }
    CHECK_FALSE(key_in_file(directory.path() + "/missing/tokens.key"));
}
