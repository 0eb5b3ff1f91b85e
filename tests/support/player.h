// SPDX-License-Identifier: MIT
// Plays a scene step by step on a stage: the server inside this process, or the real one over TCP. Knows verbs, variables
// and matching; how bytes travel is the stage's business.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/match.h"
#include "tests/support/scene.h"
#include "tests/support/xml.h"
#include "xmpp/date_time.h"

namespace tests {

// A step went otherwise than the scene says. The only exception of the players.
class Wrong : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// One of the cast on a stage.
class Actor {
public:
    virtual ~Actor() = default;
    virtual void connect() = 0;                        // a client also logs in and binds; throws Wrong
    virtual bool is_refused() = 0;                     // connects and tries to log in: SASL failure, and gone again
    virtual void disconnect() = 0;                     // with the end of the stream
    virtual void lose_connection() = 0;                // without
    virtual void send(std::string_view bytes) = 0;
    virtual std::optional<Event> next() = 0;           // waits as long as the stage finds reasonable
    virtual std::optional<Event> unexpected() = 0;     // something that came although nothing should
    virtual bool is_closed() = 0;                      // waits for it
    virtual void start_tls() = 0;
    virtual void read_output(bool does) = 0;
    virtual void forget() = 0;
    virtual std::string full_jid() const = 0;
};

class Stage {
public:
    virtual ~Stage() = default;
    virtual std::optional<std::string> reason_to_skip(const Scene& scene) const = 0;
    virtual void open(const Scene& scene) = 0;         // a fresh server with its accounts; throws Wrong
    virtual std::unique_ptr<Actor> actor(const Role& role) = 0;
    virtual void settle() = 0;                         // until what was sent has had its effects
    virtual void pass(std::chrono::seconds time) = 0;
    virtual void restart() = 0;
    virtual xmpp::Time now() const = 0;
    virtual std::string pin_sent_to(const std::string& number) = 0;
    virtual void close() = 0;                          // everything is gone after it
    virtual std::vector<std::string> logged_errors() = 0;
};

struct Outcome {
    enum class Kind { passed, failed, skipped };
    Kind kind = Kind::passed;
    std::string text;                                  // why
};

Outcome play(const Scene& scene, Stage& stage);

}  // namespace tests
