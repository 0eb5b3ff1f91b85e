// SPDX-License-Identifier: MIT
// The self-signed certificate that a server without one makes for itself at first start (RFC 5280, ECDSA
// P-256), and domain names as certificates spell them.
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <system_error>

#include "server/net/descriptor.h"
#include "server/net/tls.h"

namespace server::net {
namespace {

namespace fs = std::filesystem;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using CertificatePtr = std::unique_ptr<X509, decltype(&X509_free)>;
using BioPtr = std::unique_ptr<BIO, decltype(&BIO_free)>;

constexpr long day = 86'400;
constexpr long lifetime = 3652 * day;

// ---- Punycode, RFC 3492
// --------------------------------------------------------------------------------------------

std::u32string code_points(std::string_view utf8) {  // of text that is known to be UTF-8
    std::u32string points;
    for (const char c : utf8) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80)
            points += byte;
        else if (byte >= 0xc0)
            points += byte & (byte >= 0xf0 ? 0x07u : byte >= 0xe0 ? 0x0fu : 0x1fu);
        else if (!points.empty())
            points.back() = points.back() << 6 | (byte & 0x3fu);
    }
    return points;
}

std::uint32_t adapt(std::uint32_t delta, std::uint32_t points, bool first) {  // §6.1
    delta = first ? delta / 700 : delta / 2;
    delta += delta / points;
    std::uint32_t k = 0;
    for (; delta > 455; k += 36) delta /= 35;
    return k + 36 * delta / (delta + 38);
}

std::string punycode(const std::u32string& label) {  // §6.3
    std::string out;
    for (const char32_t c : label)
        if (c < 0x80) out += static_cast<char>(c);
    std::uint32_t done = static_cast<std::uint32_t>(out.size()), n = 0x80, delta = 0, bias = 72;
    const std::uint32_t basic = done;
    if (basic > 0) out += '-';
    while (done < label.size()) {
        std::uint32_t next = std::numeric_limits<std::uint32_t>::max();
        for (const char32_t c : label)
            if (c >= n && c < next) next = c;
        delta += (next - n) * (done + 1);
        n = next;
        for (const char32_t c : label) {
            if (c < n) ++delta;
            if (c != n) continue;
            std::uint32_t q = delta;
            for (std::uint32_t k = 36;; k += 36) {
                const std::uint32_t t = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
                if (q < t) break;
                const std::uint32_t digit = t + (q - t) % (36 - t);
                out += static_cast<char>(digit < 26 ? 'a' + digit : '0' + digit - 26);
                q = (q - t) / (36 - t);
            }
            out += static_cast<char>(q < 26 ? 'a' + q : '0' + q - 26);
            bias = adapt(delta, done + 1, done == basic);
            delta = 0;
            ++done;
        }
        ++delta;
        ++n;
    }
    return out;
}

// ---- files
// ---------------------------------------------------------------------------------------------------------

std::string reason() {
    const char* const text = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return text ? text : "unknown reason";
}

xmpp::Failure<TlsProblem> file_problem(const std::string& file, const std::string& why) {
    return xmpp::Failure{TlsProblem{file + ": " + why}};
}

// Written beside and renamed: the file is there whole, or not at all, and never open to others in between.
xmpp::Result<void, TlsProblem> write_file(const std::string& file, std::string_view content, mode_t mode) {
    std::string temporary = file + ".XXXXXX";
    const int fd = mkostemp(temporary.data(), O_CLOEXEC);  // mode 0600
    if (fd < 0) return file_problem(file, std::string{"cannot be written: "} + std::strerror(errno));
    bool written = fchmod(fd, mode) == 0 && write_all(fd, content) && fsync(fd) == 0;
    int why = errno;
    if (close(fd) != 0 && written) written = false, why = errno;
    if (written && rename(temporary.c_str(), file.c_str()) != 0) written = false, why = errno;
    if (written) return {};
    unlink(temporary.c_str());
    return file_problem(file, std::string{"cannot be written: "} + std::strerror(why));
}

std::string content_of(BIO* bio) {
    char* start = nullptr;
    const long size = BIO_get_mem_data(bio, &start);
    return std::string{start, size > 0 ? static_cast<std::size_t>(size) : 0};
}

xmpp::Result<KeyPtr, TlsProblem> read_key(const std::string& file) {
    const BioPtr bio{BIO_new_file(file.c_str(), "r"), BIO_free};
    const auto no_password = [](char*, int, int, void*) { return -1; };
    KeyPtr key{bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr) : nullptr,
               EVP_PKEY_free};
    if (!key) return file_problem(file, "no key that a certificate could be made for: " + reason());
    return key;
}

xmpp::Result<KeyPtr, TlsProblem> make_key(const std::string& file) {
    KeyPtr key{EVP_EC_gen("P-256"), EVP_PKEY_free};
    const BioPtr bio{BIO_new(BIO_s_secmem()), BIO_free};
    if (!key || !bio ||
        PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
        return file_problem(file, "no key could be made: " + reason());
    std::string content = content_of(bio.get());
    const auto written = write_file(file, content, 0600);
    OPENSSL_cleanse(content.data(), content.size());
    if (!written) return xmpp::Failure{written.error()};
    return key;
}

// ---- the certificate
// -----------------------------------------------------------------------------------------------

bool set_names(X509* certificate, const std::string& name) {
    X509_NAME* const subject = X509_get_subject_name(certificate);
    const std::string common = name.size() <= 64 ? name : "Tern";  // RFC 5280, ub-common-name
    if (X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>(common.data()),
                                   static_cast<int>(common.size()), -1, 0) != 1 ||
        X509_set_issuer_name(certificate, subject) != 1)
        return false;

    // RFC 6125 §6.4: what a client compares is here, not in the common name.
    const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names{GENERAL_NAMES_new(),
                                                                              GENERAL_NAMES_free};
    std::unique_ptr<GENERAL_NAME, decltype(&GENERAL_NAME_free)> entry{GENERAL_NAME_new(), GENERAL_NAME_free};
    if (!names || !entry) return false;
    if (ASN1_OCTET_STRING* address = a2i_IPADDRESS(name.c_str())) {
        GENERAL_NAME_set0_value(entry.get(), GEN_IPADD, address);
    } else {
        ERR_clear_error();
        ASN1_IA5STRING* const text = ASN1_IA5STRING_new();
        if (!text) return false;
        GENERAL_NAME_set0_value(entry.get(), GEN_DNS, text);
        if (ASN1_STRING_set(text, name.data(), static_cast<int>(name.size())) != 1) return false;
    }
    if (sk_GENERAL_NAME_push(names.get(), entry.get()) <= 0) return false;
    static_cast<void>(entry.release());
    return X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, 0) == 1;
}

bool add_extension(X509* certificate, int id, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension{
        X509V3_EXT_conf_nid(nullptr, &context, id, value), X509_EXTENSION_free};
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_serial(X509* certificate) {
    const std::unique_ptr<BIGNUM, decltype(&BN_free)> number{BN_new(), BN_free};
    return number && BN_rand(number.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
           BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

std::string certificate_for(const std::string& name,
                            EVP_PKEY* key) {  // PEM, or "" with a reason in OpenSSL's queue
    const CertificatePtr certificate{X509_new(), X509_free};
    const BioPtr bio{BIO_new(BIO_s_mem()), BIO_free};
    X509* const c = certificate.get();
    const bool made = c && bio && X509_set_version(c, X509_VERSION_3) == 1 && set_serial(c) &&
                      X509_gmtime_adj(X509_getm_notBefore(c), -day) &&  // clients' clocks may be behind
                      X509_gmtime_adj(X509_getm_notAfter(c), lifetime) && X509_set_pubkey(c, key) == 1 &&
                      set_names(c, name) && add_extension(c, NID_basic_constraints, "critical,CA:FALSE") &&
                      add_extension(c, NID_key_usage, "critical,digitalSignature") &&
                      add_extension(c, NID_ext_key_usage, "serverAuth") &&
                      add_extension(c, NID_subject_key_identifier, "hash") &&
                      X509_sign(c, key, EVP_sha256()) > 0 && PEM_write_bio_X509(bio.get(), c) == 1;
    return made ? content_of(bio.get()) : "";
}

}  // namespace

std::string ascii_domain(std::string_view domain) {
    if (domain.starts_with('[') && domain.ends_with(']'))
        return std::string{domain.substr(1, domain.size() - 2)};
    std::string ascii;
    for (;;) {
        const std::string_view label = domain.substr(0, domain.find('.'));
        const bool plain = std::all_of(label.begin(), label.end(),
                                       [](char c) { return static_cast<unsigned char>(c) < 0x80; });
        ascii += plain ? std::string{label} : "xn--" + punycode(code_points(label));
        if (label.size() == domain.size()) return ascii;
        ascii += '.';
        domain.remove_prefix(label.size() + 1);
    }
}

xmpp::Result<void, TlsProblem> ensure_self_signed(const std::string& domain,
                                                  const std::string& certificate_file,
                                                  const std::string& key_file) {
    std::error_code error;
    const bool has_certificate = fs::exists(certificate_file, error), has_key = fs::exists(key_file, error);
    if (has_certificate && has_key) return {};
    if (has_certificate)
        return file_problem(key_file, "is missing, while its certificate " + certificate_file +
                                          " is there; it is not replaced");
    for (const std::string& file : {certificate_file, key_file}) {
        const fs::path directory = fs::path{file}.parent_path();
        if (!directory.empty() && !fs::create_directories(directory, error) && error)
            return file_problem(directory.string(), "cannot be made: " + error.message());
    }
    // The key first: should the server die in between, the next start goes on from there.
    ERR_clear_error();
    const auto key = has_key ? read_key(key_file) : make_key(key_file);
    if (!key) return xmpp::Failure{key.error()};
    const std::string certificate = certificate_for(ascii_domain(domain), key.value().get());
    if (certificate.empty()) return file_problem(certificate_file, "cannot be made: " + reason());
    return write_file(certificate_file, certificate, 0644);
}

}  // namespace server::net
