// SPDX-License-Identifier: MIT
// SMS gateways: how a PIN reaches a phone. Sending runs on a thread of its own behind a bounded queue.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/storage.h"

namespace auth {

struct Sms { std::string to, text; };

class SmsGateway {
public:
    virtual ~SmsGateway() = default;
    // false: the queue is full. Delivery itself is the gateway's care; failures are logged without the text.
    virtual bool send(Sms sms) = 0;
    virtual storage::QueueDepth depth() const = 0;
    // Since the start: handed over for good, and given up or refused for want of room (any thread).
    std::uint64_t sent() const { return sent_.load(std::memory_order_relaxed); }
    std::uint64_t failed() const { return failed_.load(std::memory_order_relaxed); }

protected:
    void count(bool was_sent) { (was_sent ? sent_ : failed_).fetch_add(1, std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> sent_ = 0, failed_ = 0;
};

using Log = std::function<void(std::string_view level, std::string_view text)>;

// A number as logs may show it: "+49…78".
std::string masked(std::string_view number);
// A template with {to} and {text} filled in, escaped for that media type (JSON, forms, XML; others as they are).
std::string filled(std::string_view form, const Sms& sms, std::string_view content_type);

// Prints the text where the admin sees it; for trying Tern out, not for secrets of real people.
std::unique_ptr<SmsGateway> console_gateway(Log log);
// Appends one line {"to": …, "text": …} per SMS to a file.
std::unique_ptr<SmsGateway> file_gateway(std::string path, Log log);

struct HttpGatewayRules {
    std::string url;                                            // {to} and {text} may stand here too, percent-encoded
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body = R"({"to": "{to}", "text": "{text}"})";  // {to} and {text} are escaped as the content type needs
    std::string content_type = "application/json";              // or application/x-www-form-urlencoded
    std::chrono::milliseconds timeout{10000};
    std::uint32_t attempts = 4;                                 // with growing pauses; 4xx but 408 and 429 is final
    std::uint32_t per_second = 10;
    std::size_t waiting = 1000;
    std::chrono::milliseconds first_pause{500};                 // before the second attempt; doubled for each further one
};
// POSTs each SMS. Its destructor sends what it can within the time-out and logs how many it had to drop.
std::unique_ptr<SmsGateway> http_gateway(HttpGatewayRules rules, Log log);

}  // namespace auth
