// SPDX-License-Identifier: MIT
// The key that is kept beside the database.
#include <catch2/catch.hpp>
#include <fstream>
#include <sys/stat.h>

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
