// SPDX-License-Identifier: MIT
// TLS 1.2 and 1.3 (RFC 7590, RFC 9325) by OpenSSL on the non-blocking socket itself, with SSL_MODE_RELEASE_BUFFERS: an
// idle connection costs OpenSSL's own object and nothing else. OpenSSL's ssl.h is included in tls.cpp alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "xmpp/result.h"

struct ssl_st;
struct ssl_ctx_st;

namespace server::net {

struct TlsProblem { std::string text; };

// Certificates of all domains behind one handle that can be swapped while connections go on with what they have.
class TlsContext {
public:
    struct Domain { std::string domain, certificate_file, key_file; };
    // The first domain's certificate serves clients that send no SNI.
    static xmpp::Result<std::shared_ptr<TlsContext>, TlsProblem> load(const std::vector<Domain>& domains);
    ~TlsContext();

    // For the HTTP server, which brings its own stream type. Still ours: SSL_CTX_up_ref before handing it on. Connections
    // keep alive what they need of it.
    ssl_ctx_st* native() const;
    std::int64_t days_left() const;  // until the first certificate expires

private:
    struct State;
    explicit TlsContext(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
    friend class Tls;
};

// Makes a self-signed ECDSA P-256 certificate for the domain (10 years) unless the files exist. Key file mode 0600; a
// key that is there without a certificate is used. In certificate.cpp.
xmpp::Result<void, TlsProblem> ensure_self_signed(const std::string& domain, const std::string& certificate_file, const std::string& key_file);

// A domain name as TLS and certificates spell it: labels beyond ASCII in Punycode (RFC 5891 §4.4, RFC 3492), the brackets
// of an IPv6 literal gone. The domain must be in normal form. In certificate.cpp.
std::string ascii_domain(std::string_view domain);

// One connection's TLS. Not thread-safe, but may move from thread to thread between calls.
class Tls {
public:
    enum class Progress : std::uint8_t { done, want_read, want_write, closed, failed };
    // `alpn`: refuse handshakes that offer ALPN without it (direct TLS, XEP-0368); empty: ALPN is ignored.
    Tls(const TlsContext& context, int socket, std::string_view alpn);
    ~Tls();
    Tls(Tls&&) noexcept;
    Tls& operator=(Tls&&) noexcept;

    Progress handshake();
    // Reads into `into`; `count` is what came. closed: the peer sent close_notify or end of file.
    Progress read(std::span<char> into, std::size_t& count);
    // Writes `bytes`; `count` is what was taken. After want_write the same bytes must come again first.
    Progress write(std::string_view bytes, std::size_t& count);
    void shutdown();                      // sends close_notify, does not wait for the peer's
    // Bytes wait inside, of which the socket will not tell: read again before waiting for it. False after want_read.
    bool has_pending() const;
    // Optional: the socket has become readable. Who says so each time (level-triggered) is spared the system calls that would
    // find it empty.
    void note_readable();

    // Channel-binding data: RFC 9266 tls-exporter ("" below TLS 1.3 without extended master secret), RFC 5929 end point.
    std::string exporter() const;
    std::string server_end_point() const;
    std::string unique() const;           // RFC 5929 §3 tls-unique: the client's Finished message; sessions are never resumed
    std::string version() const;          // "TLSv1.3"
    std::string version_number() const;   // RFC 8446 §4.1.2, in hexadecimal: "0304"
    std::string cipher() const;
    std::string server_name() const;      // SNI, or ""
    std::string problem() const;          // why it failed, for the log

private:
    Progress progress_of(int result);

    ssl_st* ssl_;
    std::unique_ptr<std::string> alpn_;   // until the handshake is done
    std::unique_ptr<std::string> problem_;
    bool drained_ = false;                // the last read said want_read
};

}  // namespace server::net
