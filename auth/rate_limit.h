// SPDX-License-Identifier: MIT
// Token buckets by key (an address, a number) in a bounded map: each holds `burst` tokens and is refilled
// evenly in `period`. A full bucket is as good as none, so those are dropped first when there are too many.
// Any thread; the time is passed in, so that tests need not wait.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "storage/storage.h"

namespace auth {

class RateLimit {
public:
    RateLimit(std::uint32_t burst, std::chrono::microseconds period, std::size_t most_keys = 100'000);

    // Takes so many tokens: zero, or else how long until there are as many (at least a second, for Retry-After), and none is
    // taken. More than `burst` there never are.
    std::chrono::seconds take(std::string_view key, storage::Time now, std::uint32_t count = 1);
    // What take() would answer, without taking.
    std::chrono::seconds wait(std::string_view key, storage::Time now) const;
    std::uint32_t left(std::string_view key, storage::Time now) const;   // whole tokens
    std::size_t size() const;

private:
    struct Bucket {
        std::string key;
        double tokens;
        storage::Time at;  // when `tokens` was right
    };
    double tokens_of(std::string_view key, storage::Time now) const;     // under the lock
    double tokens_at(const Bucket& bucket, storage::Time now) const;
    std::chrono::seconds until(double wanted, double tokens) const;
    void make_room(storage::Time now);

    const double burst_;
    const double period_;  // in microseconds
    const std::size_t most_keys_;
    mutable std::mutex mutex_;
    std::list<Bucket> buckets_;  // guarded by mutex_; the one untouched for longest first
    std::unordered_map<std::string_view, std::list<Bucket>::iterator> by_key_;  // guarded by mutex_
};

// What counts as one client: an IPv4 address, or the /64 network of an IPv6 address, which one customer has
// to himself.
std::string network_of(std::string_view address);
// What may be a client with many addresses: the /24 around an IPv4 address, or the /48 of an IPv6 address, which a provider
// gives to one customer.
std::string wider_network_of(std::string_view address);

}  // namespace auth
