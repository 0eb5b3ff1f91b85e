// SPDX-License-Identifier: MIT
#include "tests/bench/crowd.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

namespace bench {

using namespace std::chrono_literals;

// ---- one client
// --------------------------------------------------------------------------------------------------------

void Client::open() {
    input_.clear();
    jid_.clear();
    is_connected_ = is_ready_ = is_leaving_ = is_written_ = false;
    received_ = sent_ = acked_ = 0;
    login_ = std::make_unique<Login>(crowd_.options_, crowd_.keys_, number_);
    if (!connection_.open(crowd_.options_.host, crowd_.options_.port)) return lost();
    epoll_event event{};
    event.events = EPOLLOUT;
    event.data.ptr = this;
    ::epoll_ctl(crowd_.epoll_, EPOLL_CTL_ADD, connection_.descriptor(), &event);
    is_written_ = true;
}

void Client::watch(bool for_writing) {
    if (for_writing == is_written_) return;
    is_written_ = for_writing;
    epoll_event event{};
    event.events = for_writing ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.ptr = this;
    ::epoll_ctl(crowd_.epoll_, EPOLL_CTL_MOD, connection_.descriptor(), &event);
}

void Client::on_event(std::uint32_t events) {
    if (!connection_.is_open()) return;
    if (connection_.is_in_handshake()) return on_handshake(connection_.continue_handshake());
    if (events & EPOLLOUT) on_writable();
    if (connection_.is_open() && !connection_.is_in_handshake() && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        on_readable();
}

void Client::on_writable() {
    if (is_connected_) return after(connection_.flush());
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(connection_.descriptor(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return lost();
    is_connected_ = true;
    watch(false);
    if (crowd_.options_.is_raw) {
        send(crowd_.greeting(number_));
        step_login({});
    } else if (crowd_.options_.security == Security::direct) {
        connection_.start_tls(crowd_.options_.domain);
        on_handshake(connection_.continue_handshake());
    } else {
        send(login_->first());
    }
}

void Client::on_handshake(Connection::Status status) {
    if (status == Connection::Status::closed) return lost();
    if (status == Connection::Status::fine) send(login_->first());
}

void Client::on_readable() {
    std::size_t got = 0;
    Connection::Status status;
    do {
        status = connection_.read(crowd_.buffer_.data(), crowd_.buffer_.size(), got);
        if (got > 0) on_bytes({crowd_.buffer_.data(), got});
    } while (status == Connection::Status::fine && connection_.is_open() && !connection_.is_in_handshake());
    if (status == Connection::Status::closed && connection_.is_open()) lost();
}

void Client::on_bytes(std::string_view bytes) {
    if (!is_ready_) return step_login(bytes);
    take(bytes);
}

void Client::step_login(std::string_view bytes) {
    input_.append(bytes);
    Login::Outcome outcome = Login::Outcome::ready;
    if (!crowd_.options_.is_raw) {
        std::string output;
        outcome = login_->step(input_, output);
        if (outcome == Login::Outcome::failed) {
            crowd_.last_failure_ = input_;
            return lost();
        }
        if (outcome == Login::Outcome::more) {
            if (!output.empty()) send(output);
            return;
        }
        if (outcome == Login::Outcome::start_tls) {
            connection_.start_tls(crowd_.options_.domain);
            return on_handshake(connection_.continue_handshake());
        }
        if (!output.empty()) send_stanzas(output, 1);
    }
    jid_ = login_->jid();
    login_.reset();
    is_ready_ = true;
    --crowd_.connecting_;
    ++crowd_.ready_;
    crowd_.start_waiting();
    const std::string rest = std::move(input_);
    input_.clear();
    crowd_.work_.ready(*this);
    if (is_ready_ && !rest.empty()) take(rest);
}

void Client::take(std::string_view bytes) {
    unsigned requests = 0;
    scan(input_, bytes, [&](Tag tag, std::string_view text) {
        if (tag == Tag::ack_request) ++requests;
        on_tag(tag, text);
    });
    if (requests > 0) send("<a xmlns='urn:xmpp:sm:3' h='" + std::to_string(received_) + "'/>");
    if (is_ready_) crowd_.work_.turn(*this);
}

void Client::on_tag(Tag tag, std::string_view text) {
    switch (tag) {
        case Tag::ack: {
            const auto h =
                static_cast<unsigned>(std::strtoul(std::string{attribute(text, "h")}.c_str(), nullptr, 10));
            if (h <= acked_) return;
            const unsigned more = h - acked_;
            acked_ = h;
            return crowd_.work_.acked(*this, more);
        }
        case Tag::stream_end: return lost();
        case Tag::iq:
            if (attribute(text, "id") == "settle") ++crowd_.settled_;
            ++received_;
            break;
        case Tag::message:
        case Tag::presence: ++received_; break;
        default: break;
    }
    crowd_.work_.tag(*this, tag, text);
}

void Client::send(std::string_view bytes) {
    if (connection_.is_open()) after(connection_.write(bytes));
}

void Client::send_stanzas(std::string_view bytes, unsigned stanzas) {
    sent_ += stanzas;
    send(bytes);
}

void Client::after(Connection::Status status) {
    if (status == Connection::Status::closed) return lost();
    watch(connection_.has_unsent());
}

void Client::leave() {
    is_leaving_ = true;
    send("</stream:stream>");
}

void Client::drop() {
    if (is_ready_) --crowd_.ready_;
    is_ready_ = false;
    connection_.close();
}

void Client::lost() {
    if (!is_leaving_) ++crowd_.failures_;
    const bool was_ready = is_ready_;
    drop();
    if (!was_ready) --crowd_.connecting_;
    crowd_.work_.gone(*this);
    crowd_.start_waiting();
}

// ---- all of them
// -------------------------------------------------------------------------------------------------------

Crowd::Crowd(const Options& options, Work& work, unsigned clients)
    : options_{options},
      work_{work},
      keys_{options.keys},
      epoll_{::epoll_create1(EPOLL_CLOEXEC)},
      buffer_(256 * 1024) {
    for (unsigned number = 0; number < clients; ++number)
        clients_.push_back(std::make_unique<Client>(*this, number));
}

Crowd::~Crowd() {
    clients_.clear();
    ::close(epoll_);
}

void Crowd::connect(Client& client) {
    waiting_.push_back(&client);
    start_waiting();
}

void Crowd::start_waiting() {
    while (!waiting_.empty() && connecting_ < options_.parallel) {
        Client* const client = waiting_.front();
        waiting_.pop_front();
        ++connecting_;
        client->open();
    }
}

void Crowd::connect_all(unsigned first, unsigned last) {
    const unsigned wanted = ready_ + last - first, failed = failures_;
    for (unsigned number = first; number < last; ++number) connect(*clients_[number]);
    run_until([&] { return ready_ >= wanted || failures_ > failed; }, 600s, "login");
    if (failures_ > failed) throw std::runtime_error{"a login failed: " + last_failure_};
}

void Crowd::settle(unsigned first, unsigned last) {
    if (options_.is_raw) return;
    settled_ = 0;
    const std::string ping =
        "<iq type='get' id='settle' to='" + options_.domain + "'><ping xmlns='urn:xmpp:ping'/></iq>";
    for (unsigned number = first; number < last; ++number) clients_[number]->send_stanzas(ping, 1);
    run_until([&] { return settled_ >= last - first; }, 120s, "answers to pings");
    // What belonged to the login is not told as acked.
    for (unsigned number = first; number < last; ++number) clients_[number]->acked_ = clients_[number]->sent_;
}

void Crowd::turn(std::chrono::milliseconds patience) {
    epoll_event events[512];
    const int count = ::epoll_wait(epoll_, events, 512, static_cast<int>(patience.count()));
    for (int i = 0; i < count; ++i) static_cast<Client*>(events[i].data.ptr)->on_event(events[i].events);
}

void Crowd::run_until(const std::function<bool()>& is_done, std::chrono::duration<double> limit,
                      const char* what) {
    const auto end = Clock::now() + limit;
    while (!is_done()) {
        if (Clock::now() > end) throw std::runtime_error{std::string{"timed out: "} + what};
        turn(50ms);
    }
}

void Crowd::run_for(std::chrono::duration<double> time) {
    const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(time);
    while (Clock::now() < end) turn(10ms);
}

}  // namespace bench
