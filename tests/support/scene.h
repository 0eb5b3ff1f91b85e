// SPDX-License-Identifier: MIT
// A scene: who takes part, and what each sends and receives, line by line. The grammar is that of scansion's scripts with
// a few verbs more (virtual time, lost connections, restarts, bare streams); README.md in tests/scenes has it all.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "xmpp/result.h"

namespace tests {

struct Role {  // one of the cast
    enum class Kind { client, raw };
    Kind kind = Kind::client;
    std::string name, jid, password, device, phone;
    bool has_account = true;      // made before the scene
    bool is_disabled = false;     // by an admin, before the scene
    bool is_partial = false;      // imported with a verifier of SHA-1 alone
    bool is_direct_tls = false;   // Raw: encrypted from the first byte
    int line = 0;

    std::string bare_jid() const { return jid.substr(0, jid.find('/')); }
    std::string resource() const { return jid.find('/') == std::string::npos ? "" : jid.substr(jid.find('/') + 1); }
};

enum class Verb {
    connect, disconnect, lose_connection, fail_to_log_in,
    send, send_byte_by_byte, receive, receive_nothing, forget,
    stream_is_closed, start_tls, stop_reading, read_again,
    wait, restart,
};

struct Step {
    Verb verb{};
    std::vector<std::string> who;         // names of the cast; empty: the whole server
    std::string text;                     // the indented block
    std::chrono::seconds duration{};
    std::string source;                   // the line as it stands in the file
    int line = 0;
};

struct Scene {
    std::string file, title;
    std::vector<std::pair<std::string, std::string>> settings;   // [Server]: key, value
    std::vector<std::string> expected_log;                       // errors that the server is expected to log
    std::string only_in_process;                                 // why it is for that stage alone, or empty
    std::vector<Role> accounts;                                  // [Account]: jid and password alone
    std::vector<Role> cast;
    std::vector<Step> steps;

    const Role* role(std::string_view name) const;
    bool uses(Verb verb) const;
    std::vector<std::string> domains() const;                    // of the cast, the first first; localhost when there is none
};

// The reason with file and line when it is no scene.
xmpp::Result<Scene, std::string> parse_scene(std::string file, std::string_view text);
xmpp::Result<Scene, std::string> read_scene(const std::string& file);

}  // namespace tests
