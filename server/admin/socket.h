// SPDX-License-Identifier: MIT
// The admin socket: a Unix socket in the data directory that its owner alone may open. One JSON object a line each way:
//   {"command": "account show", "parameters": {"jid": "romeo@example.org"}}
//   {"ok": true, "result": {…}}   or   {"ok": false, "error": {"kind": "not-found", "text": "…"}}
// It lives on the first worker's loop; a request is answered before the connection's next one is read.
#pragma once

#include <memory>
#include <string>

#include "server/admin/commands.h"
#include "xmpp/result.h"

namespace server::admin {

inline constexpr std::string_view socket_name = "tern.sock";
std::string socket_path(const std::string& data_directory);

// Whether somebody accepts connections there. A file without anybody behind it was left by a server that was killed.
bool somebody_answers(const std::string& path);

class AdminSocket {
public:
    // Any thread, after Server::start(). The problem is a sentence. A file that nobody answers behind is replaced.
    static xmpp::Result<std::unique_ptr<AdminSocket>, std::string> open(Context context, std::string path);
    // Ends what is open, waits for what runs, removes the file. Before Server::stop(), not on a worker's thread.
    ~AdminSocket();

    class State;   // socket.cpp's own

private:
    explicit AdminSocket(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

}  // namespace server::admin
