// SPDX-License-Identifier: MIT
// What one run of tern-bench is to do, read from its command line.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace bench {

// classic: SASL, then binding. The others by SASL2 and Bind 2 (XEP-0388, XEP-0386): with SCRAM each time; with a token
// (XEP-0484); with a token, resuming the session (XEP-0198).
enum class Way { classic, sasl2, fast, resume };
enum class Security { none, starttls, direct };

struct Options {
    std::string work;
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;
    std::string domain = "localhost";
    std::string service = "conference.localhost";  // where rooms are
    std::string broadcast;                         // role whose presence alone a room broadcasts; empty: all
    std::string user = "u";                        // accounts are user + number, all with the same password
    std::string password = "secret";
    std::string mechanism = "SCRAM-SHA-1";  // PLAIN where it is not offered
    std::string keys;                       // file that remembers salted passwords between runs
    Security security = Security::none;
    Way login = Way::classic;
    bool is_raw = false;  // no XMPP: the relay
    bool with_presence = true;
    bool is_stored = true;     // else messages carry the hint no-store, XEP-0334
    bool with_acks = false;    // stream management, XEP-0198
    int pid = 0;               // of the server, whose cost is measured
    bool is_profiled = false;  // it runs under callgrind, which shall look at the measured time
    unsigned accounts = 1000;
    unsigned sessions = 1000;
    unsigned established = 200;  // sessions that stay during a storm
    unsigned parallel = 64;      // logins under way at the same time
    unsigned body = 64;
    unsigned window = 1;
    unsigned messages = 50;  // for each recipient who is away
    unsigned contacts = 20;
    double rate = 1000;
    double seconds = 5;
    double warm_up = 1;
};

// Throws std::invalid_argument with what is wrong.
Options read_options(int count, char** arguments);

extern const char* const usage;

}  // namespace bench
