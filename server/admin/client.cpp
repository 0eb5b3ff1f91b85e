// SPDX-License-Identifier: MIT
// The client's end of the admin socket.
#include "server/admin/client.h"

#include <cerrno>
#include <cstring>

#include "auth/crypto.h"
#include "server/admin/unix_socket.h"

namespace server::admin {
namespace {

using Kind = Problem::Kind;

// One part of a file: far below the server's longest line even if every byte is escaped.
constexpr std::size_t part_lines = 500;
constexpr std::size_t part_bytes = 100'000;

Kind kind_of(std::string_view name) {
    for (const Kind kind : {Kind::bad_request, Kind::not_found, Kind::conflict, Kind::busy, Kind::unavailable})
        if (to_string(kind) == name) return kind;
    return Kind::internal;
}

// Adds what a further part brought: lists grow, numbers add up, the rest is as in the last part.
void add_up(Json& all, Json part) {
    if (!all.is_object() || !part.is_object()) {
        all = std::move(part);
        return;
    }
    for (auto& [name, value] : part.items()) {
        Json& known = all[name];
        if (known.is_array() && value.is_array())
            for (Json& item : value) known.push_back(std::move(item));
        else if (known.is_number_integer() && value.is_number_integer())
            known = known.get<std::int64_t>() + value.get<std::int64_t>();
        else
            known = std::move(value);
    }
}

Answer run_in_parts(Client& client, const Command& command, const Parameter& parameter, Json parameters, const std::function<void(std::size_t)>& progress) {
    const Json lines = std::move(parameters[std::string{parameter.name}]);
    Json all;
    std::size_t at = 0;
    do {
        Json part = Json::array();
        std::size_t bytes = 0;
        const std::size_t first = at;
        while (at < lines.size() && part.size() < part_lines && bytes < part_bytes) {
            bytes += lines[at].get_ref<const std::string&>().size();
            part.push_back(lines[at++]);
        }
        parameters[std::string{parameter.name}] = std::move(part);
        parameters["first_line"] = first + 1;
        Answer answer = client.ask(command.name, parameters);
        if (!answer && first > 0) return failure(answer.error().kind, "from line " + std::to_string(first + 1) + " on nothing was done: " + answer.error().text);
        if (!answer) return answer;
        add_up(all, std::move(*answer));
        progress(at);
    } while (at < lines.size());
    return all;
}

Answer run_page_by_page(Client& client, const Command& command, Json parameters) {
    Json all;
    for (;;) {
        Answer answer = client.ask(command.name, parameters);
        if (!answer) return answer;
        add_up(all, std::move(*answer));
        const auto next = all.find("next");
        if (next == all.end()) return all;
        parameters[std::string{command.pages}] = std::move(*next);
        all.erase(next);
    }
}

}  // namespace

struct Client::Connection {
    Descriptor descriptor;
    std::string input;

    bool send_all(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t count = send(descriptor.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
        return true;
    }

    std::optional<std::string> read_line() {
        for (std::size_t searched = 0;;) {
            if (const std::size_t end = input.find('\n', searched); end != std::string::npos) {
                std::string line = input.substr(0, end);
                input.erase(0, end + 1);
                return line;
            }
            searched = input.size();
            char buffer[65536];
            const ssize_t count = recv(descriptor.get(), buffer, sizeof buffer, 0);
            if (count < 0 && errno == EINTR) continue;
            if (count <= 0) return std::nullopt;
            input.append(buffer, static_cast<std::size_t>(count));
        }
    }
};

Client::Client(std::unique_ptr<Connection> connection) : connection_{std::move(connection)} {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

xmpp::Result<Client, std::string> Client::connect(const std::string& path) {
    const auto address = unix_address(path);
    if (!address) return xmpp::Failure{"the path " + path + " is too long for a socket; choose a shorter data directory"};
    auto connection = std::make_unique<Connection>();
    connection->descriptor = Descriptor{socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (connection->descriptor && connect_to(connection->descriptor.get(), *address) == 0) return Client{std::move(connection)};
    const int error = errno;
    if (error == EACCES || error == EPERM)
        return xmpp::Failure{"you may not use the server's socket " + path + "; run this as the user that the server runs as"};
    return xmpp::Failure{"no server answers at " + path + " (" + std::strerror(error) +
                         "); start one with \"tern serve\", or name its data directory with --data DIRECTORY"};
}

Answer Client::ask(std::string_view command, Json parameters) {
    const Json request{{"command", command}, {"parameters", std::move(parameters)}};
    std::string line = request.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    const bool sent = connection_->send_all(line);
    auth::wipe(line);
    const auto answer = sent ? connection_->read_line() : std::nullopt;
    if (!answer) return failure(Kind::unavailable, "the server closed the connection before it answered");
    Json reply = Json::parse(*answer, nullptr, false);
    if (reply.is_object() && reply.value("ok", false) && reply.contains("result")) return std::move(reply["result"]);
    if (!reply.is_object() || !reply.contains("error")) return failure(Kind::internal, "the server's answer cannot be read");
    const Json& error = reply["error"];
    return failure(kind_of(error.value("kind", "internal")), error.value("text", "unknown"));
}

Answer run_whole(Client& client, const Command& command, Json parameters, const std::function<void(std::size_t)>& progress) {
    for (const Parameter& parameter : command.parameters)
        if (parameter.type == Type::lines) return run_in_parts(client, command, parameter, std::move(parameters), progress);
    if (!command.pages.empty()) return run_page_by_page(client, command, std::move(parameters));
    return client.ask(command.name, std::move(parameters));
}

}  // namespace server::admin
