// SPDX-License-Identifier: MIT
// POSTs to somebody's HTTP server, again and again until it is accepted, refused or hopeless: SMS providers, push
// gateways. One thread drives all requests, so that none waits because another is slow or waits for its next attempt.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/storage.h"

namespace auth {

// A header with a line break would be two.
bool is_header(std::string_view name, std::string_view value);

struct WebhookRules {
    std::string queue;                                // its name among the queues
    std::vector<std::pair<std::string, std::string>> headers;   // what is none is left out
    std::string content_type = "application/json";
    std::chrono::milliseconds timeout{10000};         // of one attempt
    std::uint32_t attempts = 4;                       // with growing pauses; 4xx but 408 and 429 is final
    std::uint32_t per_second = 10;
    std::size_t waiting = 1000;
    std::chrono::milliseconds first_pause{500};       // before the second attempt; doubled for each further one
};

class Webhook {
public:
    struct Ending {
        enum class Kind : std::uint8_t {
            accepted,      // 2xx
            refused,       // answered, and not worth asking again
            unanswered,    // attempts used up
            dropped,       // the webhook was destroyed meanwhile
        };
        Kind kind = Kind::dropped;
        long status = 0;                              // of the last answer; 0: there was none
        std::uint32_t attempts = 0;
        std::string reason;                           // for the log: "status 503", "Timeout was reached"
    };
    struct Post {
        std::string url, body;
        std::function<void(const Ending&)> done;      // on the webhook's thread, which must not be held up
        std::function<void(std::string_view reason, std::uint32_t attempt)> again = {};   // there, too: it will be tried again
    };

    explicit Webhook(WebhookRules rules);
    ~Webhook();  // closes
    // Sends what it can within the time-out, and drops the rest. No `done` is called any more when it returns.
    void close();
    Webhook(const Webhook&) = delete;
    Webhook& operator=(const Webhook&) = delete;

    bool post(Post post);                             // any thread; false: the queue is full, or closed
    storage::QueueDepth depth() const;                // any thread

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace auth
