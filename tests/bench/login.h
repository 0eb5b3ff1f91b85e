// SPDX-License-Identifier: MIT
// The client's half of a login, RFC 6120: stream, STARTTLS, SASL, binding, and what is asked for besides
// (XEP-0198). Bytes in, bytes out; it is made for what servers really send, and looks no closer.
#pragma once

#include <optional>
#include <string>

#include "tests/bench/modern_login.h"
#include "tests/bench/options.h"
#include "tests/bench/scram.h"

namespace bench {

class Login {
public:
    enum class Outcome { more, start_tls, ready, failed };

    Login(const Options& options, Keys& keys, unsigned number);

    std::string first();  // what a client says when it is connected, and again under TLS
    // Takes what it understands from input, and appends to output what is to be sent.
    Outcome step(std::string& input, std::string& output);
    const std::string& jid() const { return jid_; }

private:
    enum class Stage { features, proceed, challenge, success, bind, enabled, registered };

    std::string stream_header() const;
    Outcome step_modern(std::string& input, std::string& output);
    Outcome on_features(const std::string& element, std::string& output);
    Outcome begin_sasl(const std::string& features, std::string& output);
    Outcome on_bound(const std::string& element, std::string& output);
    Outcome ready(std::string& output);
    Outcome take(std::string element, std::string& output);

    const Options& options_;
    Keys& keys_;
    std::string user_, resource_, jid_;
    std::optional<Scram> scram_;
    std::optional<ModernLogin> modern_;
    Stage stage_ = Stage::features;
    bool is_secure_;
    bool is_authenticated_ = false;
};

}  // namespace bench
