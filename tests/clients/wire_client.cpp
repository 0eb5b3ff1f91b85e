// SPDX-License-Identifier: MIT
#include "tests/clients/wire_client.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <csignal>
#include <stdexcept>

#include "xmpp/base64.h"

namespace tests {

namespace {

constexpr std::string_view stream_errors = "urn:ietf:params:xml:ns:xmpp-streams";

const TernProcess::Address& address_of(const TernProcess& server, WireClient::Door door) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
    return door == WireClient::Door::plain ? server.c2s() : server.direct_tls();
}

}  // namespace

WireClient::WireClient(const TernProcess& server, Door door)
    : socket_{std::make_unique<RawSocket>(address_of(server, door).host, address_of(server, door).port)} {
    // A server that neither reads nor closes must not hold up the test.
    const timeval limit{20, 0};
    ::setsockopt(socket_->descriptor(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ::setsockopt(socket_->descriptor(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (door == Door::direct_tls) socket_->start_tls("localhost", "xmpp-client");
}

WireClient::WireClient(const TernProcess& server, const std::string& jid, const std::string& password,
                       Door door)
    : WireClient{server, door} {
    if (!log_in(jid, password)) throw std::runtime_error{jid + " was not let in: " + refusal_};
}

// ---- logging in
// ------------------------------------------------------------------------------------------------------

void WireClient::open_stream(const std::string& extra) {
    reader_.restart();
    send(
        "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
        "xmlns:stream='http://etherx.jabber.org/streams'" +
        (extra.empty() ? "" : " " + extra) + ">");
    features_ = element();
    if (features_.name != "features")
        throw std::runtime_error{"no stream features but:\n" + indented(features_)};
}

bool WireClient::authenticate(const std::string& user, const std::string& password) {
    send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" +
         xmpp::base64('\0' + user + '\0' + password) + "</auth>");
    const Node answered = element();
    if (answered.name == "success") return true;
    refusal_ = answered.children.empty() ? answered.name : answered.children.front().name;
    return false;
}

void WireClient::bind(const std::string& resource) {
    const Node bound = ask(
        "set", "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>" + resource + "</resource></bind>",
        "");
    const Node* const inside = bound.child("bind", "urn:ietf:params:xml:ns:xmpp-bind");
    if (inside == nullptr || inside->children.empty())
        throw std::runtime_error{"not bound:\n" + indented(bound)};
    full_jid_ = inside->children.front().text;
}

bool WireClient::log_in(const std::string& jid, const std::string& password, const std::string& extra) {
    const std::size_t slash = std::min(jid.find('/'), jid.size());
    open_stream(extra);
    if (!authenticate(jid.substr(0, jid.find('@')), password)) return false;
    open_stream(extra);
    bind(slash < jid.size() ? jid.substr(slash + 1) : "");
    return true;
}

// ---- what comes
// ------------------------------------------------------------------------------------------------------

void WireClient::take_in() {
    while (auto event = reader_.take()) {
        if (event->kind == Event::Kind::footer) end_.has_footer = true;
        if (event->kind != Event::Kind::element) continue;
        if (event->node.name == "error" && event->node.ns == ns::streams) {
            for (const Node& child : event->node.children) {
                if (child.ns == stream_errors && child.name == "text")
                    end_.text = child.text;
                else if (child.ns == stream_errors)
                    end_.condition = child.name;
            }
        }
        kept_.push_back(std::move(event->node));
    }
}

bool WireClient::receive_until(const std::function<bool()>& done, Patience wait) {
    const auto until = std::chrono::steady_clock::now() + wait;
    while (!done()) {
        const auto left = std::chrono::duration_cast<Patience>(until - std::chrono::steady_clock::now());
        const std::string bytes = socket_->receive(std::max(left, Patience{0}));
        if (!reader_.feed(bytes)) throw std::runtime_error{"the server sent no XML: " + reader_.problem()};
        take_in();
        if (bytes.empty() && (socket_->is_over() || left.count() <= 0)) return done();
    }
    return true;
}

std::optional<Node> WireClient::next(Patience wait) {
    if (!receive_until([this] { return !kept_.empty(); }, wait)) return std::nullopt;
    Node node = std::move(kept_.front());
    kept_.pop_front();
    return node;
}

Node WireClient::element(Patience wait) {
    auto node = next(wait);
    if (!node)
        throw std::runtime_error{socket_->is_over()
                                     ? "the connection was closed where an element was expected"
                                     : "nothing came in time"};
    return std::move(*node);
}

std::optional<Node> WireClient::next_message(Patience wait) {
    const auto until = std::chrono::steady_clock::now() + wait;
    for (;;) {
        const auto left = std::chrono::duration_cast<Patience>(until - std::chrono::steady_clock::now());
        auto node = next(std::max(left, Patience{0}));
        if (!node || node->name == "message") return node;
    }
}

Node WireClient::answer(const std::string& id, Patience wait) {
    const auto find = [&] {
        for (auto node = kept_.begin(); node != kept_.end(); ++node)
            if (node->attr_or_empty("id") == id) return node;
        return kept_.end();
    };
    if (!receive_until([&] { return find() != kept_.end(); }, wait))
        throw std::runtime_error{"no answer to " + id +
                                 (kept_.empty() ? std::string{} : " but:\n" + indented(kept_.back()))};
    const auto found = find();
    Node node = std::move(*found);
    kept_.erase(found);
    return node;
}

Node WireClient::ask(const std::string& type, const std::string& payload, const std::string& to) {
    const std::string id = "ask-" + std::to_string(++asked_);
    send("<iq type='" + type + "' id='" + id + (to.empty() ? "'>" : "' to='" + to + "'>") + payload +
         "</iq>");
    return answer(id);
}

void WireClient::ping(Patience wait) {
    const std::string id = "ping-" + std::to_string(++asked_);
    send("<iq type='get' id='" + id + "' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>");
    const Node pong = answer(id, wait);
    if (pong.attr_or_empty("type") != "result")
        throw std::runtime_error{"a ping was answered with:\n" + indented(pong)};
}

void WireClient::be_available(const std::string& presence) {
    send(presence);
    ping();
}

WireClient::End WireClient::end(Patience wait) {
    receive_until([this] { return socket_->is_over(); }, wait);
    end_.is_over = socket_->is_over();
    return end_;
}

void WireClient::vanish() {
    const linger at_once{1, 0};
    ::setsockopt(socket_->descriptor(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    socket_.reset();
}

}  // namespace tests
