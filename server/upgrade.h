// SPDX-License-Identifier: MIT
// `tern upgrade`, or SIGUSR2: the program that is now at our path takes the place of this process. It is tried out first;
// then this server goes down as for SIGTERM, and exec starts the other with the listening sockets still open. Clients that
// connect in between wait in the kernel; sessions are resumed (restart.h). The process keeps its id, so that supervisors
// and containers see no change.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "xmpp/result.h"

namespace server {

namespace net { class Handover; }

class Upgrade {
public:
    // Call early: the path of our program is asked of the kernel before somebody replaces the file.
    Upgrade(std::optional<std::string> config_file, std::optional<std::string> data);

    // What the other program calls itself, or why it would not start. Runs it twice, and waits.
    using Outcome = xmpp::Result<std::string, std::string>;
    Outcome try_out() const;
    // Returns only when it cannot be done, with the reason.
    std::string replace_this_process(net::Handover& sockets) const;

    // Any thread: has the main thread try it. `answer` is called there, before anything else happens.
    using Answer = std::function<void(const Outcome&)>;
    void ask(Answer answer);
    void answer(const Outcome& outcome);
    void refuse(std::string why);        // now and from now on

private:
    std::string program_;
    std::vector<std::string> options_;   // --config FILE --data DIRECTORY
    std::mutex mutex_;
    std::vector<Answer> asked_;          // guarded by that
    std::optional<std::string> refused_; // and that
};

}  // namespace server
