// SPDX-License-Identifier: MIT
// A client's XML stream (RFC 6120 §4): negotiation from the header to the bound resource, then the session's stanzas.
// Bytes come from a Transport's owner, bytes go to the Transport; sockets, TLS and HTTP are none of its business.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/sasl.h"
#include "server/iq.h"
#include "server/net/loop.h"
#include "server/session.h"
#include "xmpp/framer.h"
#include "xmpp/parser.h"
#include "xmpp/shared_text.h"
#include "xmpp/wire.h"
#include "xmpp/xml_writer.h"

namespace server {

class LoginTasks;
class Worker;
struct NonzaTable;

// What carries a stream: a TCP connection, a WebSocket, a test.
class Transport {
public:
    virtual ~Transport() = default;
    virtual void send(xmpp::Wire bytes) = 0;            // queued; leaves at the end of the turn in one write
    virtual void close() = 0;                           // when all that was sent is out; nothing comes after it
    virtual void start_tls() = 0;                       // what was sent before goes out first; input so far is discarded
    virtual void want_input(bool wanted) = 0;           // back-pressure: read, or leave it in the socket
    virtual auth::Channel channel() const = 0;          // encrypted or not, with channel-binding data
    virtual bool is_encrypted() const = 0;
    virtual bool can_start_tls() const = 0;
    virtual std::string peer_address() const = 0;       // without the port
    virtual std::size_t unsent() const = 0;             // bytes
    virtual void allow_unsent(std::size_t bytes) = 0;   // more than limits.outbox_bytes, until they are out
    virtual bool is_peer_gone() const = 0;              // also while nothing is read
    virtual void extend_login(net::Duration time) = 0;  // from now; instead of limits.login_deadline
    virtual void session_begins() = 0;                  // logged in: from now on limits.idle counts
    // The session's account lives on that worker: the transport and its stream go there, `arrived` is called there.
    virtual void move_to(Worker& worker, std::function<void()> arrived) = 0;
};

class Stream final : public std::enable_shared_from_this<Stream> {
public:
    enum class Phase : std::uint8_t { secure, authenticate, bind, session, closing };

    Stream(Worker& worker, Transport& transport);
    ~Stream();

    // From the transport.
    // Takes bytes; keeps what is incomplete. Stops early while something is awaited and goes on by itself.
    void receive(std::string_view bytes);
    void on_flushed();                                   // all that was sent is with the kernel
    void on_flushed_some();
    void on_disconnected(std::string_view why);          // the transport is gone; nothing can be sent any more
    void on_secured();                                   // STARTTLS is done
    void arrive(Worker& worker);                         // it has moved

    Phase phase() const { return phase_; }
    Worker& worker() const { return *worker_; }
    Transport& transport() const { return *transport_; } // only while connected
    Session* session() const { return session_.get(); }
    // Resumption (a module's): a session that lost its stream goes on with this one; one that still has it lets go.
    void take_session(std::shared_ptr<Session> session);
    void let_go_of_session() { session_ = nullptr; }
    const std::string& id() const { return id_; }        // of the stream, for logs
    std::string domain() const;                          // the virtual host that the client named
    xmpp::SharedText device() const;
    xmpp::Jid authenticated_as() const;                  // bare; empty before
    bool is_authenticated() const { return is_authenticated_; }   // or was, before it ended
    // SASL, in the words of RFC 6120, or of XEP-0388 when `request` is its <authenticate/>. login.cpp
    std::vector<std::string> mechanisms() const;
    const auth::Channel& channel() const;                // while logging in; asked of the transport once, since it is computed
    void authenticate(std::string_view mechanism, const std::optional<std::string>& initial, xmpp::Stanza request);   // base 64
    void respond(const std::string& base64);
    void refuse(auth::SaslCondition condition, std::string_view text = {});
    const xmpp::Stanza& login_request() const;           // XEP-0388: the <authenticate/>
    LoginTasks* tasks() const;                           // that are to be done before <success/>, or nullptr
    void begin_tasks(std::unique_ptr<LoginTasks> tasks);
    void succeed(const auth::Success& success);          // when they are done
    // Sends it, and the features of the stream that goes on, unless that goes on with an old session.
    void completed_login(std::string_view success, bool is_resumed);
    bool is_for_sessions() const { return phase_ == Phase::bind || phase_ == Phase::session; }   // its features
    // A session with that resource (empty: any); or why not. Nobody is told before announce_session().
    std::optional<xmpp::StanzaError> take_resource(const std::shared_ptr<Account>& account, const std::string& wanted);
    void announce_session();
    void extend_login(net::Duration time);               // instead of limits.login_deadline
    void speak(std::string_view sasl_ns);                // whose words a refusal is put in: RFC 6120's, XEP-0388's
    bool may_register() const;                           // in-band registration: a secure channel, nobody logged in

    void send(xmpp::Wire bytes);
    void send_xml(std::string_view xml);                 // a nonza, or a whole stanza
    void close(xmpp::StreamError error);                 // sends the error and the end tag
    void close();                                        // the end tag alone
    void go_down(xmpp::StreamError error);               // that, or nothing at all when a module keeps the session for resumption
    // While something is awaited on behalf of this stream no further element is taken. Nested.
    void hold();
    void go_on();

private:
    std::size_t take_frames(std::string_view bytes);
    void on_header(std::string_view bytes);
    void on_element(std::string_view bytes);
    void before_login(const xmpp::Stanza& element);
    void before_bind(const xmpp::Stanza& element);
    void in_session(const xmpp::Stanza& element);
    bool take_nonza(const NonzaTable& nonzas, const xmpp::Stanza& element);
    void close(bool may_be_resumed);
    void wait_for_output();
    void go_on_behind_output();
    void on_starttls();
    void expect_restart();
    void send_header();
    void send_features();
    // RFC 6120 §6: login.cpp
    void write_mechanisms(xmpp::XmlWriter& features);
    void on_sasl(const xmpp::Stanza& element);
    void on_sasl_step(auth::Step step);
    storage::Task<void> look_up(std::string username);
    storage::Task<void> add_tokens(const storage::Account& account, auth::Credentials& credentials);
    storage::Task<void> spend_token(const storage::Account& account, auth::Step& step);
    bool is_another(const xmpp::Jid& account) const;
    storage::Task<void> hash_password(auth::HashPassword wanted);
    void on_sasl_success(const auth::Success& success);
    // RFC 6120 §7: login.cpp
    storage::Task<void> bind(xmpp::Stanza request);
    IqReply bind_to(const std::shared_ptr<Account>& account, const xmpp::Stanza& request);
    storage::Task<void> ask_before_login(xmpp::Stanza request);
    void reply(const xmpp::Stanza& request, const IqReply& reply);
    void end_session(bool may_be_resumed);

    struct Login;                                        // what is needed until a resource is bound; then freed
    Worker* worker_;
    Transport* transport_;                               // nullptr: disconnected
    std::shared_ptr<Session> session_;
    std::unique_ptr<Login> login_;
    std::unique_ptr<xmpp::StreamHeader> header_;         // kept only when it declared extra prefixes
    std::string pending_;                                // the incomplete tail, and what waits while held
    std::string id_;
    xmpp::SharedText lang_;                              // the stream's default for stanzas that name none
    xmpp::Framer framer_;
    std::uint16_t held_ = 0;
    Phase phase_ = Phase::secure;
    bool is_authenticated_ = false;
    bool header_sent_ = false;
    bool taking_ = false;
    bool waits_for_output_ = false;
};

}  // namespace server
