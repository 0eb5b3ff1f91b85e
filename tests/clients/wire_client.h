// SPDX-License-Identifier: MIT
// A client that says exactly what it is told to, over a real socket, and keeps what it gets as elements. It
// logs in by PLAIN; everything else a test spells out. What does not come in time is a std::runtime_error
// that says what came instead.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tests/clients/raw_socket.h"
#include "tests/clients/tern_process.h"
#include "tests/support/xml.h"

namespace tests {

class WireClient {
public:
    using Patience = std::chrono::milliseconds;
    static constexpr Patience patience{20'000};

    enum class Door : std::uint8_t { plain, direct_tls };
    explicit WireClient(const TernProcess& server, Door door = Door::direct_tls);
    // Logged in and bound: for those who want no more than that.
    WireClient(const TernProcess& server, const std::string& jid, const std::string& password,
               Door door = Door::direct_tls);

    // `extra`: further attributes of the stream header. Waits for the features.
    void open_stream(const std::string& extra = "");
    const Node& features() const { return features_; }
    // Header, PLAIN, header, binding. False: refused, and refusal() is the SASL condition.
    bool log_in(const std::string& jid, const std::string& password, const std::string& extra = "");
    bool authenticate(const std::string& user, const std::string& password);  // the SASL part of it
    void bind(const std::string& resource);
    const std::string& refusal() const { return refusal_; }
    const std::string& full_jid() const { return full_jid_; }

    bool send(std::string_view text) { return socket_->send(text); }
    std::optional<Node> next(Patience wait = patience);            // nothing came: nullopt
    Node element(Patience wait = patience);                        // the next one, which must come
    std::optional<Node> next_message(Patience wait = patience);    // skips what is no message
    Node answer(const std::string& id, Patience wait = patience);  // what comes before it stays for later
    Node ask(const std::string& type, const std::string& payload, const std::string& to = "localhost");
    void ping(Patience wait = patience);
    // With an answered ping behind it: everything that was sent before has been dealt with by the server.
    void be_available(const std::string& presence = "<presence/>");

    // How its stream ended, waited for.
    struct End {
        bool is_over = false;  // the connection is closed
        bool has_footer = false;
        std::string condition;  // of the stream error
        std::string text;
    };
    End end(Patience wait = patience);
    void forget() { kept_.clear(); }
    void vanish();  // RST instead of FIN; the end of this object's use
    RawSocket& socket() { return *socket_; }

private:
    bool receive_until(const std::function<bool()>& done, Patience wait);
    void take_in();

    std::unique_ptr<RawSocket> socket_;
    StreamReader reader_{StreamReader::Restarts::behind_success};
    std::deque<Node> kept_;
    End end_;
    Node features_;
    std::string refusal_, full_jid_;
    int asked_ = 0;
};

}  // namespace tests
