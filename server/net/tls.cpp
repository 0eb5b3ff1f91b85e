// SPDX-License-Identifier: MIT
// TLS 1.2 and 1.3 on a non-blocking socket, by OpenSSL. No session resumption of TLS (XMPP has its own,
// XEP-0198), no client certificates, no early data, no renegotiation.
#include "server/net/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <utility>

namespace server::net {
namespace {

struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<SSL_CTX, FreeContext>;

// The certificates by name. The first context owns the table and all others, so that a handshake under way
// still finds its certificate after the TlsContext was swapped: every SSL holds a reference to the first.
struct Certificates {
    struct Entry {
        std::string name;
        SSL_CTX* context;
    };
    std::vector<Entry> entries;
    std::vector<ContextPtr> others;  // all but the first
};

// RFC 9325 §4.2: forward secrecy and AEAD. TLS 1.3 has no other suites.
constexpr const char* cipher_list =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
// TLS 1.3. SHA-256 makes the handshake a fifth cheaper than SHA-384.
constexpr const char* ciphersuites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* groups = "X25519:P-256:P-384";

// The reason of the newest entry of OpenSSL's error queue, which is empty afterwards.
std::string take_reason() {
    const unsigned long code = ERR_peek_last_error();
    const char* reason =
        ERR_SYSTEM_ERROR(code) ? std::strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    ERR_clear_error();
    return reason ? reason : code != 0 ? "OpenSSL error " + std::to_string(code) : "unknown reason";
}

// ---- the socket
// ----------------------------------------------------------------------------------------------------

// OpenSSL's own socket BIO writes with write(), which raises SIGPIPE when the peer is gone; this one does
// not.
// The BIO's data: the socket, and what is known of it. Kept in the pointer, since every connection has one.
constexpr std::intptr_t is_told = 1;      // Tls::note_readable is in use
constexpr std::intptr_t is_empty = 2;     // and nothing has come since all was read

std::intptr_t state_of(BIO* bio) { return reinterpret_cast<std::intptr_t>(BIO_get_data(bio)); }
void set_state(BIO* bio, std::intptr_t state) { BIO_set_data(bio, reinterpret_cast<void*>(state)); }
int socket_of(BIO* bio) { return static_cast<int>(state_of(bio) >> 2); }

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

int bio_write(BIO* bio, const char* bytes, int count) {
    BIO_clear_retry_flags(bio);
    const ssize_t sent = send(socket_of(bio), bytes, static_cast<std::size_t>(count), MSG_NOSIGNAL);
    if (sent < 0 && would_block()) BIO_set_retry_write(bio);
    return static_cast<int>(sent);
}

int bio_read(BIO* bio, char* into, int count) {
    BIO_clear_retry_flags(bio);
    const std::intptr_t state = state_of(bio);
    if (state & is_empty) {
        BIO_set_retry_read(bio);
        errno = EAGAIN;
        return -1;
    }
    const ssize_t received = recv(socket_of(bio), into, static_cast<std::size_t>(count), 0);
    const bool took_all = received > 0 ? received < count : received < 0 && errno == EAGAIN;
    if (took_all && (state & is_told)) set_state(bio, state | is_empty);
    if (received < 0 && would_block()) BIO_set_retry_read(bio);
    if (received == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return static_cast<int>(received);
}

long bio_control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return 0;
}

BIO_METHOD* make_socket_method() {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without signals");
    if (!method) throw std::bad_alloc{};
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_ctrl(method, bio_control);
    return method;
}

BIO* socket_bio(int socket) {
    static BIO_METHOD* const method = make_socket_method();
    BIO* bio = BIO_new(method);
    if (!bio) throw std::bad_alloc{};
    set_state(bio, static_cast<std::intptr_t>(socket) << 2);
    BIO_set_init(bio, 1);
    return bio;
}

// ---- choices during the handshake
// ----------------------------------------------------------------------------------

void free_certificates(void*, void* table, CRYPTO_EX_DATA*, int, long, void*) {
    delete static_cast<Certificates*>(table);
}

int certificates_index() {
    static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_certificates);
    return index;
}

int alpn_index() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

bool same_name(std::string_view a, std::string_view b) {  // RFC 6066 §3: ASCII, without regard to case
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return lower(x) == lower(y); });
}

int choose_certificate(SSL* ssl, int*, void* table) {
    const char* const asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!asked) return SSL_TLSEXT_ERR_NOACK;
    std::string_view name = asked;
    if (name.ends_with('.')) name.remove_suffix(1);
    const auto& entries = static_cast<const Certificates*>(table)->entries;
    auto chosen = std::find_if(entries.begin(), entries.end(),
                               [&](const auto& entry) { return same_name(entry.name, name); });
    if (chosen == entries.end())  // a host of the domain, e.g. upload.chat.example
        chosen = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
            return X509_check_host(SSL_CTX_get0_certificate(entry.context), name.data(), name.size(), 0,
                                   nullptr) == 1;
        });
    if (chosen == entries.end()) return SSL_TLSEXT_ERR_NOACK;  // the first serves
    SSL_set_SSL_CTX(ssl, chosen->context);
    return SSL_TLSEXT_ERR_OK;
}

// XEP-0368 §4, RFC 7301 §3.2. Connections that are not ours (HTTP) have no wish, and ALPN is ignored for
// them.
int choose_protocol(SSL* ssl, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned int length, void*) {
    const auto* wanted = static_cast<const std::string*>(SSL_get_ex_data(ssl, alpn_index()));
    if (!wanted) return SSL_TLSEXT_ERR_NOACK;
    for (unsigned int at = 0; at < length; at += 1u + offered[at]) {
        const std::string_view name{reinterpret_cast<const char*>(offered + at + 1), offered[at]};
        if (name != *wanted) continue;
        *chosen = offered + at + 1;
        *size = offered[at];
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;  // no_application_protocol
}

int no_password(char*, int, int, void*) { return -1; }  // nobody is there to be asked

// ---- loading
// -------------------------------------------------------------------------------------------------------

xmpp::Result<ContextPtr, TlsProblem> make_context() {
    ContextPtr context{SSL_CTX_new(TLS_server_method())};
    SSL_CTX* const c = context.get();
    const bool made = c && SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1 &&
                      SSL_CTX_set_cipher_list(c, cipher_list) == 1 && SSL_CTX_set_ciphersuites(c, ciphersuites) == 1 &&
                      SSL_CTX_set1_groups_list(c, groups) == 1 && SSL_CTX_set_num_tickets(c, 0) == 1;
    if (!made) return xmpp::Failure{TlsProblem{"TLS cannot be set up: " + take_reason()}};
    SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(
        c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
               SSL_MODE_NO_AUTO_CHAIN);  // the file has the chain; else each handshake would look for one
    SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(c, SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_alpn_select_cb(c, choose_protocol, nullptr);
    SSL_CTX_set_default_passwd_cb(c, no_password);
    return context;
}

std::string date_text(const ASN1_TIME* time) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio{BIO_new(BIO_s_mem()), BIO_free};
    if (!bio || ASN1_TIME_print_ex(bio.get(), time, ASN1_DTFLGS_ISO8601) != 1) return "an unknown date";
    std::array<char, 64> text{};
    const int size = BIO_read(bio.get(), text.data(), static_cast<int>(text.size()));
    return std::string{text.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

TlsProblem file_problem(const char* what, const std::string& file, const std::string& domain,
                        const std::string& why) {
    return {std::string{what} + " of " + domain + ", " + file + ": " + why};
}

std::string why_unreadable(const std::string& file) {
    errno = 0;
    const std::ifstream opened{file};
    return opened.is_open() ? "" : std::string{errno != 0 ? std::strerror(errno) : "cannot be opened"};
}

xmpp::Result<ContextPtr, TlsProblem> load_one(const TlsContext::Domain& from) {
    constexpr const char *certificate = "the certificate", *key = "the key";
    for (const auto& [what, file] :
         {std::pair{certificate, &from.certificate_file}, std::pair{key, &from.key_file}})
        if (const std::string why = why_unreadable(*file); !why.empty())
            return xmpp::Failure{file_problem(what, *file, from.domain, why)};

    auto context = make_context();
    if (!context) return context;
    SSL_CTX* const c = context.value().get();
    if (SSL_CTX_use_certificate_chain_file(c, from.certificate_file.c_str()) != 1)
        return xmpp::Failure{file_problem(certificate, from.certificate_file, from.domain,
                                          "not a PEM certificate that serves: " + take_reason())};
    if (SSL_CTX_use_PrivateKey_file(c, from.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(c) != 1) {
        const unsigned long code = ERR_peek_last_error();
        const bool mismatch =
            ERR_GET_LIB(code) == ERR_LIB_X509 && (ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH ||
                                                  ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH);
        const std::string reason = take_reason();
        return xmpp::Failure{file_problem(key, from.key_file, from.domain,
                                          mismatch
                                              ? "does not belong to the certificate " + from.certificate_file
                                              : "not a PEM key without a password: " + reason)};
    }
    const X509* const leaf = SSL_CTX_get0_certificate(c);
    if (X509_cmp_current_time(X509_get0_notAfter(leaf)) < 0)
        return xmpp::Failure{file_problem(certificate, from.certificate_file, from.domain,
                                          "expired on " + date_text(X509_get0_notAfter(leaf)))};
    if (X509_cmp_current_time(X509_get0_notBefore(leaf)) > 0)
        return xmpp::Failure{file_problem(certificate, from.certificate_file, from.domain,
                                          "not valid before " + date_text(X509_get0_notBefore(leaf)))};
    return context;
}

}  // namespace

struct TlsContext::State {
    ContextPtr first;
    const Certificates* certificates;  // owned by `first`
};

TlsContext::TlsContext(std::unique_ptr<State> state) : state_{std::move(state)} {}
TlsContext::~TlsContext() = default;

xmpp::Result<std::shared_ptr<TlsContext>, TlsProblem> TlsContext::load(const std::vector<Domain>& domains) {
    if (domains.empty()) return xmpp::Failure{TlsProblem{"no domain has a certificate"}};
    ContextPtr first;
    auto table = std::make_unique<Certificates>();
    for (const Domain& domain : domains) {
        auto context = load_one(domain);
        if (!context) return xmpp::Failure{context.error()};
        table->entries.push_back({ascii_domain(domain.domain), context.value().get()});
        if (first)
            table->others.push_back(std::move(context.value()));
        else
            first = std::move(context.value());
    }
    const Certificates* const certificates = table.get();
    SSL_CTX_set_tlsext_servername_callback(first.get(), choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(first.get(), table.get());
    if (SSL_CTX_set_ex_data(first.get(), certificates_index(), table.get()) != 1)
        return xmpp::Failure{TlsProblem{"TLS cannot be set up: " + take_reason()}};
    static_cast<void>(table.release());  // now the context's
    return std::shared_ptr<TlsContext>{
        new TlsContext{std::make_unique<State>(State{std::move(first), certificates})}};
}

ssl_ctx_st* TlsContext::native() const { return state_->first.get(); }

std::int64_t TlsContext::days_left() const {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (const auto& entry : state_->certificates->entries) {
        int days = 0, seconds = 0;
        if (ASN1_TIME_diff(&days, &seconds, nullptr,
                           X509_get0_notAfter(SSL_CTX_get0_certificate(entry.context))) != 1)
            continue;
        least = std::min<std::int64_t>(least, seconds < 0 ? days - 1 : days);
    }
    return least;
}

// ---- one connection
// ------------------------------------------------------------------------------------------------

Tls::Tls(const TlsContext& context, int socket, std::string_view alpn) : ssl_{SSL_new(context.native())} {
    if (!ssl_) throw std::bad_alloc{};
    BIO* const bio = socket_bio(socket);
    SSL_set_bio(ssl_, bio, bio);
    SSL_set_accept_state(ssl_);
    SSL_set_read_ahead(ssl_, 1);  // a record's head and body in one system call
    // An end of file is no attack here: what it cuts off is not a whole stanza.
    SSL_set_options(ssl_, SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (alpn.empty()) return;
    alpn_ = std::make_unique<std::string>(alpn);
    if (SSL_set_ex_data(ssl_, alpn_index(), alpn_.get()) != 1) throw std::bad_alloc{};
}

Tls::~Tls() { SSL_free(ssl_); }

Tls::Tls(Tls&& other) noexcept
    : ssl_{std::exchange(other.ssl_, nullptr)},
      alpn_{std::move(other.alpn_)},
      problem_{std::move(other.problem_)},
      drained_{other.drained_} {}

Tls& Tls::operator=(Tls&& other) noexcept {
    if (this == &other) return *this;
    SSL_free(ssl_);
    ssl_ = std::exchange(other.ssl_, nullptr);
    alpn_ = std::move(other.alpn_);
    problem_ = std::move(other.problem_);
    drained_ = other.drained_;
    return *this;
}

// Must follow the call whose result it is, before anything else touches errno or OpenSSL's error queue.
Tls::Progress Tls::progress_of(int result) {
    const int error_number = errno;
    const int error = SSL_get_error(ssl_, result);
    switch (error) {
        case SSL_ERROR_NONE: return Progress::done;
        case SSL_ERROR_WANT_READ: return Progress::want_read;
        case SSL_ERROR_WANT_WRITE: return Progress::want_write;
        case SSL_ERROR_ZERO_RETURN: return Progress::closed;
        default: break;
    }
    std::string why;
    if (error == SSL_ERROR_SYSCALL)
        why = error_number != 0 ? std::strerror(error_number) : "the connection broke";
    else
        why = take_reason();
    ERR_clear_error();
    problem_ = std::make_unique<std::string>(std::move(why));
    return Progress::failed;
}

Tls::Progress Tls::handshake() {
    if (problem_) return Progress::failed;
    ERR_clear_error();
    errno = 0;
    const Progress progress = progress_of(SSL_do_handshake(ssl_));
    if (progress == Progress::done && alpn_) {
        SSL_set_ex_data(ssl_, alpn_index(), nullptr);
        alpn_.reset();
    }
    return progress;
}

Tls::Progress Tls::read(std::span<char> into, std::size_t& count) {
    count = 0;
    if (problem_) return Progress::failed;
    if (into.empty()) return Progress::done;
    ERR_clear_error();
    errno = 0;
    const Progress progress = progress_of(SSL_read_ex(ssl_, into.data(), into.size(), &count));
    drained_ = progress != Progress::done;
    return progress;
}

Tls::Progress Tls::write(std::string_view bytes, std::size_t& count) {
    count = 0;
    if (problem_) return Progress::failed;
    while (count < bytes.size()) {  // a record at a time
        std::size_t taken = 0;
        ERR_clear_error();
        errno = 0;
        const Progress progress =
            progress_of(SSL_write_ex(ssl_, bytes.data() + count, bytes.size() - count, &taken));
        if (progress != Progress::done) return progress;
        count += taken;
    }
    return Progress::done;
}

void Tls::shutdown() {
    // OpenSSL allows it neither before the end of the handshake nor after a fatal error.
    if (problem_ || SSL_is_init_finished(ssl_) != 1) return;
    ERR_clear_error();
    if (SSL_shutdown(ssl_) < 0)
        ERR_clear_error();  // the socket is full or gone: then the peer sees the end of file
}

void Tls::note_readable() {
    BIO* const bio = SSL_get_rbio(ssl_);
    set_state(bio, (state_of(bio) | is_told) & ~is_empty);
}

bool Tls::has_pending() const { return SSL_pending(ssl_) > 0 || (!drained_ && SSL_has_pending(ssl_) == 1); }

std::string Tls::exporter() const {
    // RFC 9266 §4.2: below TLS 1.3 only with the extended master secret (RFC 7627).
    if (SSL_is_init_finished(ssl_) != 1) return "";
    if (SSL_version(ssl_) < TLS1_3_VERSION && SSL_get_extms_support(ssl_) != 1) return "";
    constexpr std::string_view label = "EXPORTER-Channel-Binding";
    std::string out(32, '\0');
    const unsigned char none =
        0;  // RFC 9266 §2: a context of length zero, which is not no context in TLS 1.2
    if (SSL_export_keying_material(ssl_, reinterpret_cast<unsigned char*>(out.data()), out.size(),
                                   label.data(), label.size(), &none, 0, 1) == 1)
        return out;
    ERR_clear_error();
    return "";
}

std::string Tls::server_end_point() const {
    X509* const certificate = SSL_get_certificate(ssl_);
    int digest_id = NID_undef;
    if (!certificate || X509_get_signature_info(certificate, &digest_id, nullptr, nullptr, nullptr) != 1) {
        ERR_clear_error();
        return "";
    }
    // RFC 5929 §4.1: the hash of the certificate's signature, SHA-256 instead of MD5 and SHA-1. A signature
    // without one (Ed25519) has no such binding.
    if (digest_id == NID_md5 || digest_id == NID_sha1) digest_id = NID_sha256;
    const EVP_MD* const digest = digest_id == NID_undef ? nullptr : EVP_get_digestbynid(digest_id);
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
    unsigned int size = 0;
    if (!digest || X509_digest(certificate, digest, hash.data(), &size) != 1) {
        ERR_clear_error();
        return "";
    }
    return std::string{reinterpret_cast<const char*>(hash.data()), size};
}

std::string Tls::unique() const {
    // RFC 5929 §3.1 with RFC 7627: without the extended master secret it binds nothing.
    const bool is_bound = SSL_version(ssl_) >= TLS1_3_VERSION || SSL_get_extms_support(ssl_) == 1;
    if (!is_bound || SSL_session_reused(ssl_)) return "";
    std::array<char, EVP_MAX_MD_SIZE> finished{};
    const std::size_t size = SSL_get_peer_finished(ssl_, finished.data(), finished.size());
    return std::string{finished.data(), std::min(size, finished.size())};
}

std::string Tls::version() const { return SSL_get_version(ssl_); }

std::string Tls::version_number() const {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "%04x", static_cast<unsigned>(SSL_version(ssl_)) & 0xFFFFU);
    return text.data();
}

std::string Tls::cipher() const {
    const char* const name = SSL_get_cipher_name(ssl_);
    return name ? name : "";
}

std::string Tls::server_name() const {
    const char* const name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
    return name ? name : "";
}

std::string Tls::problem() const { return problem_ ? *problem_ : ""; }

}  // namespace server::net
