// SPDX-License-Identifier: MIT
// A client's connection over a socket pair, turn by turn: what comes at the same moment, and what waits for its time.
#include <fcntl.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>

#include "server/connection.h"
#include "server/net/descriptor.h"
#include "server/server.h"
#include "tests/support/accounts.h"
#include "tests/support/temporary_directory.h"

namespace {

using namespace std::chrono_literals;

// A server of one worker without threads; the clock stands still.
class Host {
public:
    explicit Host(const std::function<void(server::Config&)>& adjust) {
        server::Config config;
        config.data = directory_.path();
        config.c2s.require_tls = false;
        adjust(config);
        storage::Options options;
        options.url = "sqlite::memory:";
        options.run_inline = true;
        auto opened = storage::open(options);
        REQUIRE(opened.ok());
        server_ = std::make_unique<server::Server>(config, std::move(*opened), clock_, 1);
        REQUIRE(tests::wait_for(server_->prepare()).ok());
        server_->reload(config);   // makes a certificate, and loads it
        REQUIRE(server_->tls());
    }
    // Takes over the socket.
    server::Connection& take(int socket, bool direct_tls) {
        REQUIRE(server_->admit("127.0.0.1"));
        auto connection = std::make_unique<server::Connection>(worker(), socket, "127.0.0.1", direct_tls);
        server::Connection& here = *connection;
        worker().adopt(std::move(connection));
        here.start();
        settle();
        return here;
    }
    server::Server& server() { return *server_; }
    server::Worker& worker() { return *server_->workers().front(); }
    void turn() { worker().loop.turn(server::net::Duration::zero()); }
    void settle() { server_->settle(); }
    void pass(std::chrono::seconds time) {
        clock_.advance(time);
        settle();
    }

private:
    tests::TemporaryDirectory directory_;
    server::net::ManualClock clock_;
    std::unique_ptr<server::Server> server_;
};

// The other end, which speaks TLS into memory: when its bytes go out is the test's to say.
class Client {
public:
    Client() : context_{SSL_CTX_new(TLS_client_method()), SSL_CTX_free}, ssl_{SSL_new(context_.get()), SSL_free} {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
        socket_ = server::net::Descriptor{ends[0]};
        servers_end = ends[1];
        const int small = 16'384;   // room for <proceed/> and the handshake's first words, but soon full
        ::setsockopt(servers_end, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        in_ = BIO_new(BIO_s_mem());
        out_ = BIO_new(BIO_s_mem());
        SSL_set_bio(ssl_.get(), in_, out_);
        SSL_set_connect_state(ssl_.get());
    }
    void send(std::string_view bytes) const { REQUIRE(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size())); }
    std::string receive() const {
        std::string all;
        std::array<char, 65536> some;
        for (ssize_t count = 0; (count = ::recv(socket_.get(), some.data(), some.size(), 0)) > 0;) all.append(some.data(), static_cast<std::size_t>(count));
        return all;
    }
    // One step of the handshake: what was received goes in, what is to be sent goes out. True: it is done.
    bool shake(const std::string& received = {}) {
        if (!received.empty()) BIO_write(in_, received.data(), static_cast<int>(received.size()));
        const bool is_done = SSL_do_handshake(ssl_.get()) == 1;
        send_records();
        return is_done;
    }
    void write(const std::string& text) {
        REQUIRE(SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) == static_cast<int>(text.size()));
        send_records();
    }
    std::string read() {
        const std::string received = receive();
        if (!received.empty()) BIO_write(in_, received.data(), static_cast<int>(received.size()));
        std::string text;
        std::array<char, 65536> some;
        for (int count = 0; (count = SSL_read(ssl_.get(), some.data(), some.size())) > 0;) text.append(some.data(), static_cast<std::size_t>(count));
        return text;
    }
    int servers_end = -1;

private:
    void send_records() const {
        std::array<char, 65536> some;
        for (int count = 0; (count = BIO_read(out_, some.data(), some.size())) > 0;) send({some.data(), static_cast<std::size_t>(count)});
    }

    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
    BIO* in_ = nullptr;
    BIO* out_ = nullptr;
    server::net::Descriptor socket_;
};

constexpr std::string_view header = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>";

// Over direct TLS.
void open_stream(Host& host, Client& client) {
    host.take(client.servers_end, true);
    bool is_done = client.shake();
    for (int i = 0; i < 20 && !is_done; ++i) {
        host.settle();
        is_done = client.shake(client.receive());
    }
    REQUIRE(is_done);
    client.write(std::string{header});
    host.settle();
}

}  // namespace

TEST_CASE("a handshake begins in the turn in which <proceed/> gets out and the client's first words are there") {
    Host host{[](server::Config&) {}};
    Client client;
    const server::Connection& connection = host.take(client.servers_end, false);
    client.send(header);
    host.settle();
    // Until the socket takes no more: then <proceed/> has to wait.
    for (int i = 0; i < 200 && connection.unsent() == 0; ++i) {
        client.send("<iq type='get' id='" + std::string(100, 'x') + "'><query xmlns='jabber:iq:register'/></iq>");
        host.settle();
    }
    client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    host.settle();
    REQUIRE(connection.unsent() > 0);
    const std::string before = client.receive();   // now the socket takes what it had to keep back …
    REQUIRE(before.find("<proceed") == std::string::npos);
    client.shake();                                // … and something to read is there as well
    std::string received;
    for (int i = 0; i < 20 && received.find("<proceed") == std::string::npos; ++i) {
        host.turn();
        received += client.receive();
    }
    const std::size_t end = received.find('>', received.find("<proceed"));
    REQUIRE(end != std::string::npos);
    received.erase(0, end + 1);
    bool is_done = false;
    for (int i = 0; i < 20 && !is_done; ++i) {
        is_done = client.shake(received);
        host.settle();
        received = client.receive();
    }
    REQUIRE(is_done);
    client.write(std::string{header});
    host.settle();
    CHECK(client.read().find("<stream:features") != std::string::npos);
}

TEST_CASE("who registers has more time with each step, but no stream stays for ever without a login") {
    Host host{[](server::Config& config) { config.registration.pin_lifetime = 10min; }};
    auth::Invitations::Wanted wanted;
    wanted.address = *xmpp::Jid::parse("localhost");
    wanted.registers = true;
    const auto link = tests::wait_for(host.server().invitations().invite(std::move(wanted)));
    REQUIRE(link);
    Client client;
    host.take(client.servers_end, false);
    client.send(header);
    const auto ask = [&](const std::string& iq) {
        client.send(iq);
        host.settle();
        return client.receive();
    };
    const std::string show = "<iq type='set' id='s'><preauth xmlns='urn:xmpp:pars:0' token='" + link->token + "'/></iq>";
    CHECK(ask(show).ends_with("<iq type='result' id='s'/>"));
    for (int i = 0; i < 3; ++i) {
        host.pass(9min);
        CHECK(ask(show) == "<iq type='result' id='s'/>");
    }
    host.pass(2min);   // all in all, three times what a step has
    CHECK(ask("<iq type='get' id='g'><query xmlns='jabber:iq:register'/></iq>").starts_with("<iq type='result' id='g'>"));
    host.pass(61s);
    CHECK(client.receive().find("<connection-timeout") != std::string::npos);
}

TEST_CASE("who sends too much over TLS is read no further until its time has come") {
    Host host{[](server::Config& config) {
        config.limits.bytes_per_second = 1000;
        config.limits.burst_bytes = 2000;
    }};
    Client client;
    open_stream(host, client);
    const auto bytes = [&] { return host.worker().counters.bytes_received; };
    const auto before = bytes();
    for (int i = 0; i < 10; ++i) client.write(std::string(1000, ' '));   // a record each
    host.settle();
    CHECK(bytes() - before <= 3000);
    host.pass(2s);
    CHECK(bytes() - before <= 5000);
    CHECK(bytes() - before > 1000);
    for (int i = 0; i < 20; ++i) host.pass(1s);
    CHECK(bytes() - before == 10'000);
}

TEST_CASE("who sends much over TLS has no more than a buffer of it read in a turn") {
    Host host{[](server::Config&) {}};
    Client client;
    open_stream(host, client);
    const auto bytes = [&] { return host.worker().counters.bytes_received; };
    const auto before = bytes();
    const std::size_t record = 16'000, records = 10;
    for (std::size_t i = 0; i < records; ++i) client.write(std::string(record, ' '));
    const std::size_t in_a_turn = host.worker().read_buffer.size() + record;
    std::size_t read = 0;
    for (int turns = 0; turns < 20 && read < record * records; ++turns) {
        host.turn();
        CHECK(bytes() - before - read <= in_a_turn);
        read = bytes() - before;
    }
    CHECK(read == record * records);
}
