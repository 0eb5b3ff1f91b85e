// SPDX-License-Identifier: MIT
// The client's end of the admin socket, for the command line: sends one command, in parts where a file or a long list
// needs it, and shows what came back.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>

#include "server/admin/commands.h"

namespace server::admin {

// Blocking; one request after the other.
class Client {
public:
    // The problem says which path was tried and what to do.
    static xmpp::Result<Client, std::string> connect(const std::string& path);
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;
    ~Client();

    Answer ask(std::string_view command, Json parameters);

private:
    struct Connection;
    explicit Client(std::unique_ptr<Connection> connection);
    std::unique_ptr<Connection> connection_;
};

// As often as needed: `lines` parameters are sent in parts, lists with a next page are fetched to their end. `progress`
// hears of each part (lines sent so far).
Answer run_whole(Client& client, const Command& command, Json parameters, const std::function<void(std::size_t)>& progress);

// Objects as "name: value", lists of objects as tables; "message" alone as a sentence.
void print_readable(std::ostream& out, const Json& result);

}  // namespace server::admin
