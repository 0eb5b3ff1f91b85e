// SPDX-License-Identifier: MIT
#include "tests/clients/strophe_client.h"

#include <strophe.h>
#include <sys/socket.h>

#include <algorithm>

namespace tests {

namespace {

// libstrophe forgets the namespaces of attributes; the only one that matters here is that of xml:lang.
void restore_language(Node& node) {
    for (Attribute& attribute : node.attributes)
        if (attribute.name == "lang" && attribute.ns.empty()) attribute.ns = ns::xml;
    for (Node& child : node.children) restore_language(child);
}

}  // namespace

constexpr std::chrono::milliseconds login_deadline{30'000};
constexpr unsigned long turn = 5;   // milliseconds that one turn of libstrophe's loop waits at most

StropheLoop::StropheLoop() {
    xmpp_initialize();
    context_ = xmpp_ctx_new(nullptr, nullptr);
    xmpp_ctx_set_timeout(context_, turn);
}

StropheLoop::~StropheLoop() {
    xmpp_ctx_free(context_);
    xmpp_shutdown();
}

bool StropheLoop::run_until(const std::function<bool()>& done, std::chrono::milliseconds deadline) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (!done()) {
        if (std::chrono::steady_clock::now() >= end) return false;
        xmpp_run_once(context_, turn);
    }
    return true;
}

struct StropheClient::Callbacks {
    // The callback for socket options gets no user data: the client that connects right now.
    static inline StropheClient* connecting = nullptr;

    static int on_socket(xmpp_conn_t*, void* socket) {
        if (connecting != nullptr) connecting->socket_ = *static_cast<int*>(socket);
        return 0;
    }

    static void on_event(xmpp_conn_t* connection, xmpp_conn_event_t event, int, xmpp_stream_error_t* error, void* self) {
        auto& client = *static_cast<StropheClient*>(self);
        if (event == XMPP_CONN_CONNECT) {
            client.state_ = State::connected;
            client.full_jid_ = xmpp_conn_get_bound_jid(connection) != nullptr ? xmpp_conn_get_bound_jid(connection) : "";
            xmpp_handler_add(connection, on_stanza, nullptr, nullptr, nullptr, self);
            return;
        }
        // Once connected, the stream error has come as an element already.
        if (error != nullptr && error->stanza != nullptr && client.state_ == State::connecting) keep(client, error->stanza);
        client.state_ = State::ended;
    }

    static int on_stanza(xmpp_conn_t*, xmpp_stanza_t* stanza, void* self) {
        keep(*static_cast<StropheClient*>(self), stanza);
        return 1;
    }

    static void keep(StropheClient& client, xmpp_stanza_t* stanza) {
        char* text = nullptr;
        std::size_t size = 0;
        if (xmpp_stanza_to_text(stanza, &text, &size) != XMPP_EOK) return;
        auto node = parse_node({text, size});
        // The answers to libstrophe's own requests (binding) are its own affair.
        if (node && !node->attr_or_empty("id").starts_with("_xmpp_")) {
            restore_language(*node);
            client.received_.push_back({Event::Kind::element, std::move(*node)});
        }
        xmpp_free(client.loop_.context(), text);
    }
};

StropheClient::StropheClient(StropheLoop& loop, const std::string& jid, const std::string& password, bool stream_management) : loop_{loop} {
    connection_ = xmpp_conn_new(loop.context());
    xmpp_conn_set_jid(connection_, jid.c_str());
    xmpp_conn_set_pass(connection_, password.c_str());
    long flags = XMPP_CONN_FLAG_MANDATORY_TLS | XMPP_CONN_FLAG_TRUST_TLS;
    if (!stream_management) flags |= XMPP_CONN_FLAG_DISABLE_SM;
    xmpp_conn_set_flags(connection_, flags);
    xmpp_conn_set_sockopt_callback(connection_, Callbacks::on_socket);
}

StropheClient::~StropheClient() {
    if (state_ == State::connected || state_ == State::connecting) lose_connection();
    xmpp_conn_release(connection_);
}

bool StropheClient::connect(const std::string& host, std::uint16_t port, bool direct_tls) {
    if (direct_tls) {
        const long flags = xmpp_conn_get_flags(connection_) & ~XMPP_CONN_FLAG_MANDATORY_TLS;
        xmpp_conn_set_flags(connection_, flags | XMPP_CONN_FLAG_LEGACY_SSL);
    }
    state_ = State::connecting;
    Callbacks::connecting = this;
    const bool begun = xmpp_connect_client(connection_, host.c_str(), port, Callbacks::on_event, this) == XMPP_EOK;
    Callbacks::connecting = nullptr;
    if (!begun) return false;
    loop_.run_until([this] { return state_ != State::connecting; }, login_deadline);
    return state_ == State::connected;
}

bool StropheClient::disconnect() {
    if (state_ != State::connected) return state_ == State::ended;
    xmpp_disconnect(connection_);
    return wait_for_end(login_deadline);
}

void StropheClient::lose_connection() {
    if (socket_ >= 0 && state_ != State::ended) ::shutdown(socket_, SHUT_RDWR);
    wait_for_end(login_deadline);
    socket_ = -1;
}

void StropheClient::send(std::string_view xml) {
    xmpp_send_raw(connection_, xml.data(), xml.size());
    loop_.run_until([this] { return state_ != State::connected || xmpp_conn_send_queue_len(connection_) == 0; }, login_deadline);
}

bool StropheClient::ask(std::string_view request, const std::string& id, std::chrono::milliseconds wait) {
    const std::size_t before = received_.size();
    send(request);
    const auto find = [&] { return std::find_if(received_.begin(), received_.end(), [&](const Event& event) { return event.node.attr_or_empty("id") == id; }); };
    loop_.run_until([&] { return state_ != State::connected || find() != received_.end(); }, wait);
    if (const auto answer = find(); answer != received_.end()) received_.erase(answer);
    return received_.size() != before;
}

std::optional<Event> StropheClient::next(std::chrono::milliseconds wait) {
    loop_.run_until([this] { return !received_.empty() || state_ == State::ended; }, wait);
    if (received_.empty()) return std::nullopt;
    Event event = std::move(received_.front());
    received_.pop_front();
    return event;
}

bool StropheClient::wait_for_end(std::chrono::milliseconds wait) {
    return loop_.run_until([this] { return state_ == State::ended || state_ == State::idle; }, wait);
}

std::string StropheClient::full_jid() const { return full_jid_; }

}  // namespace tests
