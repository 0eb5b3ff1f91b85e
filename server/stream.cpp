// SPDX-License-Identifier: MIT
// A client's stream: header, features, STARTTLS, and the way of each element to whoever takes it in its phase.
// SASL and resource binding are in login.cpp.
#include "server/stream.h"

#include "auth/crypto.h"
#include "server/account.h"
#include "server/config.h"
#include "server/log.h"
#include "server/login.h"
#include "server/worker.h"
#include "xmpp/namespaces.h"

namespace server {

using xmpp::Framer;
using xmpp::Stanza;
using xmpp::StreamCondition;
using xmpp::StreamError;
namespace ns = xmpp::ns;

constexpr std::size_t longest_lang = 35;  // RFC 5646 §4.4.1
constexpr int extensions = 3;             // of the first one's time, that all extensions of a login come to

Stream::Stream(Worker& worker, Transport& transport)
    : worker_{&worker}, transport_{&transport}, login_{std::make_unique<Login>()}, framer_{worker.login_limits} {}

Stream::~Stream() = default;

std::string Stream::domain() const { return login_ ? login_->domain : session_ ? std::string{session_->jid().domainpart()} : std::string{}; }

xmpp::SharedText Stream::device() const { return login_ ? login_->device : session_ ? session_->device() : xmpp::SharedText{}; }

xmpp::Jid Stream::authenticated_as() const { return login_ ? login_->account : session_ ? session_->account().jid() : xmpp::Jid{}; }

void Stream::arrive(Worker& worker) {
    worker_ = &worker;
    framer_.set_limits(worker.login_limits);
}

// ---- input -------------------------------------------------------------------------------------------------------------

void Stream::receive(std::string_view bytes) {
    if (phase_ == Phase::closing) return;
    if (held_ > 0 || taking_) {
        pending_.append(bytes);
        return;
    }
    const auto self = shared_from_this();  // an element may end this stream
    if (pending_.empty()) {
        const std::size_t taken = take_frames(bytes);
        if (phase_ != Phase::closing) pending_.append(bytes.substr(taken));
        return;
    }
    pending_.append(bytes);
    std::string whole = std::move(pending_);
    pending_.clear();
    const std::size_t taken = take_frames(whole);
    if (phase_ == Phase::closing) return;
    // What came in meanwhile stands behind what was not taken.
    whole.erase(0, taken);
    whole.append(pending_);
    pending_ = std::move(whole);
    if (pending_.empty()) pending_.shrink_to_fit();
}

// How many bytes are done with. Stops where something is awaited.
std::size_t Stream::take_frames(std::string_view bytes) {
    std::size_t taken = 0;
    taking_ = true;
    while (held_ == 0 && phase_ != Phase::closing) {
        const Framer::Frame frame = framer_.next(bytes.substr(taken));
        taken += frame.consumed;
        switch (frame.found) {
            case Framer::Found::nothing: taking_ = false; return taken;
            case Framer::Found::header: on_header(frame.bytes); break;
            case Framer::Found::element: on_element(frame.bytes); break;
            case Framer::Found::footer:
                if (session_) session_->leave();
                close();
                break;
            case Framer::Found::error: close(framer_.error()); break;
        }
        wait_for_output();
    }
    taking_ = false;
    return taken;
}

// A client that asks for more than it reads is not read itself for a while.
void Stream::wait_for_output() {
    if (waits_for_output_ || !transport_ || phase_ != Phase::session || transport_->unsent() <= worker_->config->limits.outbox_bytes / 4) return;
    waits_for_output_ = true;
    hold();
}

void Stream::go_on_behind_output() {
    if (!transport_ || transport_->unsent() > worker_->config->limits.outbox_bytes / 8) return;
    waits_for_output_ = false;
    go_on();
}

void Stream::hold() {
    if (held_++ == 0 && transport_) transport_->want_input(false);
}

void Stream::go_on() {
    if (--held_ > 0) return;
    if (transport_) transport_->want_input(true);
    if (!taking_ && !pending_.empty()) receive({});
}

// RFC 6120 §4.7
void Stream::on_header(std::string_view bytes) {
    auto header = worker_->parser->parse_header(bytes);
    if (!header) return close(header.error());
    login_->domain = worker_->config->domains.front();
    if (!header->to.empty()) {
        const auto to = xmpp::normalise_domainpart(header->to);
        if (!to || !worker_->config->is_local(*to)) return close(StreamError{StreamCondition::host_unknown});  // §4.9.3.6
        login_->domain = *to;
    }
    // §4.7.5: no version means 0.9, which knows no features.
    if (header->version.empty() || header->version.starts_with("0")) return close(StreamError{StreamCondition::unsupported_version});
    const auto claimed = xmpp::Jid::parse(header->from);
    login_->claimed = claimed ? claimed->bare() : xmpp::Jid{};
    lang_ = header->lang.size() <= longest_lang ? header->lang : std::string{};
    if (!header->extra_prefixes.empty()) header_ = std::make_unique<xmpp::StreamHeader>(std::move(*header));
    else header_.reset();
    header_sent_ = false;
    if (phase_ == Phase::secure && transport_->is_encrypted()) phase_ = Phase::authenticate;  // transports that begin encrypted
    send_header();
    send_features();
}

void Stream::on_element(std::string_view bytes) {
    const xmpp::JidView stamp = session_ ? session_->jid().view() : xmpp::JidView{};
    auto element = worker_->parser->parse(bytes, header_.get(), stamp, lang_);
    if (!element) return close(element.error());
    if (element->element().ns() == ns::server) return close(StreamError{StreamCondition::invalid_namespace});
    switch (phase_) {
        case Phase::secure:
        case Phase::authenticate: return before_login(*element);
        case Phase::bind: return before_bind(*element);
        case Phase::session: return in_session(*element);
        case Phase::closing: return;
    }
}

void Stream::before_login(const Stanza& element) {
    // XEP-0388 §2.4: nothing else is said during the exchange.
    const bool is_under_way = login_->request && (login_->exchange || login_->tasks);
    const std::string_view answer = login_->tasks ? "task-data" : "response";
    const bool is_answer = element.element().is(answer, ns::sasl2) || element.element().is("abort", ns::sasl2) || (login_->tasks && element.element().is("next", ns::sasl2));
    if (is_under_way && !is_answer) return close(StreamError{StreamCondition::policy_violation, "A login is under way."});
    if (element.element().is("starttls", ns::tls)) return on_starttls();
    if (element.element().ns() == ns::sasl) return on_sasl(element);
    if (take_nonza(worker_->host.nonzas_before_login, element)) return;
    if (element.kind() == xmpp::Kind::iq && may_register()) return worker_->spawn("registration", ask_before_login(element));
    // RFC 6120 §4.9.3.12
    if (element.kind() != xmpp::Kind::other) return close(StreamError{StreamCondition::not_authorized});
    close(StreamError{StreamCondition::unsupported_stanza_type});
}

void Stream::before_bind(const Stanza& element) {
    if (element.kind() == xmpp::Kind::iq && element.type() == "set" && element.child("bind", ns::bind))
        return worker_->spawn("resource binding", bind(element));
    if (element.kind() == xmpp::Kind::other && take_nonza(worker_->host.nonzas, element)) return;
    // RFC 6120 §7.1: nothing else before a resource is bound.
    if (element.kind() != xmpp::Kind::other) return close(StreamError{StreamCondition::not_authorized});
    close(StreamError{StreamCondition::unsupported_stanza_type});
}

void Stream::in_session(const Stanza& element) {
    if (element.kind() == xmpp::Kind::other) {
        if (!take_nonza(worker_->host.nonzas, element)) close(StreamError{StreamCondition::unsupported_stanza_type});
        return;
    }
    // RFC 6120 §8.1.2.1: a client speaks for itself alone.
    if (element.has_bad_from()) return close(StreamError{StreamCondition::invalid_from});
    const std::shared_ptr<Session> session = session_;
    const Receipt::Scope because{worker_->host.receipt(*session)};
    try {
        worker_->router.from_client(*session, element);
    } catch (const std::exception& bug) {
        log::error("a module failed", {{"jid", session->jid().text()}, {"stanza", element.id()}, {"why", bug.what()}});
        worker_->router.bounce(element, element.to(), xmpp::Condition::internal_server_error);
    }
    worker_->host.received.tell(*session, element);
}

bool Stream::take_nonza(const NonzaTable& nonzas, const Stanza& element) {
    const auto found = nonzas.entries.find({element.element().ns(), element.element().name()});
    if (found == nonzas.entries.end()) return false;
    found->second.call(found->second.module, *this, element);
    return true;
}

void Stream::take_session(std::shared_ptr<Session> session) {
    session_ = std::move(session);
    session_->attach(this);
    phase_ = Phase::session;
    framer_.set_limits(worker_->limits);
    login_.reset();
    transport_->session_begins();
}

// ---- STARTTLS: RFC 6120 §5 ---------------------------------------------------------------------------------------------

void Stream::on_starttls() {
    if (phase_ != Phase::secure || !transport_->can_start_tls()) {
        send_xml("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");  // §5.4.2.2
        return close();
    }
    send_xml("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    // §5.4.3.3: what stood behind <starttls/> was not protected and is thrown away.
    hold();
    pending_.clear();
    transport_->start_tls();
}

void Stream::on_secured() {
    if (phase_ == Phase::closing) return;
    phase_ = Phase::authenticate;
    login_->exchange.reset();   // what was begun in the clear goes on under no protection
    login_->channel.reset();
    login_->request = {};
    if (held_ == 0) return;  // direct TLS
    held_ = 0;
    pending_.clear();
    expect_restart();
    transport_->want_input(true);
}

// RFC 6120 §4.3.3. Whatever is said next stands in a new stream, an error as well.
void Stream::expect_restart() {
    framer_.expect_header();
    header_sent_ = false;
}

// ---- output ------------------------------------------------------------------------------------------------------------

void Stream::send(xmpp::Wire bytes) {
    if (phase_ != Phase::closing && transport_) transport_->send(std::move(bytes));
}

void Stream::send_xml(std::string_view xml) { send(xmpp::Wire{xml}); }

void Stream::send_header() {
    if (std::exchange(header_sent_, true)) return;
    id_ = auth::random_token(11);   // 15 characters: nothing on the heap
    const std::string named = domain();
    std::string header = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
                         "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en' id='" + id_ + "' from='";
    xmpp::append_escaped_attribute(header, named.empty() ? worker_->config->domains.front() : named);
    if (login_ && !login_->claimed.empty()) {   // RFC 6120 §4.7.2
        header += "' to='";
        xmpp::append_escaped_attribute(header, login_->claimed.text());
    }
    header += "'>";
    send_xml(header);
}

// RFC 6120 §4.3.2, in the order that XEP-0170 recommends.
void Stream::send_features() {
    xmpp::XmlWriter w{ns::client};
    w.open("stream:features");
    const bool tls_first = phase_ == Phase::secure && worker_->config->c2s.require_tls;
    if (phase_ == Phase::secure && transport_->can_start_tls()) {
        w.open("starttls", ns::tls);
        if (tls_first) w.leaf("required");
        w.close();
    }
    if (phase_ == Phase::bind) {
        w.open("bind", ns::bind).leaf("required").close();
    } else if (phase_ != Phase::session && !tls_first) {
        write_mechanisms(w);
    }
    if (!tls_first) worker_->host.features.tell(*this, w);
    send_xml(w.take());
}

void Stream::close(StreamError error) {
    if (phase_ == Phase::closing) return;
    log::debug("stream error", {{"stream", id_}, {"condition", to_string(error.condition)}, {"text", error.text}});
    const auto self = shared_from_this();
    send_header();  // RFC 6120 §4.9.1.2: an error during negotiation comes after the header
    send_xml(error.xml());
    // A client that fell silent may come back; one that was told why it must go may not.
    close(error.condition == StreamCondition::connection_timeout);
}

// XEP-0198 §5: after </stream:stream> many a client does not ask for its session again. It sees a broken connection.
void Stream::go_down(StreamError error) {
    if (phase_ == Phase::closing) return;
    const auto self = shared_from_this();
    const std::shared_ptr<Session> session = session_;
    if (!session || !worker_->host.lost.claim(*session)) return close(std::move(error));
    session_ = nullptr;
    phase_ = Phase::closing;
    pending_.clear();
    session->detach();
    if (transport_) transport_->close();
}

void Stream::close() { close(false); }

void Stream::close(bool may_be_resumed) {
    if (phase_ == Phase::closing) return;
    const auto self = shared_from_this();
    send_header();
    send_xml("</stream:stream>");
    phase_ = Phase::closing;
    pending_.clear();
    end_session(may_be_resumed);
    if (transport_) transport_->close();
}

void Stream::on_flushed() {
    if (!session_) return;
    const std::shared_ptr<Session> session = session_;
    session->on_flushed();
    session->on_drained();
    if (waits_for_output_) go_on_behind_output();
}

void Stream::on_flushed_some() {
    if (const std::shared_ptr<Session> session = session_) session->on_drained();
    if (waits_for_output_) go_on_behind_output();
}

void Stream::on_disconnected(std::string_view why) {
    const auto self = shared_from_this();
    if (phase_ != Phase::closing) log::debug("connection lost", {{"stream", id_}, {"why", why}});
    phase_ = Phase::closing;
    transport_ = nullptr;
    end_session(true);
}

void Stream::end_session(bool may_be_resumed) {
    const std::shared_ptr<Session> session = std::exchange(session_, nullptr);
    if (!session) return;
    session->account().mark_seen(session->device());
    session->detach();
    if (may_be_resumed && worker_->host.lost.claim(*session)) return;
    session->finish();
}

// ---- in-band registration: RFC 6120 has no say in it, XEP-0077 does (a module) ---------------------------------------------

void Stream::extend_login(net::Duration time) {
    if (!transport_ || phase_ == Phase::closing || !login_) return;
    const net::Duration now = worker_->loop.now();
    if (!login_->patience_ends) login_->patience_ends = now + extensions * time;
    time = std::min(time, *login_->patience_ends - now);
    if (time > net::Duration::zero()) transport_->extend_login(time);
}

bool Stream::may_register() const {
    return !is_authenticated_ && transport_ && (transport_->is_encrypted() || !worker_->config->c2s.require_tls);
}

storage::Task<void> Stream::ask_before_login(Stanza request) {
    const auto self = shared_from_this();
    const xmpp::Element payload = request.element().first_child();
    const auto& table = worker_->host.iq_before_login.entries;
    const auto found = table.find({payload.ns(), payload.name()});
    // A resource may not be bound, nor anything else be asked for, before authentication.
    if (found == table.end() || (request.type() != "get" && request.type() != "set")) {
        close(StreamError{StreamCondition::not_authorized});
        co_return;
    }
    hold();
    IqBeforeLogin iq{*worker_, weak_from_this(), request, payload, transport_->peer_address(), domain(), transport_->is_encrypted()};
    auto task = found->second.start(found->second.module, std::move(iq));
    const IqReply answer = co_await task;
    reply(request, answer);
    go_on();
}

// To a client that has no address yet.
void Stream::reply(const Stanza& request, const IqReply& answer) {
    xmpp::XmlWriter w;
    w.open("iq").attr("type", answer.error() ? "error" : "result").attr("id", request.id());
    w.raw(answer.error() ? answer.error()->xml() : answer.payload());
    send_xml(w.take());
}

}  // namespace server
