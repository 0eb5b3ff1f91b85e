// SPDX-License-Identifier: MIT
// What clients' stanzas have a worker wait for: accounts that must be fetched, questions that take a look at the database. It
// has one queue for all, and logins stand in it as well: who has too much there is not read until it is less.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "xmpp/jid.h"

namespace server {

class Stream;
class Worker;

// The worker's own.
class Awaited {
public:
    explicit Awaited(Worker& worker) : worker_{worker} {}
    // Something of that sender's begins to be waited for, and ends.
    void begin(xmpp::JidView sender);
    void end(xmpp::JidView sender);

private:
    // A stream on its own worker, which alone looks into this.
    struct Held { std::weak_ptr<Stream> stream; };
    struct Sender {
        std::size_t count = 0;
        std::vector<std::shared_ptr<Held>> held;
    };

    Worker& worker_;
    std::unordered_map<std::string, Sender, xmpp::TextHash, std::equal_to<>> senders_;   // by account
};

}  // namespace server
