// SPDX-License-Identifier: MIT
// Who talks to whom: random pairs over all sessions, so that a server's caches are as cold as in real life.
#pragma once

#include <algorithm>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "tests/bench/crowd.h"

namespace bench {

inline std::vector<unsigned> random_pairs(unsigned count) {
    std::vector<unsigned> order(count / 2 * 2), partner(count);
    std::iota(order.begin(), order.end(), 0u);
    std::iota(partner.begin(), partner.end(), 0u);
    std::shuffle(order.begin(), order.end(), std::mt19937{20});
    for (std::size_t i = 0; i + 1 < order.size(); i += 2) {
        partner[order[i]] = order[i + 1];
        partner[order[i + 1]] = order[i];
    }
    return partner;
}

inline std::string message(const Options& options, const std::string& to, const std::string& id) {
    return "<message type='chat' id='" + id + "' to='" + to + "'><body>" + std::string(options.body, 'x') +
           "</body>" + (options.is_stored ? "" : "<no-store xmlns='urn:xmpp:hints'/>") + "</message>";
}

// The relay reads eight digits from each connection and joins those that agree.
inline void greet_as_pairs(Crowd& crowd, const std::vector<unsigned>& partner) {
    crowd.greeting = [&partner](unsigned number) {
        std::string digits = std::to_string(std::min(number, partner[number]));
        return std::string(8 - digits.size(), '0') + digits;
    };
}

}  // namespace bench
