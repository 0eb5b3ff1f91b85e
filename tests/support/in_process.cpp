// SPDX-License-Identifier: MIT
#include "tests/support/in_process.h"

#include <algorithm>
#include <mutex>

#include "server/log.h"
#include "tests/support/accounts.h"
#include "tests/support/borrowed_storage.h"
#include "tests/support/memory_transport.h"
#include "tests/support/scram_client.h"
#include "tests/support/sms_file.h"
#include "xmpp/base64.h"

namespace tests {

namespace {

constexpr std::string_view sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
constexpr std::string_view bind_ns = "urn:ietf:params:xml:ns:xmpp-bind";

// log::watch takes a plain function: what it hears is kept here.
std::mutex log_mutex;
std::vector<std::string> log_lines;

void on_log_line(server::log::Level level, std::string_view line) {
    if (level != server::log::Level::error) return;
    const std::lock_guard lock{log_mutex};
    log_lines.emplace_back(line);
}

}  // namespace

server::Config config_of(const std::vector<std::string>& domains, const std::string& data,
                         const std::vector<std::pair<std::string, std::string>>& settings) {
    server::Environment environment;
    std::string list;
    for (const std::string& domain : domains) list.append(list.empty() ? "" : ",").append(domain);
    environment["TERN_DOMAINS"] = list;
    environment["TERN_DATA"] = data;
    environment["TERN_SMS_GATEWAY"] = "file";
    environment["TERN_SMS_FILE"] = data + "/sms.jsonl";
    for (const auto& [key, value] : settings) {
        std::string variable = "TERN_" + key;
        for (char& c : variable) c = c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        environment[variable] = value;
    }
    auto config = server::read_config(std::nullopt, environment);
    if (config) return std::move(*config);
    std::string problems = "[Server]:";
    for (const auto& problem : config.error()) problems.append(" ").append(problem.text);
    throw Wrong{problems};
}

// ---- one of the cast -------------------------------------------------------------------------------------------------

class InProcess::Client final : public Actor {
public:
    Client(InProcess& stage, Role role) : stage_{stage}, role_{std::move(role)} { stage_.clients_.push_back(this); }
    ~Client() override {
        drop();
        std::erase(stage_.clients_, this);
    }

    void connect() override {
        open();
        if (role_.kind == Role::Kind::raw) return;
        if (auto failure = log_in()) throw Wrong{role_.name + " was not let in: " + *failure};
        bind();
    }

    bool is_refused() override {
        open();
        const auto failure = log_in();
        drop();
        return failure.has_value();
    }

    void disconnect() override {
        if (!transport_) throw Wrong{role_.name + " is not connected"};
        transport_->type("</stream:stream>");
        if (!transport_->is_over()) throw Wrong{"the server did not end the stream of " + role_.name};
        full_jid_.clear();
    }
    void lose_connection() override {
        if (transport_) transport_->lose();
    }
    // Quietly: the scene is over, or the server goes away.
    void drop() {
        if (transport_ && !transport_->is_over() && stage_.server_) transport_->lose();
        transport_.reset();
    }

    void send(std::string_view bytes) override {
        if (!transport_) throw Wrong{role_.name + " is not connected"};
        // A new stream (RFC 6120 §4.3.3) is answered by a new one; what came before belongs to the old.
        if (role_.kind == Role::Kind::raw && bytes.find("<stream:stream") != std::string_view::npos) transport_->reader().restart();
        transport_->type(bytes);
    }

    std::optional<Event> next() override {
        if (!transport_) throw Wrong{role_.name + " is not connected"};
        auto event = transport_->reader().take();
        if (!event && !transport_->reader().problem().empty()) throw Wrong{role_.name + " received no XML: " + transport_->reader().problem()};
        return event;
    }
    std::optional<Event> unexpected() override { return next(); }
    bool is_closed() override { return transport_ && transport_->is_over(); }
    void start_tls() override {
        if (!transport_ || !transport_->wants_tls()) throw Wrong{"the server has not proceeded to TLS"};
        transport_->secure();
    }
    void read_output(bool does) override { if (transport_) transport_->read_output(does); }
    void forget() override { if (transport_) transport_->reader().clear(); }
    std::string full_jid() const override { return full_jid_; }

private:
    void open() {
        drop();
        const bool encrypted = role_.kind == Role::Kind::client || role_.is_direct_tls;
        transport_ = std::make_shared<MemoryTransport>(stage_.next_worker(), encrypted, [stage = &stage_] { stage->settle(); });
        transport_->open();
    }

    std::string domain() const { return role_.bare_jid().substr(role_.jid.find('@') + 1); }

    // Opens a stream; its features.
    Node begin_stream() {
        transport_->reader().restart();
        transport_->type("<?xml version='1.0'?><stream:stream to='" + domain() + "' version='1.0' xmlns='jabber:client' xmlns:stream='" +
                         std::string{ns::streams} + "'>");
        const Event header = expect("a stream header");
        if (header.kind != Event::Kind::header) throw Wrong{"expected a stream header, got:\n" + indented(header)};
        Event features = expect("stream features");
        if (features.node.name != "features") throw Wrong{"expected stream features, got:\n" + indented(features)};
        return std::move(features.node);
    }

    Event expect(std::string_view what) {
        auto event = next();
        if (!event) throw Wrong{role_.name + " received nothing instead of " + std::string{what}};
        return std::move(*event);
    }

    // Why it failed; nullopt when logged in.
    std::optional<std::string> log_in() {
        const Node features = begin_stream();
        if (features.child("mechanisms", sasl) == nullptr) throw Wrong{"no mechanisms are offered:\n" + indented(features)};
        ScramClient scram{role_.jid.substr(0, role_.jid.find('@')), role_.password};
        transport_->type("<auth xmlns='" + std::string{sasl} + "' mechanism='SCRAM-SHA-256'>" + xmpp::base64(scram.first()) + "</auth>");
        Event challenge = expect("a SASL challenge");
        if (challenge.node.name != "challenge") return indented(challenge);
        const auto answer = scram.final(xmpp::parse_base64(trimmed(challenge.node.text)).value_or(""));
        if (!answer) throw Wrong{"not a SCRAM message:\n" + indented(challenge)};
        transport_->type("<response xmlns='" + std::string{sasl} + "'>" + xmpp::base64(*answer) + "</response>");
        Event success = expect("the outcome of SASL");
        if (success.node.name != "success") return indented(success);
        if (!scram.accepts(xmpp::parse_base64(trimmed(success.node.text)).value_or(""))) throw Wrong{"the server does not know the password"};
        return std::nullopt;
    }

    void bind() {
        begin_stream();
        const std::string resource = role_.resource().empty() ? "" : "<resource>" + escaped(role_.resource()) + "</resource>";
        transport_->type("<iq type='set' id='bind'><bind xmlns='" + std::string{bind_ns} + "'>" + resource + "</bind></iq>");
        const Event result = expect("the result of binding");
        const Node* bound = result.node.child("bind", bind_ns);
        const Node* jid = bound == nullptr ? nullptr : bound->child("jid", bind_ns);
        if (result.node.attr_or_empty("type") != "result" || jid == nullptr) throw Wrong{"no resource was bound:\n" + indented(result)};
        full_jid_ = trimmed(jid->text);
    }

    InProcess& stage_;
    Role role_;
    std::shared_ptr<MemoryTransport> transport_;
    std::string full_jid_;
};

// ---- the stage -------------------------------------------------------------------------------------------------------

InProcess::InProcess(unsigned workers) : workers_{workers} {}
InProcess::~InProcess() { close(); }

std::optional<std::string> InProcess::reason_to_skip(const Scene&) const { return std::nullopt; }

void InProcess::open(const Scene& scene) {
    {
        const std::lock_guard lock{log_mutex};
        log_lines.clear();
    }
    server::log::watch(on_log_line);
    config_ = config_of(scene.domains(), directory_.path(), scene.settings);
    server::Config::Logging quiet = config_.log;
    quiet.level = "error";
    quiet.file = directory_.path() + "/log";
    server::log::open(quiet);

    storage::Options options;
    options.url = "sqlite::memory:";
    options.run_inline = true;
    auto opened = storage::open(options);
    if (!opened) throw Wrong{"storage: " + opened.error().text};
    storage_ = std::move(*opened);
    make_accounts(*storage_, scene, now());
    start();
}

void InProcess::start() {
    server_ = std::make_unique<server::Server>(config_, std::make_unique<BorrowedStorage>(storage_), clock_, workers_);
    const auto prepared = wait_for(server_->prepare());
    if (!prepared) throw Wrong{"the server was not prepared: " + prepared.error().text};
    server_->restore_sessions();
}

void InProcess::settle() { server_->settle(); }

server::Worker& InProcess::next_worker() {
    const auto& workers = server_->workers();
    return *workers[accepted_++ % workers.size()];
}

std::unique_ptr<Actor> InProcess::actor(const Role& role) { return std::make_unique<Client>(*this, role); }

// Turns the clock from timer to timer, so that each fires at its own time.
void InProcess::pass(std::chrono::seconds time) {
    auto left = std::chrono::duration_cast<server::net::Duration>(time);
    while (true) {
        auto step = left;
        for (const auto& worker : server_->workers()) step = std::min(step, std::max(worker->loop.until_next_timer(), server::net::Duration{1}));
        clock_.advance(step);
        settle();
        left -= step;
        if (left <= server::net::Duration::zero()) return;
    }
}

void InProcess::restart() {
    for (Client* const client : clients_) client->drop();
    server_->stop();
    server_.reset();
    start();
}

std::string InProcess::pin_sent_to(const std::string& number) { return pin_in_sms_file(config_.sms.file, number); }

void InProcess::close() {
    if (server_) {
        for (Client* const client : clients_) client->drop();
        server_->stop();
        server_.reset();
    }
    storage_.reset();
    server::log::watch(nullptr);
}

std::vector<std::string> InProcess::logged_errors() {
    const std::lock_guard lock{log_mutex};
    return log_lines;
}

}  // namespace tests
