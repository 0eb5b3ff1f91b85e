// SPDX-License-Identifier: MIT
// Certificates that the server makes for itself, and what it says of those that do not serve.
#include <openssl/evp.h>
#include <sys/stat.h>

#include "tests/unit/server/tls_certificates.h"

using namespace tests::tls;

TEST_CASE("a self-signed certificate names its domain, lasts, and its key is for the owner alone") {
    const Directory directory;
    struct Row {
        std::string domain, name;
        bool is_address;
    };
    const Row rows[] = {{"chat.example", "chat.example", false},
                        {"bücher.example", "xn--bcher-kva.example", false},
                        {"127.0.0.1", "127.0.0.1", true},
                        {"[::1]", "::1", true},
                        {std::string(60, 'a') + ".example", std::string(60, 'a') + ".example", false}};
    for (const Row& row : rows) {
        const std::string certificate_file = directory.file("new/certs/" + row.domain + ".crt"),
                          key_file = directory.file("new/" + row.domain + ".key");
        const auto made = server::net::ensure_self_signed(row.domain, certificate_file, key_file);
        INFO((made.ok() ? row.domain : made.error().text));
        REQUIRE(made.ok());
        struct stat status {};
        REQUIRE(stat(key_file.c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == 0600);
        const auto certificate = certificate_in(certificate_file);
        REQUIRE(certificate);
        CHECK(X509_check_host(certificate.get(), row.name.c_str(), 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                              nullptr) == (row.is_address ? 0 : 1));
        CHECK(X509_check_host(certificate.get(), ("www." + row.name).c_str(), 0, 0, nullptr) == 0);
        CHECK((X509_check_ip_asc(certificate.get(), row.name.c_str(), 0) == 1) == row.is_address);
        CHECK(X509_verify(certificate.get(), X509_get0_pubkey(certificate.get())) == 1);
        const auto context = load({{row.domain, certificate_file, key_file}});
        CHECK(context->days_left() >= 3650);
        CHECK(context->days_left() <= 3653);
    }
    CHECK(std::distance(fs::directory_iterator{directory.file("new")}, {}) ==
          1 + std::ssize(rows));  // nothing else is left
}

TEST_CASE("RFC 3492 §7.1: samples of Punycode") {
    struct Row {
        std::string unicode, ascii;
    };
    const Row rows[] = {
        {"他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"},
        {"почемужеонинеговорятпорусски", "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l"},
        {"tạisaohọkhôngthểchỉnóitiếngviệt", "xn--tisaohkhngthchnitingvit-kjcr8268qyxafd2f1b9g"},
        {"3年b組金八先生", "xn--3b-ww4c5e180e575a65lsy2b"},
        {"straße.bücher.example", "xn--strae-oqa.xn--bcher-kva.example"},
        {"plain.example", "plain.example"},
        {"[2001:db8::1]", "2001:db8::1"},
    };
    for (const Row& row : rows) CHECK(server::net::ascii_domain(row.unicode) == row.ascii);
}

TEST_CASE(
    "a certificate that is there is kept, a key without one is used, a certificate without its key is told "
    "of") {
    const Directory directory;
    const auto domain = directory.domain("chat.example");
    const std::string certificate = content_of(domain.certificate_file), key = content_of(domain.key_file);
    REQUIRE(server::net::ensure_self_signed("chat.example", domain.certificate_file, domain.key_file).ok());
    CHECK(content_of(domain.certificate_file) == certificate);
    fs::remove(domain.certificate_file);
    REQUIRE(server::net::ensure_self_signed("chat.example", domain.certificate_file, domain.key_file).ok());
    CHECK(content_of(domain.key_file) == key);
    CHECK(content_of(domain.certificate_file) != certificate);
    load({domain});
    fs::remove(domain.key_file);
    const auto missing =
        server::net::ensure_self_signed("chat.example", domain.certificate_file, domain.key_file);
    REQUIRE_FALSE(missing.ok());
    CHECK_THAT(missing.error().text, Catch::Contains("chat.example.key: is missing"));
    const auto nowhere = server::net::ensure_self_signed("x", "/proc/nowhere/x.crt", "/proc/nowhere/x.key");
    CHECK_FALSE(nowhere.ok());
}

TEST_CASE("a certificate or key that does not serve is told of by file and reason") {
    const Directory directory;
    const auto good = directory.domain("a.example"), other = directory.domain("b.example");
    std::ofstream{directory.file("junk")} << "no PEM";

    const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{EVP_EC_gen("P-256"), EVP_PKEY_free};
    const auto write_pair = [&](const std::string& name, long from, long until, const char* password) {
        const CertificatePtr certificate{X509_new(), X509_free};
        X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from);
        X509_gmtime_adj(X509_getm_notAfter(certificate.get()), until);
        X509_set_pubkey(certificate.get(), key.get());
        REQUIRE(X509_sign(certificate.get(), key.get(), EVP_sha256()) > 0);
        const std::unique_ptr<BIO, decltype(&BIO_free)> to{BIO_new_file(directory.file(name).c_str(), "w"),
                                                           BIO_free};
        PEM_write_bio_X509(to.get(), certificate.get());
        PEM_write_bio_PrivateKey(to.get(), key.get(), password ? EVP_aes_128_cbc() : nullptr, nullptr, 0,
                                 nullptr, const_cast<char*>(password));
    };
    write_pair("expired", -20 * 86'400, -10 * 86'400, nullptr);
    write_pair("early", 86'400, 10 * 86'400, nullptr);
    write_pair("locked", -1, 86'400, "hush");

    struct Row {
        std::string certificate, key, has;
    };
    const Row rows[] = {
        {directory.file("none"), good.key_file, "none: No such file or directory"},
        {good.certificate_file, directory.file("none"), "none: No such file or directory"},
        {good.certificate_file, other.key_file, "does not belong to the certificate"},
        {directory.file("junk"), good.key_file, "junk: not a PEM certificate"},
        {good.certificate_file, directory.file("junk"), "junk: not a PEM key"},
        {directory.file("expired"), directory.file("expired"), "expired on 20"},
        {directory.file("early"), directory.file("early"), "not valid before 20"},
        {directory.file("locked"), directory.file("locked"), "not a PEM key without a password"},
    };
    for (const Row& row : rows) {
        const auto context = TlsContext::load({good, {"a.example", row.certificate, row.key}});
        REQUIRE_FALSE(context.ok());
        CHECK_THAT(context.error().text, Catch::Contains(row.has) && Catch::Contains("a.example"));
    }
    CHECK_FALSE(TlsContext::load({}).ok());
}
