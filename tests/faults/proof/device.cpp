// SPDX-License-Identifier: MIT
#include "tests/faults/proof/device.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "xmpp/base64.h"

namespace tests {

namespace {

constexpr std::string_view sm = "urn:xmpp:sm:3";
constexpr std::string_view sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
constexpr std::string_view stanza_ids = "urn:xmpp:sid:0";
constexpr int most_at_once = 16;                // messages in a turn
constexpr std::size_t most_unsent = 1U << 18U;  // bytes

std::uint32_t h_of(const Node& node) {
    return static_cast<std::uint32_t>(std::stoul("0" + node.attr_or_empty("h")));
}

// The same each time that it is sent.
std::string message_xml(MessageId message) {
    const std::size_t length = 20 + message.number * 37U % 200;
    return "<message to='" + Device::account(message.account) + "@localhost' type='chat' id='" +
           message.text() + "'><body>" + std::string(length, 'x') + "</body></message>";
}

}  // namespace

Device::Device(int number, const Plan& plan, Ledger& ledger, std::uint64_t seed)
    : number_{number}, plan_{plan}, ledger_{ledger}, dice_{seed} {}

Device::~Device() {
    for (const int socket : {socket_, abandoned_})
        if (socket >= 0) ::close(socket);
}

// ---- the connection ------------------------------------------------------------------------------------

void Device::turn(const Incarnation& server, std::uint64_t& may_send) {
    const auto now = Clock::now();
    if (awaits_ == Awaits::nothing && server.is_up() && now >= back_at_) connect(server);
    if (deaf_until_ && now >= *deaf_until_) cut(Cut::reset, std::chrono::milliseconds{0});
    if (awaits_ != Awaits::stanzas) return;
    if (!is_leaving_)
        write_messages(may_send);
    else if (!unacked_.empty() && !has_asked_)
        ask_for_ack();
    else if (unacked_.empty() && !has_said_goodbye_)
        say_goodbye();
    flush();
}

pollfd Device::waits_for() const {
    const bool is_deaf = deaf_until_.has_value();
    const bool writes = awaits_ == Awaits::connection || !out_.empty();
    return {socket_, static_cast<short>((is_deaf ? 0 : POLLIN) | (writes ? POLLOUT : 0)), 0};
}

Clock::time_point Device::acts_at() const {
    if (deaf_until_) return *deaf_until_;
    return awaits_ == Awaits::nothing ? back_at_ : Clock::time_point::max();
}

void Device::on_ready(short events) {
    if (awaits_ == Awaits::connection) {
        int problem = 0;
        socklen_t size = sizeof problem;
        ::getsockopt(socket_, SOL_SOCKET, SO_ERROR, &problem, &size);
        if (problem != 0) return disconnect(dice_.pause(20, 100));
        open_stream();
        awaits_ = Awaits::features;
    }
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) receive();
    if (socket_ >= 0) flush();
}

void Device::connect(const Incarnation& server) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port);
    ::inet_pton(AF_INET, server.host.c_str(), &address.sin_addr);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 &&
        errno != EINPROGRESS)
        return disconnect(dice_.pause(20, 100));
    crashes_ = server.crashes;
    reader_ = std::make_unique<StreamReader>(StreamReader::Restarts::behind_success);
    awaits_ = Awaits::connection;
}

void Device::disconnect(std::chrono::milliseconds until_back) {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
    out_.clear();
    awaits_ = Awaits::nothing;
    deaf_until_.reset();
    has_asked_ = false;
    if (is_leaving_) until_back = time_away_;
    if (is_leaving_ && has_said_goodbye_) sm_id_.clear();
    is_leaving_ = has_said_goodbye_ = false;
    back_at_ = Clock::now() + until_back;
}

void Device::receive() {
    char bytes[65536];
    while (socket_ >= 0) {
        const auto count = ::recv(socket_, bytes, sizeof bytes, 0);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (count <= 0) return disconnect(dice_.pause(0, 50));
        if (!reader_->feed({bytes, static_cast<std::size_t>(count)})) {
            ledger_.wrong("not XML", "device " + std::to_string(number_) + ": " + reader_->problem());
            return disconnect(dice_.pause(0, 50));
        }
        while (auto event = reader_->take()) {
            if (event->kind == Event::Kind::element) take(event->node);
            if (socket_ < 0) return;
        }
    }
}

void Device::flush() {
    while (!out_.empty()) {
        const auto count = ::send(socket_, out_.data(), out_.size(), MSG_NOSIGNAL);
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (count <= 0) return;  // receiving finds the reason, and what came before it
        out_.erase(0, static_cast<std::size_t>(count));
    }
}

// ---- what the nemesis does to it -----------------------------------------------------------------------

void Device::cut(Cut how, std::chrono::milliseconds until_back) {
    if (awaits_ == Awaits::nothing) return;
    if (how == Cut::deaf && awaits_ == Awaits::stanzas) {
        deaf_until_ = Clock::now() + until_back;
        return;
    }
    if (how == Cut::unheard) {  // the old connection stays, and nobody reads what comes
        if (abandoned_ >= 0) ::close(abandoned_);
        abandoned_ = std::exchange(socket_, -1);
    }
    if (how == Cut::torn && awaits_ == Awaits::stanzas && out_.empty()) {
        const std::string_view half = "<message to='user0@localhost' type='chat' id='torn'><bo";
        static_cast<void>(::send(socket_, half.data(), half.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    }
    if (how == Cut::reset || how == Cut::deaf) {
        const linger at_once{1, 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    disconnect(until_back);
}

void Device::leave(std::chrono::milliseconds until_back) {
    if (awaits_ != Awaits::stanzas || is_leaving_) return;
    is_leaving_ = true;
    time_away_ = until_back;
}

void Device::say_goodbye() {
    send_ack();
    out_ += "</stream:stream>";
    has_said_goodbye_ = true;
}

void Device::come_back() {
    time_away_ = std::chrono::milliseconds{0};
    back_at_ = std::min(back_at_, Clock::now());
}

// ---- logging in ----------------------------------------------------------------------------------------

void Device::open_stream() {
    reader_->restart();
    out_ +=
        "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
        "xmlns:stream='http://etherx.jabber.org/streams'>";
}

void Device::take(const Node& node) {
    if (node.ns == ns::streams && node.name == "error") return on_stream_error(node);
    if (awaits_ == Awaits::stanzas && node.ns == ns::client) return on_stanza(node);
    if (awaits_ != Awaits::stanzas) return log_in(node);
    if (node.ns != sm) return;
    if (node.name == "r") send_ack();
    if (node.name == "a") acknowledge(h_of(node));
}

void Device::log_in(const Node& node) {
    const std::string user = account(number_ / Plan::devices_per_account);
    if (node.name == "failure") {
        if (node.child("not-authorized", sasl) != nullptr) ledger_.wrong("not let in", user);
        return disconnect(dice_.pause(50, 300));  // the database may be away
    }
    switch (awaits_) {
        case Awaits::features:
            scram_.emplace(user, password(number_));
            out_ += "<auth xmlns='" + std::string{sasl} + "' mechanism='SCRAM-SHA-256'>" +
                    xmpp::base64(scram_->first()) + "</auth>";
            awaits_ = Awaits::challenge;
            break;
        case Awaits::challenge: {
            const auto answer = scram_->final(xmpp::parse_base64(node.text).value_or(""));
            if (!answer) return disconnect(dice_.pause(50, 300));
            out_ += "<response xmlns='" + std::string{sasl} + "'>" + xmpp::base64(*answer) + "</response>";
            awaits_ = Awaits::success;
            break;
        }
        case Awaits::success:
            open_stream();
            awaits_ = Awaits::features_again;
            break;
        case Awaits::features_again:
            if (sm_id_.empty()) return bind();
            out_ += "<resume xmlns='urn:xmpp:sm:3' h='" + std::to_string(handled_) + "' previd='" + sm_id_ +
                    "'/>";
            awaits_ = Awaits::resumed;
            break;
        case Awaits::resumed:
            if (node.name == "resumed")
                on_resumed(node);
            else
                on_failed(node);
            break;
        case Awaits::bound:
            if (node.attr_or_empty("type") != "result") return disconnect(dice_.pause(50, 300));
            out_ += "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
            awaits_ = Awaits::enabled;
            break;
        case Awaits::enabled:
            if (node.ns == sm) begin_session(node);
            break;
        default: break;
    }
}

void Device::bind() {
    out_ += "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>device" +
            std::to_string(number_) + "</resource></bind></iq>";
    awaits_ = Awaits::bound;
}

// XEP-0198 §5: what h covers has arrived, the rest goes again.
void Device::on_resumed(const Node& node) {
    if (crashes_ == session_crashes_) {
        ++resumptions_.tried;
        ++resumptions_.done;
    }
    session_crashes_ = crashes_;
    ledger_.device_acked(number_, handled_);
    acked_by_us_ = handled_;
    ledger_.ack_was_read(number_, handled_, crashes_, false);
    awaits_ = Awaits::stanzas;
    acknowledge(h_of(node));
    if (awaits_ == Awaits::stanzas) send_again();
}

void Device::on_failed(const Node& node) {
    if (crashes_ == session_crashes_) ++resumptions_.tried;
    if (node.attr("h") != nullptr) acknowledge(h_of(node));
    sm_id_.clear();
    bind();
}

void Device::begin_session(const Node& enabled) {
    sm_id_ = enabled.attr_or_empty("id");
    session_crashes_ = crashes_;
    handled_ = acked_by_us_ = acked_by_server_ = 0;
    ack_every_ = static_cast<std::uint32_t>(dice_.between(1, 40));
    ledger_.begins_session(number_, crashes_);
    awaits_ = Awaits::stanzas;
    std::deque<Unacked> before = std::exchange(unacked_, {});
    send_stanza("<presence/>");
    for (const Unacked& sent : before) {
        if (sent.message.number == 0) continue;
        ledger_.sends_again(sent.message);
        send_message(sent.message);
    }
    ask_for_ack();
}

void Device::send_again() {
    for (Unacked& sent : unacked_) {
        sent.acks_before = acked_by_us_;
        out_ += sent.message.number == 0 ? "<presence/>" : message_xml(sent.message);
    }
    if (!unacked_.empty()) ask_for_ack();
}

// ---- the session ---------------------------------------------------------------------------------------

void Device::on_stanza(const Node& node) {
    ++handled_;
    if (node.name == "message") on_message(node);
    if (handled_ - acked_by_us_ >= ack_every_) send_ack();
}

void Device::on_message(const Node& message) {
    const auto id = MessageId::parse(message.attr_or_empty("id"));
    if (!id) return ledger_.wrong("unknown", indented(message));
    if (message.attr_or_empty("type") == "error") {
        const Node* const error = message.child("error", ns::client);
        if (error != nullptr && error->attr_or_empty("type") == "wait") return ledger_.refused(*id);
        return ledger_.wrong("bounced", indented(message));
    }
    const std::string own = account(number_ / Plan::devices_per_account) + "@localhost";
    std::string stanza_id;
    for (const Node& child : message.children)
        if (child.name == "stanza-id" && child.ns == stanza_ids && child.attr_or_empty("by") == own)
            stanza_id = child.attr_or_empty("id");
    ledger_.arrived({number_, *id, stanza_id, handled_});
}

void Device::on_stream_error(const Node& error) {
    const std::string condition = error.children.empty() ? "" : error.children.front().name;
    const bool is_expected =
        condition == "system-shutdown" || condition == "conflict" || condition == "resource-constraint";
    if (!is_expected)
        ledger_.wrong("stream error", "device " + std::to_string(number_) + ":\n" + indented(error));
    disconnect(dice_.pause(0, 50));
}

void Device::acknowledge(std::uint32_t h) {
    has_asked_ = false;
    const std::uint32_t newly = h - acked_by_server_;
    if (newly > unacked_.size())
        return ledger_.wrong("wrong ack", "device " + std::to_string(number_) +
                                              " got h=" + std::to_string(h) + " and has sent " +
                                              std::to_string(acked_by_server_ + unacked_.size()) +
                                              " stanzas");
    for (std::uint32_t i = 0; i < newly; ++i) {
        const Unacked sent = unacked_.front();
        unacked_.pop_front();
        if (sent.message.number != 0) ledger_.acked(sent.message);
        const bool is_stored = sent.message.number != 0 && ledger_.is_acked(sent.message);
        ledger_.ack_was_read(number_, sent.acks_before, crashes_, is_stored);
    }
    acked_by_server_ = h;
}

void Device::send_ack() {
    out_ += "<a xmlns='urn:xmpp:sm:3' h='" + std::to_string(handled_) + "'/>";
    acked_by_us_ = handled_;
    ledger_.device_acked(number_, handled_);
}

void Device::send_stanza(std::string_view xml, MessageId message) {
    out_ += xml;
    unacked_.push_back({message, acked_by_us_});
}

void Device::send_message(MessageId message) { send_stanza(message_xml(message), message); }

void Device::ask_for_ack() {
    out_ += "<r xmlns='urn:xmpp:sm:3'/>";
    has_asked_ = true;
}

void Device::write_messages(std::uint64_t& may_send) {
    const bool is_full = unacked_.size() >= static_cast<std::size_t>(plan_.window);
    if (is_full || may_send == 0 || out_.size() > most_unsent) {
        if (!unacked_.empty() && !has_asked_) ask_for_ack();
        return;
    }
    for (int count = dice_.between(1, most_at_once); count > 0 && may_send > 0; --count, --may_send) {
        int to = dice_.between(0, plan_.accounts - 2);
        if (to >= number_ / Plan::devices_per_account) ++to;  // not to itself
        send_message(ledger_.sends(number_, to));
    }
    ask_for_ack();
}

void Device::send_to_everybody() {
    for (int to = 0; to < plan_.accounts; ++to)
        if (to != number_ / Plan::devices_per_account) send_message(ledger_.sends(number_, to));
    ask_for_ack();
}

std::string Device::state() const {
    return "device " + std::to_string(number_) + ": state " + std::to_string(static_cast<int>(awaits_)) +
           ", unacked " + std::to_string(unacked_.size()) + ", handled " + std::to_string(handled_) +
           ", unsent bytes " + std::to_string(out_.size());
}

}  // namespace tests
