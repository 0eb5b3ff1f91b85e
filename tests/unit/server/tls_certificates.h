// SPDX-License-Identifier: MIT
// What tests of TLS and of certificates share: a directory with certificates, and how to look at them.
#pragma once

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "server/net/tls.h"

namespace tests::tls {

namespace fs = std::filesystem;
using server::net::TlsContext;

class Directory {
public:
    Directory() {
        std::string pattern = (fs::temp_directory_path() / "tern-tls-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    ~Directory() { fs::remove_all(path_); }
    std::string file(const std::string& name) const { return (path_ / name).string(); }
    TlsContext::Domain domain(const std::string& name) const {
        TlsContext::Domain made{name, file(name + ".crt"), file(name + ".key")};
        REQUIRE(server::net::ensure_self_signed(name, made.certificate_file, made.key_file).ok());
        return made;
    }

private:
    fs::path path_;
};

inline std::string content_of(const std::string& file) {
    std::ostringstream content;
    content << std::ifstream{file}.rdbuf();
    return content.str();
}

using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;
inline CertificatePtr certificate_in(const std::string& file) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio{BIO_new_file(file.c_str(), "r"), BIO_free};
    return {PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free};
}

inline std::shared_ptr<TlsContext> load(const std::vector<TlsContext::Domain>& domains) {
    auto context = TlsContext::load(domains);
    if (!context) FAIL(context.error().text);
    return context.value();
}

}  // namespace tests::tls
