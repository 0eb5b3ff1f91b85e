// SPDX-License-Identifier: MIT
// Socket, TLS and outbox of one client.
#include "server/connection.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "server/config.h"
#include "server/log.h"
#include "server/server.h"
#include "server/worker.h"

namespace server {

using Progress = net::Tls::Progress;

constexpr std::size_t tls_record = 16 * 1024;
constexpr std::size_t gathered = 64;                              // wires in one writev
constexpr std::chrono::seconds close_wait{5};                     // for the peer to close its half
constexpr std::chrono::hours seldom{1};
constexpr std::size_t outbox_kept = 64;                           // capacity that an empty outbox may keep

Connection::Connection(Worker& worker, int socket, std::string peer_address, bool direct_tls)
    : worker_{&worker},
      stream_{std::make_shared<Stream>(worker, *this)},
      peer_address_{std::move(peer_address)},
      last_input_{worker.loop.now()},
      socket_{socket},
      direct_tls_{direct_tls} {
    may_wait_ = true;
}

Connection::~Connection() {
    worker_->loop.forget(*this);
    if (polled_) worker_->loop.remove(socket_);
    tls_.reset();
    ::close(socket_);
    worker_->server.leave(peer_address_, stream_->is_authenticated());
}

void Connection::start() {
    ++worker_->counters.connections;
    timer_.start(worker_->loop, worker_->config->limits.login_deadline, [this] { on_timer(); });
    if (direct_tls_) begin_tls();
    poll_for(EPOLLIN);
}

void Connection::poll_for(std::uint32_t events) {
    if (events == polled_ || over_) return;
    if (polled_ == 0)
        worker_->loop.add(socket_, events, *this);
    else if (events == 0)
        worker_->loop.remove(socket_);
    else
        worker_->loop.change(socket_, events, *this);
    polled_ = events;
}

// ---- input -------------------------------------------------------------------------------------------------------------

void Connection::on_ready(std::uint32_t events) {
    const bool has_come = events & (EPOLLIN | EPOLLHUP | EPOLLERR);
    if (tls_ && has_come) tls_->note_readable();
    if (handshaking_) return continue_handshake();
    if (events & EPOLLOUT) flush();
    if (over_ || handshaking_ || !has_come) return;
    if (wants_input()) read();
    else poll_for(polled_ & EPOLLOUT);
}

bool Connection::wants_input() const { return input_wanted_ && !(pause_ && pause_->is_running()); }

void Connection::read() {
    std::vector<char>& buffer = worker_->read_buffer;
    if (!tls_) {
        const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
        if (got == 0) return finish("closed by the client");
        if (got < 0) {
            if (errno != EAGAIN && errno != EINTR) finish(std::strerror(errno));
            return;
        }
        charge(got);
        if (!closing_) stream_->receive({buffer.data(), static_cast<std::size_t>(got)});
        return;
    }
    // OpenSSL may hold bytes that epoll knows nothing of. No more than a buffer's worth a turn: others wait, and the outbox is
    // looked at when the turn ends.
    std::size_t taken = 0;
    do {
        std::size_t got = 0;
        const Progress progress = tls_->read(buffer, got);
        taken += got;
        if (got > 0) {
            charge(got);
            if (!closing_) stream_->receive({buffer.data(), got});
        }
        if (over_) return;
        if (progress == Progress::closed) return finish("closed by the client");
        if (progress == Progress::failed) return finish("TLS: " + tls_->problem());
        if (progress == Progress::want_write) return poll_for(EPOLLIN | EPOLLOUT);
        if (progress == Progress::want_read) return;
        if (taken >= buffer.size()) return tls_->has_pending() ? read_in_the_next_turn() : void();
    } while (polled_ != 0 && (wants_input() || closing_));
}

void Connection::want_input(bool wanted) {
    input_wanted_ = wanted;
    if (!wants_input()) return;   // should something come, epoll is told then: most often nothing does
    poll_for(polled_ | EPOLLIN);
    if (tls_ && !handshaking_ && tls_->has_pending()) read_in_the_next_turn();
}

// What TLS has taken from the socket already makes it readable no more.
void Connection::read_in_the_next_turn() {
    if (!decrypted_) decrypted_ = std::make_unique<net::Timer>();
    decrypted_->start(worker_->loop, net::Duration::zero(), [this] {
        if (polled_ != 0 && (wants_input() || closing_)) read();
    });
}

void Connection::charge(std::size_t bytes) {
    worker_->counters.bytes_received += bytes;
    last_input_ = worker_->loop.now();
    pinged_ = false;
    const auto& limits = worker_->config->limits;
    if (limits.bytes_per_second == 0) return;
    const net::Duration passed = last_input_ - budget_at_;
    const double earned = std::chrono::duration<double>(passed).count() * limits.bytes_per_second;
    budget_ = static_cast<std::int64_t>(std::min<double>(limits.burst_bytes, static_cast<double>(budget_) + earned)) -
              static_cast<std::int64_t>(bytes);
    budget_at_ = last_input_;
    if (budget_ >= 0) return;
    if (!pause_) pause_ = std::make_unique<net::Timer>();
    const net::Duration pause{-budget_ * 1'000'000 / limits.bytes_per_second};
    pause_->start(worker_->loop, pause, [this] { want_input(input_wanted_); });
    want_input(input_wanted_);
}

// ---- TLS ---------------------------------------------------------------------------------------------------------------

bool Connection::can_start_tls() const { return !tls_ && worker_->server.tls() != nullptr; }

void Connection::start_tls() {
    tls_wanted_ = true;  // when <proceed/> is out
    worker_->loop.at_end_of_turn(*this);
}

void Connection::begin_tls() {
    tls_wanted_ = false;
    tls_.emplace(*worker_->server.tls(), socket_, direct_tls_ ? "xmpp-client" : "");
    handshaking_ = true;
    continue_handshake();
}

void Connection::continue_handshake() {
    switch (tls_->handshake()) {
        case Progress::done:
            handshaking_ = false;
            poll_for(EPOLLIN);
            stream_->on_secured();
            if (!over_ && tls_->has_pending()) read();
            return;
        case Progress::want_read: return poll_for(EPOLLIN);
        case Progress::want_write: return poll_for(EPOLLOUT);
        case Progress::closed: return finish("closed during the TLS handshake");
        case Progress::failed: return finish("TLS handshake: " + tls_->problem());
    }
}

auth::Channel Connection::channel() const {
    auth::Channel channel;
    channel.encrypted = tls_.has_value();
    if (tls_) {
        channel.tls_exporter = tls_->exporter();
        channel.tls_server_end_point = tls_->server_end_point();
        channel.tls_unique = tls_->unique();
        channel.tls_version = tls_->version_number();
    }
    return channel;
}

// ---- output ------------------------------------------------------------------------------------------------------------

void Connection::send(xmpp::Wire bytes) {
    if (closing_ || over_ || bytes.size() == 0) return;
    unsent_ += bytes.size();
    outbox_.push_back(std::move(bytes));
    worker_->loop.at_end_of_turn(*this);
}

void Connection::on_end_of_turn() {
    if (over_) return;
    flush();
    allowed_ = std::min(allowed_, unsent_);
    if (!over_ && unsent_ > worker_->config->limits.outbox_bytes + allowed_) finish("the client does not read");
}

void Connection::flush() {
    if (over_ || handshaking_) return;
    const std::size_t before = unsent_;
    if (!(tls_ ? flush_tls() : flush_plain())) return;  // finished
    if (unsent_ == 0) {
        first_ = 0;
        if (outbox_.capacity() > outbox_kept) outbox_.shrink_to_fit();
        poll_for(wants_input() ? EPOLLIN : polled_ & EPOLLIN);
        if (before != 0) stream_->on_flushed();
        if (tls_wanted_) begin_tls();
        if (closing_ && unsent_ == 0 && !over_) {
            if (tls_) tls_->shutdown();
            ::shutdown(socket_, SHUT_WR);
            input_wanted_ = true;
            poll_for(EPOLLIN);
        }
    } else {
        poll_for((polled_ & EPOLLIN) | EPOLLOUT);
        if (unsent_ != before) stream_->on_flushed_some();
    }
}

bool Connection::flush_plain() {
    while (first_ < outbox_.size()) {
        std::array<iovec, gathered> pieces;
        std::size_t count = 0;
        for (std::size_t i = first_; i < outbox_.size() && count < pieces.size(); ++i, ++count) {
            const std::string_view bytes = outbox_[i].bytes().substr(count == 0 ? sent_of_first_ : 0);
            pieces[count] = {const_cast<char*>(bytes.data()), bytes.size()};
        }
        msghdr message{};
        message.msg_iov = pieces.data();
        message.msg_iovlen = count;
        const ssize_t sent = ::sendmsg(socket_, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN || errno == EINTR) return true;
            finish(std::strerror(errno));
            return false;
        }
        drop_sent(sent);
    }
    return true;
}

bool Connection::flush_tls() {
    static thread_local std::string record;
    while (first_ < outbox_.size()) {
        record.clear();
        for (std::size_t i = first_; i < outbox_.size() && record.size() < tls_record; ++i) {
            const std::string_view bytes = outbox_[i].bytes().substr(i == first_ ? sent_of_first_ : 0);
            record.append(bytes.substr(0, tls_record - record.size()));
        }
        std::size_t taken = 0;
        const Progress progress = tls_->write(record, taken);
        drop_sent(taken);
        if (progress == Progress::done) continue;
        if (progress == Progress::want_write || progress == Progress::want_read) return true;
        finish("TLS: " + tls_->problem());
        return false;
    }
    return true;
}

void Connection::drop_sent(std::size_t bytes) {
    worker_->counters.bytes_sent += bytes;
    unsent_ -= bytes;
    while (bytes > 0) {
        const std::size_t left = outbox_[first_].size() - sent_of_first_;
        if (bytes < left) {
            sent_of_first_ += bytes;
            return;
        }
        bytes -= left;
        sent_of_first_ = 0;
        outbox_[first_++] = {};
    }
    if (first_ == outbox_.size()) {
        outbox_.clear();
        first_ = 0;
    } else if (first_ > 1024) {
        outbox_.erase(outbox_.begin(), outbox_.begin() + static_cast<std::ptrdiff_t>(first_));
        first_ = 0;
    }
}

void Connection::close() {
    if (closing_ || over_) return;
    closing_ = true;
    timer_.start(worker_->loop, handshaking_ ? net::Duration::zero() : close_wait, [this] { finish("closed"); });   // nothing can be said yet
    worker_->loop.at_end_of_turn(*this);
}

void Connection::finish(std::string_view why) {
    if (std::exchange(over_, true)) return;
    timer_.cancel();
    pause_.reset();
    decrypted_.reset();
    worker_->loop.forget(*this);
    if (polled_) worker_->loop.remove(socket_);
    polled_ = 0;
    stream_->on_disconnected(why);
    worker_->destroy(*this);
}

// ---- time and place ----------------------------------------------------------------------------------------------------

void Connection::on_timer() {
    const auto& limits = worker_->config->limits;
    if (stream_->phase() != Stream::Phase::session) {
        if (handshaking_) return finish("no TLS handshake in time");
        return stream_->close({xmpp::StreamCondition::connection_timeout, "No login in time."});
    }
    const net::Duration silent = worker_->loop.now() - last_input_;
    const Session& session = *stream_->session();
    if (!pinged_) session.account().mark_seen(session.device(), seldom);   // retention asks for it
    if (silent < limits.idle)
        return timer_.start(worker_->loop, limits.idle - silent, [this] { on_timer(); });
    if (!std::exchange(pinged_, true)) {
        worker_->host.silent.tell(*stream_->session());
        return timer_.start(worker_->loop, limits.ping_timeout, [this] { on_timer(); });
    }
    stream_->close({xmpp::StreamCondition::connection_timeout, "No sign of life."});
}

void Connection::session_begins() {
    may_wait_ = false;
    last_input_ = worker_->loop.now();
    timer_.start(worker_->loop, worker_->config->limits.idle, [this] { on_timer(); });
}

bool Connection::is_peer_gone() const {
    pollfd state{socket_, POLLRDHUP, 0};
    return ::poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void Connection::extend_login(net::Duration time) {
    if (closing_ || over_ || stream_->phase() == Stream::Phase::session) return;
    timer_.start(worker_->loop, time, [this] { on_timer(); });
}

void Connection::move_to(Worker& worker, std::function<void()> arrived) {
    if (&worker == worker_) return arrived();
    timer_.cancel();
    pause_.reset();
    decrypted_.reset();
    if (polled_) worker_->loop.remove(socket_);
    polled_ = 0;
    worker_->loop.forget(*this);
    // From the mailbox, when no function of this connection is on the stack any more.
    worker_->loop.post([this, &worker, arrived = std::move(arrived)]() mutable {
        if (closing_ || over_) return;   // it ends here
        worker.loop.post([owned = worker_->release(*this), &worker, arrived = std::move(arrived)]() mutable {
            Connection& here = *owned;
            here.worker_ = &worker;
            worker.adopt(std::move(owned));
            here.stream_->arrive(worker);
            if (here.unsent_ > 0) worker.loop.at_end_of_turn(here);
            if (const auto& end = worker.going_down()) return here.stream_->go_down(*end);
            here.timer_.start(worker.loop, worker.config->limits.login_deadline, [&here] { here.on_timer(); });
            if (here.input_wanted_) here.poll_for(EPOLLIN);
            arrived();
        });
    });
}

}  // namespace server
