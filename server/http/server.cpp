// SPDX-License-Identifier: MIT
// Listening for HTTP, and the thread that all HTTP connections live on.
#include "server/http/server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "server/http/connection.h"
#include "server/http/proxies.h"
#include "server/http/service.h"
#include "server/log.h"
#include "server/net/listening.h"

namespace server::http {
namespace {

constexpr int accepts_in_one_turn = 64;
constexpr std::size_t most_connections = 4096;
constexpr std::chrono::milliseconds pause_without_descriptors{200};
constexpr std::chrono::seconds stop_patience{3};   // for requests that are being answered

std::string what(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception& error) {
        return error.what();
    }
}

}  // namespace

// After construction the HTTP thread alone touches it.
class HttpServer::State {
public:
    explicit State(Server& server) : loop{"http", server.clock()}, service{server, loop} {
        for (auto* const part : {registration_routes, invitation_routes, linking_routes, device_routes, export_routes, health_routes})
            for (Route& route : part()) routes.push_back(route);
        server.show_queue_of(loop);
    }
    ~State() {
        stop();
        service.server.hide_queue_of(loop);
    }

    std::optional<std::string> open(const std::vector<std::string>& wanted, bool tls, std::vector<std::string>& bound, net::Handover& left);
    void hand_over(net::Handover& next) const;
    void start() {
        thread = std::thread{[this] {
            for (const auto& listener : listeners) listener->start();
            loop.run();
        }};
    }

    Addresses addresses;

private:
    struct Listener final : net::Pollable {
        Listener(State& h, net::Descriptor s, std::string p, bool t) : home{h}, socket{std::move(s)}, purpose{std::move(p)}, tls{t} {}
        void start() { home.loop.add(socket.get(), EPOLLIN, *this); listening = true; }
        void stop() {
            pause.cancel();
            if (std::exchange(listening, false)) home.loop.remove(socket.get());
        }
        void on_ready(std::uint32_t events) override;

        State& home;
        net::Descriptor socket;
        std::string purpose;   // "http 127.0.0.1:5280"
        bool tls;
        bool listening = false;
        net::Timer pause;
    };

    void accept(int socket, const std::string& peer, bool tls);
    bool admit(const std::string& peer) const;
    void stop();
    void finish();

    net::Loop loop;
    Service service;
    Routes routes;
    std::vector<std::unique_ptr<Listener>> listeners;
    std::unordered_set<Connection*> connections;
    std::unordered_map<std::string, std::size_t> by_network;   // of clients: auth::network_of
    net::Timer stop_timer;
    std::thread thread;
    bool stopping = false;
};

std::optional<std::string> HttpServer::State::open(const std::vector<std::string>& wanted, bool tls, std::vector<std::string>& bound, net::Handover& left) {
    for (const std::string& address : wanted) {
        const std::string purpose = (tls ? "https " : "http ") + address;
        std::vector<net::Descriptor> sockets = left.take(purpose);
        if (sockets.empty()) {
            auto opened = net::listen_on(address);
            if (!opened) return opened.error();
            sockets.push_back(std::move(*opened));
        }
        bound.push_back(net::bound_address(sockets.front()));
        for (net::Descriptor& socket : sockets) listeners.push_back(std::make_unique<Listener>(*this, std::move(socket), purpose, tls));
    }
    return std::nullopt;
}

void HttpServer::State::hand_over(net::Handover& next) const {
    for (const auto& listener : listeners) next.add(listener->purpose, listener->socket);
}

void HttpServer::State::Listener::on_ready(std::uint32_t) {
    for (int i = 0; i < accepts_in_one_turn; ++i) {
        sockaddr_storage peer{};
        socklen_t length = sizeof peer;
        const int accepted = ::accept4(socket.get(), reinterpret_cast<sockaddr*>(&peer), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            home.accept(accepted, net::numeric(peer, length, false), tls);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log::warn("no room for more HTTP connections", {{"why", std::strerror(errno)}});
            stop();
            pause.start(home.loop, pause_without_descriptors, [this] { start(); });
        }
        return;
    }
}

// A trusted proxy brings many clients over one address.
bool HttpServer::State::admit(const std::string& peer) const {
    if (stopping || connections.size() >= most_connections) return false;
    const auto config = service.server.config();
    if (is_among(peer, config->http.trusted_proxies)) return true;
    const auto found = by_network.find(auth::network_of(peer));
    return found == by_network.end() || found->second < config->limits.logins_per_address;
}

void HttpServer::State::accept(int socket, const std::string& peer, bool tls) {
    if (!admit(peer)) {
        log::info("HTTP connection refused, too many", {{"address", peer}});
        ::close(socket);
        return;
    }
    const int one = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    auto connection = std::make_shared<Connection>(loop, service, routes, socket, peer, tls ? service.server.tls() : nullptr);
    connections.insert(connection.get());
    service.connections = connections.size();
    const std::string network = auth::network_of(peer);
    ++by_network[network];
    storage::detach(connection->serve(), [this, connection, network](const std::exception_ptr& exception) {
        if (exception) log::error("HTTP connection failed inside the server", {{"address", connection->peer()}, {"error", what(exception)}});
        connection->close();
        connections.erase(connection.get());
        service.connections = connections.size();
        if (const auto found = by_network.find(network); --found->second == 0) by_network.erase(found);
        if (stopping) finish();
    });
}

void HttpServer::State::stop() {
    if (!thread.joinable()) return;
    service.server.linking().stop_waiting();
    loop.post([this] {
        stopping = true;
        for (const auto& listener : listeners) listener->stop();
        for (Connection* connection : connections) connection->finish();
        stop_timer.start(loop, stop_patience, [this] {
            for (Connection* connection : connections) connection->close();
        });
        finish();
    });
    thread.join();
}

// Ends the loop when nothing is left that would come back to it.
void HttpServer::State::finish() {
    if (!connections.empty()) return;
    if (service.probing) {
        stop_timer.start(loop, std::chrono::milliseconds{10}, [this] { finish(); });
        return;
    }
    stop_timer.cancel();
    loop.post([this] { loop.stop(); });   // behind what was posted on the way here
}

xmpp::Result<std::unique_ptr<HttpServer>, std::string> HttpServer::start(Server& server, net::Handover& left) {
    auto state = std::make_unique<State>(server);
    const auto config = server.config();
    if (auto problem = state->open(config->http.listen, false, state->addresses.http, left)) return xmpp::Failure{*problem};
    if (auto problem = state->open(config->http.tls, true, state->addresses.https, left)) return xmpp::Failure{*problem};
    state->start();
    return std::unique_ptr<HttpServer>{new HttpServer{std::move(state)}};
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_{std::move(state)} {}
HttpServer::~HttpServer() = default;
void HttpServer::hand_over(net::Handover& next) const { state_->hand_over(next); }
const HttpServer::Addresses& HttpServer::addresses() const { return state_->addresses; }

}  // namespace server::http
