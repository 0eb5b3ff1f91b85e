// SPDX-License-Identifier: MIT
// Token buckets, and the networks that they are keyed by.
#include "auth/rate_limit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "xmpp/base64.h"

namespace auth {

RateLimit::RateLimit(std::uint32_t burst, std::chrono::microseconds period, std::size_t most_keys)
    : burst_{static_cast<double>(burst)},
      period_{static_cast<double>(period.count())},
      most_keys_{most_keys} {}

std::chrono::seconds RateLimit::take(std::string_view key, storage::Time now, std::uint32_t count) {
    const double wanted = count;
    const std::lock_guard lock{mutex_};
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) {
        if (burst_ < wanted) return until(wanted, burst_);
        make_room(now);
        buckets_.push_back(Bucket{std::string{key}, burst_ - wanted, now});
        by_key_.emplace(buckets_.back().key, std::prev(buckets_.end()));
        return {};
    }
    Bucket& bucket = *found->second;
    bucket.tokens = tokens_at(bucket, now);
    bucket.at = now;
    if (bucket.tokens < wanted) return until(wanted, bucket.tokens);
    bucket.tokens -= wanted;
    buckets_.splice(buckets_.end(), buckets_, found->second);
    return {};
}

std::chrono::seconds RateLimit::wait(std::string_view key, storage::Time now) const {
    const std::lock_guard lock{mutex_};
    const double tokens = tokens_of(key, now);
    return tokens < 1 ? until(1, tokens) : std::chrono::seconds{0};
}

std::uint32_t RateLimit::left(std::string_view key, storage::Time now) const {
    const std::lock_guard lock{mutex_};
    return static_cast<std::uint32_t>(tokens_of(key, now));
}

std::size_t RateLimit::size() const {
    const std::lock_guard lock{mutex_};
    return buckets_.size();
}

double RateLimit::tokens_of(std::string_view key, storage::Time now) const {
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? burst_ : tokens_at(*found->second, now);
}

double RateLimit::tokens_at(const Bucket& bucket, storage::Time now) const {
    // A clock that was set back gives nothing and takes nothing.
    const double passed = std::max(0.0, static_cast<double>((now - bucket.at).count()));
    return std::min(burst_, bucket.tokens + passed * burst_ / period_);
}

std::chrono::seconds RateLimit::until(double wanted, double tokens) const {
    if (burst_ < 1) return std::chrono::seconds{static_cast<std::int64_t>(std::ceil(period_ / 1e6))};
    const double microseconds = (wanted - tokens) * period_ / burst_;
    return std::chrono::seconds{
        std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(microseconds / 1e6)))};
}

void RateLimit::make_room(storage::Time now) {
    if (buckets_.size() < most_keys_) return;
    // The oldest full bucket, looked for among a few of the oldest; failing that, the oldest: memory is
    // bounded first.
    constexpr int looked_at = 16;
    auto victim = buckets_.begin();
    int looked = 0;
    for (auto it = buckets_.begin(); it != buckets_.end() && looked < looked_at; ++it, ++looked) {
        if (tokens_at(*it, now) >= burst_) {
            victim = it;
            break;
        }
    }
    by_key_.erase(victim->key);
    buckets_.erase(victim);
}

std::string network_of(std::string_view address) {
    const std::string text{address.substr(0, address.find('%'))};  // without an IPv6 zone
    in6_addr six{};
    if (inet_pton(AF_INET6, text.c_str(), &six) != 1) return text;
    std::array<char, sizeof six.s6_addr> bytes{};
    std::memcpy(bytes.data(), six.s6_addr, bytes.size());
    if (IN6_IS_ADDR_V4MAPPED(&six)) {
        std::array<char, INET_ADDRSTRLEN> four{};
        if (inet_ntop(AF_INET, bytes.data() + 12, four.data(), four.size()) != nullptr)
            return std::string{four.data()};
    }
    return xmpp::hex(std::string_view{bytes.data(), 8}) + "/64";
}

std::string wider_network_of(std::string_view address) {
    const std::string network = network_of(address);
    if (network.ends_with("/64")) return network.substr(0, 12) + "/48";   // two digits a byte
    const std::size_t dot = network.rfind('.');
    return dot == std::string::npos ? network : network.substr(0, dot) + "/24";
}

}  // namespace auth
