// SPDX-License-Identifier: MIT
#include "tests/clients/tcp_stage.h"

#include <algorithm>
#include <chrono>
#include <sstream>

#include "tests/clients/raw_socket.h"
#include "tests/support/accounts.h"
#include "tests/support/sms_file.h"

namespace tests {

namespace {

constexpr std::chrono::milliseconds patience{20'000};   // for something that must come
constexpr std::chrono::milliseconds moment{100};        // for something that must not, where no ping can tell

std::string domain_of(const Role& role) {
    const std::string bare = role.bare_jid();
    return bare.empty() ? "localhost" : bare.substr(bare.find('@') + 1);
}

// RFC 6121 §4.2: presence for nobody in particular.
bool makes_available(std::string_view bytes) {
    const std::size_t at = bytes.find("<presence");
    return at != std::string_view::npos && bytes.substr(at, bytes.find('>', at) - at).find(" to=") == std::string_view::npos;
}

}  // namespace

// ---- clients ---------------------------------------------------------------------------------------------------------

class TcpStage::Client final : public Actor {
public:
    Client(TcpStage& stage, Role role) : stage_{stage}, role_{std::move(role)} { stage_.clients_.push_back(this); }
    ~Client() override { std::erase(stage_.clients_, this); }

    void connect() override {
        if (!log_in()) throw Wrong{role_.name + " was not let in; the server's log:\n" + stage_.server_->log()};
    }
    bool is_refused() override {
        const bool let_in = log_in();
        client_.reset();
        return !let_in;
    }
    void disconnect() override {
        if (!client_ || !client_->disconnect()) throw Wrong{"the server did not end the stream of " + role_.name};
    }
    void lose_connection() override { if (client_) client_->lose_connection(); }
    void drop() { client_.reset(); }
    void send(std::string_view bytes) override {
        must().send(bytes);
        if (makes_available(bytes)) stage_.settle();   // what waited for it is read before the next step adds to it
    }
    std::optional<Event> next() override { return must().next(patience); }

    std::optional<Event> unexpected() override {
        stage_.settle();
        return must().next(std::chrono::milliseconds{0});
    }
    bool is_closed() override { return client_ && client_->wait_for_end(patience); }
    void start_tls() override { throw Wrong{"libstrophe starts TLS by itself"}; }
    void read_output(bool) override {}
    void forget() override {
        stage_.settle();
        must().forget();
    }
    std::string full_jid() const override { return client_ ? client_->full_jid() : ""; }

    // Asks for something that goes through worker and storage. Whether anything but the answer came; all of that stays.
    bool ask() {
        if (!client_ || !client_->is_connected()) return false;
        static int count = 0;
        const std::string id = "settle-" + std::to_string(++count);
        return client_->ask("<iq type='get' id='" + id + "'><query xmlns='jabber:iq:private'><none xmlns='settle'/></query></iq>", id, patience);
    }

private:
    bool log_in() {
        client_ = std::make_unique<StropheClient>(*stage_.loop_, role_.jid, role_.password);
        return client_->connect(stage_.server_->c2s().host, stage_.server_->c2s().port);
    }
    StropheClient& must() {
        if (!client_) throw Wrong{role_.name + " is not connected"};
        return *client_;
    }

    TcpStage& stage_;
    Role role_;
    std::unique_ptr<StropheClient> client_;
};

class TcpStage::Raw final : public Actor {
public:
    Raw(TcpStage& stage, Role role) : stage_{stage}, role_{std::move(role)} {}

    void connect() override {
        const auto& address = role_.is_direct_tls ? stage_.server_->direct_tls() : stage_.server_->c2s();
        reader_ = std::make_unique<StreamReader>();
        socket_ = std::make_unique<RawSocket>(address.host, address.port);
        if (role_.is_direct_tls) socket_->start_tls(domain_of(role_), "xmpp-client");
    }
    bool is_refused() override { throw Wrong{"a [Raw] role has no login"}; }
    void disconnect() override {
        send("</stream:stream>");
        if (!is_closed()) throw Wrong{"the server did not end the stream of " + role_.name};
    }
    void lose_connection() override { socket_.reset(); }
    void send(std::string_view bytes) override {
        if (!socket_) throw Wrong{role_.name + " is not connected"};
        if (bytes.find("<stream:stream") != std::string_view::npos) reader_->restart();
        socket_->send(bytes);
    }
    std::optional<Event> next() override {
        wait_for([this] { return !reader_->is_empty(); }, patience);
        return reader_->take();
    }
    std::optional<Event> unexpected() override {
        stage_.settle();
        wait_for([this] { return !reader_->is_empty(); }, moment);
        return reader_->take();
    }
    bool is_closed() override { return wait_for([] { return false; }, patience) || socket_->is_over(); }
    void start_tls() override { socket_->start_tls(domain_of(role_), {}); }
    void read_output(bool) override {}
    void forget() override {
        wait_for([this] { return !reader_->is_empty(); }, patience);
        wait_for([] { return false; }, moment);
        reader_->clear();
    }
    std::string full_jid() const override { return ""; }

private:
    bool wait_for(const std::function<bool()>& done, std::chrono::milliseconds wait) {
        if (!socket_) throw Wrong{role_.name + " is not connected"};
        const auto end = std::chrono::steady_clock::now() + wait;
        while (!done()) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
            if (left.count() <= 0 || socket_->is_over()) return false;
            const std::string bytes = socket_->receive(left);
            if (!reader_->feed(bytes)) throw Wrong{role_.name + " received no XML: " + reader_->problem()};
        }
        return true;
    }

    TcpStage& stage_;
    Role role_;
    std::unique_ptr<RawSocket> socket_;
    std::unique_ptr<StreamReader> reader_ = std::make_unique<StreamReader>();
};

// ---- the stage -------------------------------------------------------------------------------------------------------

TcpStage::TcpStage(std::string binary, StorageUrl storage_url) : binary_{std::move(binary)}, storage_url_{std::move(storage_url)} {}
TcpStage::~TcpStage() { close(); }

std::optional<std::string> TcpStage::reason_to_skip(const Scene& scene) const {
    if (!scene.only_in_process.empty()) return scene.only_in_process;
    if (scene.uses(Verb::wait)) return "the clock of a real server is not turned";
    if (scene.uses(Verb::stop_reading)) return "how much a socket takes is the kernel's";
    for (const Step& step : scene.steps) {
        if (step.text.find("${now") != std::string::npos) return "the time of a real server is not known to the second";
        const Role* const who = step.who.empty() ? nullptr : scene.role(step.who.front());
        const bool counts = step.text.find("urn:xmpp:sm:3") != std::string::npos;
        if (counts && who != nullptr && who->kind == Role::Kind::client) return "what clients are asked between the steps would be counted";
    }
    return std::nullopt;
}

void TcpStage::open(const Scene& scene) {
    environment_.clear();
    std::string domains;
    for (const std::string& domain : scene.domains()) domains.append(domains.empty() ? "" : ",").append(domain);
    const std::string url = storage_url_(directory_.path());
    environment_ = {{"TERN_DOMAINS", domains}, {"TERN_STORAGE_URL", url}, {"TERN_SMS_GATEWAY", "file"}, {"TERN_SMS_FILE", directory_.path() + "/sms.jsonl"}};
    for (const auto& [key, value] : scene.settings) {
        std::string variable = "TERN_" + key;
        for (char& c : variable) c = c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        environment_.emplace_back(variable, value);
    }
    {
        storage::Options options;
        options.url = url;
        auto opened = storage::open(options);
        if (!opened) throw Wrong{"storage: " + opened.error().text};
        make_accounts(**opened, scene, now());
    }
    loop_ = std::make_unique<StropheLoop>();
    try {
        server_ = std::make_unique<TernProcess>(binary_, directory_.path(), environment_);
    } catch (const std::runtime_error& error) {
        throw Wrong{error.what()};
    }
}

std::unique_ptr<Actor> TcpStage::actor(const Role& role) {
    if (role.kind == Role::Kind::raw) return std::make_unique<Raw>(*this, role);
    return std::make_unique<Client>(*this, role);
}

void TcpStage::pass(std::chrono::seconds) { throw Wrong{"time cannot be made to pass"}; }

void TcpStage::restart() {
    for (Client* const client : clients_) client->drop();
    server_->stop();
    server_ = std::make_unique<TernProcess>(binary_, directory_.path(), environment_);
}

xmpp::Time TcpStage::now() const { return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()); }

std::string TcpStage::pin_sent_to(const std::string& number) { return pin_in_sms_file(directory_.path() + "/sms.jsonl", number); }

// An answer means that what its sender sent before has been dealt with on its worker, and that what other workers owed
// it has arrived. What a stanza sets off may go through storage several times, as the question does once: so until
// storage has nothing to do and nothing new has come for some rounds.
void TcpStage::settle() {
    constexpr int quiet_rounds = 3;
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (int quiet = 0; quiet < quiet_rounds; ++quiet) {
        for (Client* const client : clients_)
            if (client->ask()) quiet = -1;
        if (is_storage_busy() && std::chrono::steady_clock::now() < deadline) quiet = -1;
    }
}

// As the server's metrics have it.
bool TcpStage::is_storage_busy() const {
    RawSocket socket{server_->http().host, server_->http().port};
    socket.send("GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    std::string answer;
    while (!socket.is_over()) answer += socket.receive(patience);
    std::istringstream lines{answer};
    for (std::string line; std::getline(lines, line);) {
        const bool is_of_storage = line.starts_with("tern_queue_depth{queue=\"sql") || line.starts_with("tern_queue_depth{queue=\"log commits");
        if (is_of_storage && !line.ends_with(" 0")) return true;
    }
    return false;
}

void TcpStage::close() {
    for (Client* const client : clients_) client->drop();
    if (server_) {
        server_->stop();
        errors_ = server_->logged_errors();
        server_.reset();
    }
    loop_.reset();
}

std::vector<std::string> TcpStage::logged_errors() { return errors_; }

}  // namespace tests
