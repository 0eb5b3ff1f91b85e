// SPDX-License-Identifier: MIT
// The server's end of the admin socket. Non-blocking on the worker's loop: a client that is slow to write or to read
// waits for nobody but itself, and not for ever.
#include "server/admin/socket.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <future>
#include <unordered_map>

#include <sys/epoll.h>
#include <sys/stat.h>

#include "auth/crypto.h"
#include "server/admin/unix_socket.h"
#include "server/log.h"
#include "server/net/loop.h"
#include "server/server.h"

namespace server::admin {
namespace {

constexpr std::size_t longest_line = 1u << 20;
constexpr std::size_t most_connections = 32;
constexpr auto patience = std::chrono::seconds{60};      // for a request to come, or an answer to be taken
constexpr auto last_patience = std::chrono::seconds{5};  // at stop, for what runs

std::string answer_line(const Answer& answer) {
    Json line;
    if (answer) line = {{"ok", true}, {"result", *answer}};
    else line = {{"ok", false}, {"error", {{"kind", to_string(answer.error().kind)}, {"text", answer.error().text}}}};
    return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string text_of(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception& error) {
        return error.what();
    }
}

std::string system_error() { return std::strerror(errno); }

}  // namespace

// Everything but construction happens on the loop's thread.
class AdminSocket::State final : public std::enable_shared_from_this<State>, public net::Pollable {
public:
    State(Context c, std::string p, Descriptor l) : context{std::move(c)}, path{std::move(p)}, listener{std::move(l)} {}

    net::Loop& loop() { return context.server.workers().front()->loop; }
    void begin() { loop().add(listener.get(), EPOLLIN, *this); }
    void on_ready(std::uint32_t events) override;
    void end(std::shared_ptr<std::promise<void>> done);
    void end_if_idle();

    class Client;
    void forget(Client& client);

    Context context;
    std::string path;
    Descriptor listener;
    std::unordered_map<Client*, std::shared_ptr<Client>> clients;
    std::size_t running = 0;                         // commands
    std::shared_ptr<std::promise<void>> ending;
    net::Timer end_timer;
};

class AdminSocket::State::Client final : public std::enable_shared_from_this<Client>, public net::Pollable {
public:
    Client(State& state, Descriptor descriptor) : state_{state}, descriptor_{std::move(descriptor)} {}

    void begin() {
        state_.loop().add(descriptor_.get(), EPOLLIN, *this);
        be_patient();
    }
    void on_ready(std::uint32_t events) override;
    void close();

private:
    void read();
    bool take_line();
    void start(Json request);
    void answer(const Answer& answer);
    void write();
    void listen_for(std::uint32_t events) { state_.loop().change(descriptor_.get(), events, *this); }
    void be_patient() { timer_.start(state_.loop(), patience, [this] { close(); }); }

    State& state_;                 // outlives every client: who runs a command holds it
    Descriptor descriptor_;
    std::string input_, output_;
    std::size_t written_ = 0;
    bool busy_ = false;            // a command runs, or its answer is being written
    bool closed_ = false;
    bool is_last_ = false;         // close when the answer is out
    net::Timer timer_;
};

void AdminSocket::State::on_ready(std::uint32_t) {
    for (;;) {
        Descriptor accepted{accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (!accepted) {
            if (errno == EINTR || errno == ECONNABORTED) continue;
            if (errno != EAGAIN && errno != EWOULDBLOCK) {
                // Out of descriptors: whoever waits would wake the loop for ever.
                log::warn("admin socket cannot accept", {{"error", system_error()}});
                loop().remove(listener.get());
                end_timer.start(loop(), std::chrono::seconds{1}, [this] { loop().add(listener.get(), EPOLLIN, *this); });
            }
            return;
        }
        if (clients.size() >= most_connections) continue;  // closed at once
        auto client = std::make_shared<Client>(*this, std::move(accepted));
        clients.emplace(client.get(), client);
        client->begin();
    }
}

void AdminSocket::State::forget(Client& client) {
    // Its function is still on the stack: it goes at the next turn.
    const auto found = clients.find(&client);
    if (found == clients.end()) return;
    loop().post([keep = std::move(found->second)] {});
    clients.erase(found);
}

void AdminSocket::State::end(std::shared_ptr<std::promise<void>> done) {
    ending = std::move(done);
    if (!end_timer.is_running()) loop().remove(listener.get());
    end_timer.start(loop(), last_patience, [this] { running = 0; end_if_idle(); });
    while (!clients.empty()) clients.begin()->second->close();
    end_if_idle();
}

void AdminSocket::State::end_if_idle() {
    if (!ending || running > 0) return;
    end_timer.cancel();
    // Behind what was posted for clients that have gone.
    loop().post([done = std::exchange(ending, nullptr)] { done->set_value(); });
}

void AdminSocket::State::Client::on_ready(std::uint32_t events) {
    const auto keep = shared_from_this();
    if (events & (EPOLLHUP | EPOLLERR) && busy_) return close();   // nobody is there to take the answer
    if (events & EPOLLOUT) write();
    if (!closed_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) read();
}

void AdminSocket::State::Client::close() {
    if (std::exchange(closed_, true)) return;
    timer_.cancel();
    state_.loop().remove(descriptor_.get());
    descriptor_ = Descriptor{};
    auth::wipe(input_);
    state_.forget(*this);
}

// Takes a request and goes on only when it has been answered; what follows it waits in input_ or in the socket.
void AdminSocket::State::Client::read() {
    std::array<char, 65536> buffer;
    while (!closed_ && !busy_) {
        if (take_line()) continue;
        const ssize_t count = recv(descriptor_.get(), buffer.data(), buffer.size(), 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (count <= 0) return close();
        input_.append(buffer.data(), static_cast<std::size_t>(count));
    }
    if (!closed_) listen_for(output_.empty() ? 0 : static_cast<std::uint32_t>(EPOLLOUT));
}

bool AdminSocket::State::Client::take_line() {
    const std::size_t end = input_.find('\n');
    if (end == std::string::npos && input_.size() <= longest_line) return false;
    busy_ = true;
    timer_.cancel();
    if (end == std::string::npos || end > longest_line) {
        is_last_ = true;
        answer(failure(Problem::Kind::bad_request, "the request is longer than " + std::to_string(longest_line) + " bytes"));
        return true;
    }
    std::string line = input_.substr(0, end);
    input_.erase(0, end + 1);
    Json request = Json::parse(line, nullptr, false);
    auth::wipe(line);
    if (request.is_object() && request.contains("command") && request["command"].is_string()) start(std::move(request));
    else answer(failure(Problem::Kind::bad_request, "a request is one line: {\"command\": …, \"parameters\": {…}}"));
    return true;
}

void AdminSocket::State::Client::start(Json request) {
    const std::string& name = request["command"].get_ref<const std::string&>();
    const Command* command = find_command(name);
    if (!command) return answer(failure(Problem::Kind::not_found, "this server knows no command \"" + name + "\""));
    Json parameters = request.contains("parameters") ? std::move(request["parameters"]) : Json::object();
    ++state_.running;
    // The coroutine keeps the client and the state until it is done, even when the client has gone.
    auto working = [](std::shared_ptr<State> state, std::shared_ptr<Client> client, const Command* what, Json values) -> storage::Task<void> {
        auto running = run(state->context, *what, std::move(values));
        const Answer result = co_await running;
        client->answer(result);
    };
    storage::detach(working(state_.shared_from_this(), shared_from_this(), command, std::move(parameters)),
                    [state = state_.shared_from_this(), client = shared_from_this(), command](const std::exception_ptr& exception) {
                        if (exception) {
                            log::error("admin command failed", {{"command", command->name}, {"error", text_of(exception)}});
                            client->answer(failure(Problem::Kind::internal, "the command failed inside the server"));
                        }
                        if (state->running > 0) --state->running;
                        state->end_if_idle();
                    });
}

void AdminSocket::State::Client::answer(const Answer& answer) {
    if (closed_) return;
    output_ = answer_line(answer);
    written_ = 0;
    be_patient();
    write();
}

void AdminSocket::State::Client::write() {
    while (!closed_ && written_ < output_.size()) {
        const ssize_t count = send(descriptor_.get(), output_.data() + written_, output_.size() - written_, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return listen_for(EPOLLOUT);
        if (count < 0) return close();
        written_ += static_cast<std::size_t>(count);
        be_patient();
    }
    if (closed_ || output_.empty()) return;
    if (is_last_) return close();
    output_.clear();
    output_.shrink_to_fit();
    busy_ = false;
    listen_for(EPOLLIN);
    // The next request may be here already; it is not taken from within this one's answer, so that they do not nest.
    if (!input_.empty()) state_.loop().post([keep = shared_from_this()] { keep->read(); });
}

std::string socket_path(const std::string& data_directory) { return data_directory + "/" + std::string{socket_name}; }

bool somebody_answers(const std::string& path) {
    const auto address = unix_address(path);
    const Descriptor descriptor{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    return address && descriptor && connect_to(descriptor.get(), *address) == 0;
}

xmpp::Result<std::unique_ptr<AdminSocket>, std::string> AdminSocket::open(Context context, std::string path) {
    const auto address = unix_address(path);
    if (!address) return xmpp::Failure{"admin socket: the path " + path + " is too long; choose a shorter data directory"};
    if (somebody_answers(path)) return xmpp::Failure{"admin socket: another server answers at " + path};
    Descriptor listener{socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    struct stat found {};
    if (lstat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) unlink(path.c_str());
    // Nobody can connect before listen(), so nobody gets in before the mode is set.
    const bool is_open = listener && bind(listener.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0 &&
                         chmod(path.c_str(), 0600) == 0 && listen(listener.get(), 64) == 0;
    if (!is_open) return xmpp::Failure{"admin socket: cannot listen at " + path + ": " + system_error()};
    auto state = std::make_shared<State>(std::move(context), std::move(path), std::move(listener));
    state->loop().post([state] { state->begin(); });
    return std::unique_ptr<AdminSocket>{new AdminSocket{std::move(state)}};
}

AdminSocket::AdminSocket(std::shared_ptr<State> state) : state_{std::move(state)} {}

AdminSocket::~AdminSocket() {
    auto done = std::make_shared<std::promise<void>>();
    auto ended = done->get_future();
    state_->loop().post([state = state_, done] { state->end(done); });
    ended.wait();
    unlink(state_->path.c_str());
}

}  // namespace server::admin
