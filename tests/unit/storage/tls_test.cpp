// SPDX-License-Identifier: MIT
// TLS to the database: a server is believed only with the right certificate, for the right name.
#include <cstdlib>

#include "tests/unit/storage/backends.h"

using namespace tests;

namespace {

// A self-signed certificate for that name, and its key.
void make_certificate(const std::string& path, const std::string& name) {
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=" +
        name + " -addext subjectAltName=DNS:" + name + " -keyout " + path + ".key -out " + path +
        ".pem 2>/dev/null";
    if (std::system(command.c_str()) != 0)
        throw std::runtime_error{"openssl failed: apt-get install openssl"};
}

std::optional<StorageError> open_error(const std::string& url) {
    storage::Options options;
    options.url = url;
    auto opened = storage::open(options);
    if (opened) return std::nullopt;
    return opened.error();
}

}  // namespace

TEST_CASE("a database server's certificate is checked as the storage url says", "[mariadb]") {
    TemporaryDirectory certificates;
    const std::string right = certificates.path() + "/right", wrong = certificates.path() + "/wrong",
                      other = certificates.path() + "/other";
    make_certificate(right, "localhost");
    make_certificate(wrong, "localhost");
    make_certificate(other, "db.example");
    const auto url = [](const MariaDb& server, const std::string& query) {
        return "mysql://tern:s3cret%3Ap%40ss%2Fword@localhost:" + std::to_string(server.port()) + "/mysql?" +
               query;
    };
    const auto refuses = [](const std::string& asked) {
        const auto error = open_error(asked);
        if (error) INFO(error->text);
        return error && error->kind == Kind::unavailable && error->text.find("s3cret") == std::string::npos;
    };
    {
        MariaDb server{{"--ssl-cert=" + right + ".pem", "--ssl-key=" + right + ".key"}};
        CHECK_FALSE(open_error(url(server, "ssl-ca=" + right + ".pem")));
        CHECK_FALSE(open_error(url(server, "ssl=true")));
        CHECK(refuses(url(server, "ssl-ca=" + wrong + ".pem")));
        CHECK(refuses(url(server, "ssl-ca=" + wrong + ".pem&ssl-verify=false")));
        CHECK(refuses(url(server, "ssl-ca=" + certificates.path() + "/none.pem")));
    }
    MariaDb server{{"--ssl-cert=" + other + ".pem", "--ssl-key=" + other + ".key"}};
    CHECK(refuses(url(server, "ssl-ca=" + other + ".pem")));
    CHECK_FALSE(open_error(url(server, "ssl-ca=" + other + ".pem&ssl-verify=false")));
}
