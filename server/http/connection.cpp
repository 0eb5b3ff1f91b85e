// SPDX-License-Identifier: MIT
// One HTTP connection. Boost.Beast's parser, which is included here alone, decides what is a request.
#include "server/http/connection.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/http/proxies.h"
#include "server/http/service.h"
#include "server/log.h"

namespace server::http {
namespace {

namespace beast = boost::beast::http;
using net::Tls;
using storage::Task;

constexpr std::uint32_t longest_header = 8192;
constexpr std::uint64_t longest_body = 65536;
constexpr std::size_t longest_input = longest_header + longest_body;  // chunk sizes and the like included
constexpr std::chrono::seconds patience{30};                          // for a whole request, and for a whole response
constexpr std::chrono::seconds goodbye{2};

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

std::string lower(std::string_view text) {
    std::string out{text};
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    return out;
}

std::string now_as_http_date(net::Time now) {  // RFC 9110 §5.6.7, always in English
    constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t seconds = std::chrono::system_clock::to_time_t(std::chrono::time_point_cast<std::chrono::system_clock::duration>(now));
    std::tm time{};
    gmtime_r(&seconds, &time);
    std::array<char, 64> text{};
    std::snprintf(text.data(), text.size(), "%s, %02d %s %d %02d:%02d:%02d GMT", days[static_cast<std::size_t>(time.tm_wday)], time.tm_mday,
                  months[static_cast<std::size_t>(time.tm_mon)], time.tm_year + 1900, time.tm_hour, time.tm_min, time.tm_sec);
    return text.data();
}

std::string chunk_of(std::string_view piece) {   // RFC 9112 §7.1
    std::array<char, 20> size{};
    std::snprintf(size.data(), size.size(), "%zx\r\n", piece.size());
    return std::string{size.data()}.append(piece).append("\r\n");
}

std::string bytes_of(const Response& response, bool with_body, bool keep_alive, bool is_chunked, net::Time now) {
    std::string bytes = "HTTP/1.1 " + std::to_string(response.status) + " " + std::string{reason_of(response.status)} + "\r\n";
    const auto header = [&bytes](std::string_view name, std::string_view value) { bytes.append(name).append(": ").append(value).append("\r\n"); };
    header("Date", now_as_http_date(now));
    if (!response.content_type.empty()) {
        header("Content-Type", response.content_type);
        header("X-Content-Type-Options", "nosniff");
    }
    if (is_chunked) header("Transfer-Encoding", "chunked");
    else if (response.status != 204 && !response.more) header("Content-Length", std::to_string(response.body.size()));
    for (const auto& [name, value] : response.headers) header(name, value);
    header("Connection", keep_alive ? "keep-alive" : "close");
    bytes += "\r\n";
    if (with_body) bytes += is_chunked && !response.body.empty() ? chunk_of(response.body) : response.body;
    return bytes;
}

// Why the parser refuses the request.
Response refusal_of(const boost::system::error_code& error) {
    if (error == beast::error::header_limit) return problem(431, "header-too-large", "The header is longer than 8 KiB.");
    if (error == beast::error::body_limit) return problem(413, "too-large", "The body is longer than 64 KiB.");
    if (error == beast::error::bad_version) return problem(505, "bad-version", "This server speaks HTTP/1.1.");
    return problem(400, "bad-request", "This is no HTTP request.");
}

}  // namespace

struct Connection::Incoming {
    Incoming() {
        parser.header_limit(longest_header);
        parser.body_limit(longest_body);
        parser.eager(true);
    }
    beast::request_parser<beast::string_body> parser;
    bool continued = false;   // "100 Continue" was sent

    std::string_view field(beast::field name) const {
        const auto found = parser.get().find(name);
        return found == parser.get().end() ? std::string_view{} : view(found->value());
    }
    std::size_t count(beast::field name) const { return parser.get().count(name); }

    // What the routes see; nullopt when the target is none.
    std::optional<Request> request(const std::string& peer, const std::vector<std::string>& trusted) {
        auto& message = parser.get();
        std::string_view target = view(message.target());
        // RFC 9112 §3.2.2: a whole URL may stand there.
        for (const std::string_view scheme : {"http://", "https://"})
            if (target.starts_with(scheme)) {
                const std::size_t slash = target.find('/', scheme.size());
                target = slash == std::string_view::npos ? "/" : target.substr(slash);
            }
        const std::size_t question = std::min(target.find('?'), target.size());
        auto path = decode_path(target.substr(0, question));
        if (!path || path->empty()) return std::nullopt;
        Request request;
        request.method = view(message.method_string());
        request.path = std::move(*path);
        request.query = target.substr(std::min(question + 1, target.size()));
        std::string type = lower(field(beast::field::content_type));
        type.erase(std::min(type.find(';'), type.size()));
        while (!type.empty() && type.back() == ' ') type.pop_back();
        request.content_type = std::move(type);
        std::string forwarded;   // several fields are one list (RFC 9110 §5.3)
        const auto [first, last] = message.equal_range("X-Forwarded-For");
        for (auto at = first; at != last; ++at) forwarded.append(forwarded.empty() ? "" : ",").append(view(at->value()));
        request.client_address = client_address(peer, forwarded, trusted);
        request.authorization = field(beast::field::authorization);
        request.body = std::move(message.body());
        return request;
    }
};

Connection::Connection(net::Loop& loop, Service& service, const Routes& routes, int socket, std::string peer, const std::shared_ptr<net::TlsContext>& tls)
    : loop_{loop}, service_{service}, routes_{routes}, socket_{socket}, peer_{std::move(peer)} {
    if (tls) tls_ = std::make_unique<Tls>(*tls, socket_, "");
    loop_.add(socket_, EPOLLIN | EPOLLONESHOT, *this);
}

Connection::~Connection() { close(); }

// ---- waiting -----------------------------------------------------------------------------------------------------------

void Connection::Ready::await_suspend(std::coroutine_handle<> coroutine) {
    connection.waiting_ = coroutine;
    connection.loop_.change(connection.socket_, events | EPOLLONESHOT, connection);
}

void Connection::on_ready(std::uint32_t) {
    const auto keep = shared_from_this();
    if (waiting_) std::exchange(waiting_, nullptr).resume();
}

void Connection::close() {
    deadline_.cancel();
    if (socket_ < 0) return;
    tls_.reset();
    loop_.remove(socket_);
    ::close(std::exchange(socket_, -1));
    // The coroutine sees that the socket is gone; not from within whatever closes it.
    if (waiting_) loop_.post([coroutine = std::exchange(waiting_, nullptr)] { coroutine.resume(); });
}

void Connection::finish() {
    is_last_ = true;
    if (idle_) close();
}

void Connection::have_patience(std::chrono::seconds time) {
    deadline_.start(loop_, time, [this] { close(); });
}

// ---- bytes -------------------------------------------------------------------------------------------------------------

Task<bool> Connection::shake_hands() {
    while (tls_) {
        const Tls::Progress progress = tls_->handshake();
        may_wait_ = progress != Tls::Progress::done;
        if (!may_wait_) co_return true;
        if (progress != Tls::Progress::want_read && progress != Tls::Progress::want_write) co_return false;
        Ready ready{*this, progress == Tls::Progress::want_read ? EPOLLIN : EPOLLOUT};
        co_await ready;
    }
    co_return socket_ >= 0;
}

Task<bool> Connection::read_some() {
    std::array<char, 8192> buffer;
    while (socket_ >= 0) {
        std::size_t count = 0;
        std::uint32_t wanted = EPOLLIN;
        if (tls_) {
            const Tls::Progress progress = tls_->read(buffer, count);
            if (progress == Tls::Progress::closed || progress == Tls::Progress::failed) co_return false;
            if (progress == Tls::Progress::want_write) wanted = EPOLLOUT;
        } else {
            const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
            if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) co_return false;
            count = got > 0 ? static_cast<std::size_t>(got) : 0;
        }
        if (count > 0) {
            input_.append(buffer.data(), count);
            co_return true;
        }
        Ready ready{*this, wanted};
        co_await ready;
    }
    co_return false;
}

Task<bool> Connection::write(std::string bytes) {
    std::string_view left = bytes;
    while (socket_ >= 0 && !left.empty()) {
        std::size_t count = 0;
        std::uint32_t wanted = EPOLLOUT;
        if (tls_) {
            const Tls::Progress progress = tls_->write(left, count);
            if (progress == Tls::Progress::closed || progress == Tls::Progress::failed) co_return false;
            if (progress == Tls::Progress::want_read) wanted = EPOLLIN;
        } else {
            const ssize_t sent = ::send(socket_, left.data(), left.size(), MSG_NOSIGNAL);
            if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) co_return false;
            count = sent > 0 ? static_cast<std::size_t>(sent) : 0;
        }
        left.remove_prefix(count);
        if (count > 0) continue;
        Ready ready{*this, wanted};
        co_await ready;
    }
    co_return left.empty();
}

// ---- requests ------------------------------------------------------------------------------------------------------------

// Takes what it can from input_. True: the request is complete, or refused.
bool Connection::parse(Incoming& incoming, std::optional<Response>& refusal) {
    boost::system::error_code error;
    const std::size_t used = incoming.parser.put(boost::asio::buffer(input_), error);
    input_.erase(0, used);
    if (error && error != beast::error::need_more) refusal = refusal_of(error);
    // RFC 9112 §3.2: exactly one Host. Asked as soon as it is known, before a body is waited for.
    else if (incoming.parser.is_header_done() && incoming.count(beast::field::host) != 1 && incoming.parser.get().version() >= 11)
        refusal = problem(400, "bad-request", "There must be one Host field.");
    else if (!incoming.parser.is_done() && input_.size() > longest_input) refusal = problem(413, "too-large", "The request is too long.");
    return refusal || incoming.parser.is_done();
}

Task<std::optional<Response>> Connection::read_request(Incoming& incoming) {
    std::optional<Response> refusal;
    for (;;) {
        if (!input_.empty() && parse(incoming, refusal)) co_return std::move(refusal);
        // RFC 9110 §10.1.1
        if (incoming.parser.is_header_done() && !std::exchange(incoming.continued, true) && lower(incoming.field(beast::field::expect)) == "100-continue") {
            auto writing = write("HTTP/1.1 100 Continue\r\n\r\n");
            co_await writing;
        }
        idle_ = input_.empty() && !incoming.parser.got_some();
        auto reading = read_some();
        const bool more = co_await reading;
        idle_ = false;
        if (!more) {
            close();
            co_return std::nullopt;
        }
    }
}

Task<bool> Connection::answer(Incoming& incoming, std::optional<Response> refusal) {
    Response response;
    bool is_head = false, keep_alive = false;
    if (refusal) {
        response = std::move(*refusal);
    } else {
        const auto config = service_.server.config();
        keep_alive = incoming.parser.get().keep_alive();
        is_head = incoming.parser.get().method() == beast::verb::head;
        auto request = incoming.request(peer_, config->http.trusted_proxies);
        if (request) {
            auto dispatching = dispatch(routes_, service_, std::move(*request));
            response = co_await dispatching;
        } else {
            response = problem(400, "bad-request", "The target is no path.");
        }
    }
    const bool is_chunked = response.more && !refusal && incoming.parser.get().version() >= 11;
    keep_alive = keep_alive && !is_last_ && (is_chunked || !response.more);   // else its end is the connection's
    ++service_.answered[response.status];
    have_patience(patience);
    auto writing = write(bytes_of(response, !is_head, keep_alive, is_chunked, loop_.wall()));
    bool written = co_await writing;
    if (written && response.more && !is_head) {
        auto going_on = write_pieces(response, is_chunked);
        written = co_await going_on;
    }
    co_return written && keep_alive;
}

Task<bool> Connection::write_pieces(Response& response, bool is_chunked) {
    for (;;) {
        auto asking = response.more();
        const auto piece = co_await asking;
        if (!piece) {
            log::warn("a response broke off", {{"address", peer_}, {"why", piece.error()}});
            close();   // its end is missing: nobody takes it for the whole
            co_return false;
        }
        const bool is_end = piece->empty();
        if (is_end && !is_chunked) co_return true;
        have_patience(patience);
        auto writing = write(is_chunked ? chunk_of(*piece) : *piece);
        const bool written = co_await writing;
        if (!written || is_end) co_return written;
    }
}

// What the client still sends is read and dropped for a while: closing at once would make the kernel send a reset, which
// may overtake the response.
Task<void> Connection::say_goodbye() {
    if (socket_ < 0) co_return;
    if (tls_) tls_->shutdown();
    ::shutdown(socket_, SHUT_WR);
    have_patience(goodbye);
    for (std::size_t dropped = 0; dropped < (1u << 20);) {
        auto reading = read_some();
        const bool more = co_await reading;
        if (!more) break;
        dropped += input_.size();
        input_.clear();
    }
}

Task<void> Connection::serve() {
    have_patience(patience);
    auto shaking = shake_hands();
    bool goes_on = co_await shaking;
    while (goes_on && socket_ >= 0) {
        have_patience(patience);
        Incoming incoming;
        auto reading = read_request(incoming);
        auto refusal = co_await reading;
        if (socket_ < 0) break;
        deadline_.cancel();   // storage has deadlines of its own
        auto answering = answer(incoming, std::move(refusal));
        goes_on = co_await answering;
        // Requests that came together: others have their turn between them, and the stack does not grow with their number.
        if (goes_on && !input_.empty()) {
            net::Sleep turn{loop_, net::Duration::zero()};
            co_await turn;
        }
    }
    auto parting = say_goodbye();
    co_await parting;
    close();
}

}  // namespace server::http
