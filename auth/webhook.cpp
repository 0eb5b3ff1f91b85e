// SPDX-License-Identifier: MIT
// Webhooks by libcurl (curl_multi), which is included here alone.
#include "auth/webhook.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include <curl/curl.h>

namespace auth {

namespace {

using Steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t most_in_flight = 16;
constexpr milliseconds longest_pause{60'000};
constexpr milliseconds longest_poll{1'000};

struct FreeEasy {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeMulti {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct FreeList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

void initialise_once() {
    static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
    (void)done;  // a failure shows at the first curl_easy_init
}

std::size_t discard(char*, std::size_t size, std::size_t count, void*) { return size * count; }

struct Waiting {
    Webhook::Post post;
    std::uint32_t attempts = 0;  // made so far
    Steady::time_point since = Steady::now();
};

struct Request {
    Waiting what;
    std::unique_ptr<CURL, FreeEasy> easy;
};

}  // namespace

bool is_header(std::string_view name, std::string_view value) {
    constexpr std::string_view breaks{"\r\n\0", 3};
    return name.find_first_of(breaks) == name.npos && value.find_first_of(breaks) == value.npos;
}

class Webhook::Impl {
public:
    explicit Impl(WebhookRules rules) : rules_{std::move(rules)} {
        initialise_once();
        multi_.reset(curl_multi_init());
        for (const auto& [name, value] : rules_.headers) {
            if (!is_header(name, value)) continue;
            std::string line = name;
            add_header(line.append(": ").append(value));
        }
        add_header("Content-Type: " + rules_.content_type);
        add_header("Expect:");  // bodies are short: no 100-continue
        tokens_ = rules_.per_second;
        thread_ = std::thread{[this] { run(); }};
    }

    ~Impl() { close(); }

    void close() {
        {
            const std::lock_guard lock{mutex_};
            stopping_ = true;
        }
        curl_multi_wakeup(multi_.get());
        if (thread_.joinable()) thread_.join();
    }

    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    bool post(Post post) {
        {
            const std::lock_guard lock{mutex_};
            if (stopping_ || taken_.size() + arrived_.size() >= rules_.waiting) return false;
            Waiting waiting{std::move(post)};
            arrived_.push_back(std::move(waiting));
            high_water_ = std::max<std::uint64_t>(high_water_, taken_.size() + arrived_.size());
        }
        curl_multi_wakeup(multi_.get());
        return true;
    }

    storage::QueueDepth depth() const {
        const std::lock_guard lock{mutex_};
        storage::QueueDepth depth;
        depth.name = rules_.queue;
        depth.depth = taken_.size() + arrived_.size();
        depth.high_water = high_water_;
        std::optional<Steady::time_point> oldest;
        if (!taken_.empty()) oldest = *taken_.begin();
        if (!arrived_.empty())
            oldest = std::min(oldest.value_or(arrived_.front().since), arrived_.front().since);
        if (oldest)
            depth.oldest = std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() - *oldest);
        return depth;
    }

private:
    void add_header(const std::string& line) {
        if (curl_slist* longer = curl_slist_append(headers_.get(), line.c_str())) {
            (void)headers_.release();
            headers_.reset(longer);
        }
    }

    void run() {
        std::optional<Steady::time_point> deadline;  // once the gateway is being destroyed
        while (true) {
            const bool stopping = take_arrived();
            const auto now = Steady::now();
            if (stopping && !deadline) deadline = now + rules_.timeout;
            if (deadline) drop_from(*deadline);
            if (deadline && now >= *deadline) break;
            start_due(now);
            int running = 0;
            curl_multi_perform(multi_.get(), &running);
            finish_done(deadline);
            if (deadline && due_.empty() && requests_.empty()) break;
            curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(pause(deadline).count()), nullptr);
        }
        for (auto& [due, waiting] : due_) drop(waiting);
        due_.clear();
        for (auto& [easy, request] : requests_) {
            curl_multi_remove_handle(multi_.get(), easy);
            drop(request->what);
        }
        requests_.clear();
    }

    bool take_arrived() {
        const std::lock_guard lock{mutex_};
        for (Waiting& waiting : arrived_) {
            taken_.insert(waiting.since);
            due_.emplace(waiting.since, std::move(waiting));
        }
        arrived_.clear();
        return stopping_;
    }

    // What would be due too late is not waited for.
    void drop_from(Steady::time_point deadline) {
        const auto first = due_.lower_bound(deadline);
        for (auto each = first; each != due_.end(); ++each) drop(each->second);
        due_.erase(first, due_.end());
    }

    // A token bucket of one second.
    void refill(Steady::time_point now) {
        const double passed = std::chrono::duration<double>(now - refilled_).count();
        tokens_ = std::min<double>(rules_.per_second, tokens_ + passed * rules_.per_second);
        refilled_ = now;
    }

    void start_due(Steady::time_point now) {
        refill(now);
        while (!due_.empty() && due_.begin()->first <= now && tokens_ >= 1 &&
               requests_.size() < most_in_flight) {
            Waiting waiting = std::move(due_.extract(due_.begin()).mapped());
            tokens_ -= 1;
            ++waiting.attempts;
            start(std::move(waiting));
        }
    }

    void start(Waiting waiting) {
        auto request = std::make_unique<Request>();
        request->what = std::move(waiting);
        request->easy.reset(curl_easy_init());
        CURL* easy = request->easy.get();
        const bool ready =
            easy != nullptr && curl_easy_setopt(easy, CURLOPT_URL, request->what.post.url.c_str()) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(request->what.post.body.size())) ==
                CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->what.post.body.c_str()) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_.get()) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(rules_.timeout.count())) ==
                CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
            curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &discard) == CURLE_OK &&
            curl_multi_add_handle(multi_.get(), easy) == CURLM_OK;
        if (!ready) {
            return end(request->what, Ending::Kind::refused, 0, "the request cannot be set up");
        }
        requests_.emplace(easy, std::move(request));
    }

    void finish_done(const std::optional<Steady::time_point>& deadline) {
        int left = 0;
        while (CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
            if (message->msg != CURLMSG_DONE) continue;
            const CURLcode result = message->data.result;
            CURL* easy = message->easy_handle;
            auto node = requests_.extract(easy);
            long status = 0;
            curl_off_t retry_after = 0;
            curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
            curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &retry_after);
            curl_multi_remove_handle(multi_.get(), easy);
            judge(std::move(node.mapped()->what), result, status, std::chrono::seconds{retry_after},
                  deadline);
        }
    }

    void judge(Waiting what, CURLcode result, long status, std::chrono::seconds retry_after,
               const std::optional<Steady::time_point>& deadline) {
        if (result == CURLE_OK && status >= 200 && status < 300) return end(what, Ending::Kind::accepted, status, {});
        if (result != CURLE_OK) status = 0;
        const std::string reason = status != 0 ? "status " + std::to_string(status) : std::string{curl_easy_strerror(result)};
        if (status != 0 && status < 500 && status != 408 && status != 429) return end(what, Ending::Kind::refused, status, reason);
        if (what.attempts >= rules_.attempts) return end(what, Ending::Kind::unanswered, status, reason);
        const auto again = Steady::now() + pause_after(what.attempts, retry_after);
        if (deadline && again >= *deadline) return end(what, Ending::Kind::dropped, status, reason);
        if (what.post.again) what.post.again(reason, what.attempts);
        due_.emplace(again, std::move(what));
    }

    // Doubled each time, of which a random half is taken off: a provider that comes back is not hit by all at
    // once.
    milliseconds pause_after(std::uint32_t attempts, std::chrono::seconds retry_after) {
        const auto grown =
            std::min(longest_pause, rules_.first_pause * (std::int64_t{1} << std::min(attempts - 1, 16U)));
        std::uniform_int_distribution<milliseconds::rep> jitter{grown.count() / 2, grown.count()};
        return std::max(milliseconds{jitter(random_)}, std::min(longest_pause, milliseconds{retry_after}));
    }

    void drop(const Waiting& what) { end(what, Ending::Kind::dropped, 0, "stopped"); }

    void end(const Waiting& what, Ending::Kind kind, long status, std::string reason) {
        {
            const std::lock_guard lock{mutex_};
            taken_.erase(taken_.find(what.since));
        }
        what.post.done({kind, status, what.attempts, std::move(reason)});
    }

    // Until the next is due and there is a token for it, or something happens on a socket.
    milliseconds pause(const std::optional<Steady::time_point>& deadline) const {
        const auto now = Steady::now();
        auto until = now + longest_poll;
        if (!due_.empty() && requests_.size() < most_in_flight) {
            auto start = std::max(due_.begin()->first, now);
            if (tokens_ < 1 && rules_.per_second > 0) {
                const std::chrono::duration<double> wait{(1 - tokens_) / rules_.per_second};
                start = std::max(start, refilled_ + std::chrono::duration_cast<Steady::duration>(wait));
            }
            until = std::min(until, start);
        }
        if (deadline) until = std::min(until, *deadline);
        return std::max(milliseconds{0}, std::chrono::ceil<milliseconds>(until - now));
    }

    const WebhookRules rules_;
    std::unique_ptr<CURLM, FreeMulti> multi_;
    std::unique_ptr<curl_slist, FreeList> headers_;

    mutable std::mutex mutex_;
    std::deque<Waiting> arrived_;              // guarded by mutex_, as are the three below
    std::multiset<Steady::time_point> taken_;  // since when each one waits that the thread has
    std::uint64_t high_water_ = 0;
    bool stopping_ = false;

    // The thread's own.
    std::multimap<Steady::time_point, Waiting> due_;
    std::map<CURL*, std::unique_ptr<Request>> requests_;
    double tokens_ = 0;
    Steady::time_point refilled_ = Steady::now();
    std::minstd_rand random_{std::random_device{}()};
    std::thread thread_;
};

Webhook::Webhook(WebhookRules rules) {
    // Zero would mean that nothing is ever sent, without a word.
    rules.per_second = std::max(rules.per_second, 1U);
    rules.attempts = std::max(rules.attempts, 1U);
    impl_ = std::make_unique<Impl>(std::move(rules));
}

Webhook::~Webhook() = default;
void Webhook::close() { impl_->close(); }
bool Webhook::post(Post post) { return impl_->post(std::move(post)); }
storage::QueueDepth Webhook::depth() const { return impl_->depth(); }

}  // namespace auth
