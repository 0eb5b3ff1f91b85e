// SPDX-License-Identifier: MIT
// A login by SASL2 (XEP-0388) with Bind 2 (XEP-0386): the first one by SCRAM, which fetches a token; with FAST (XEP-0484)
// the next ones are one message behind the stream's header, and may resume the session of before (XEP-0198).
#pragma once

#include <optional>
#include <string>

#include "tests/bench/options.h"
#include "tests/bench/scram.h"

namespace bench {

class ModernLogin {
public:
    enum class Outcome { more, ready, failed };

    ModernLogin(const Options& options, Keys& keys, std::string user, unsigned number);

    // Behind the stream's header, before anything was read; empty when the features must be waited for.
    std::string first();
    Outcome on_features(std::string& output);
    // An element of SASL2.
    Outcome take(const std::string& element, std::string& output);
    const std::string& jid() const { return jid_; }

private:
    std::string authenticate(const std::string& mechanism, const std::string& initial, const std::string& inlined) const;

    const Options& options_;
    Keys& keys_;
    Ticket& ticket_;
    std::string user_, agent_, jid_;
    std::optional<Scram> scram_;
    bool has_begun_ = false;
};

}  // namespace bench
