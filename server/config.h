// SPDX-License-Identifier: MIT
// The configuration: every key with its default, its environment variable and whether a reload applies it
// (config_keys.cpp holds the one table of keys). TOML by toml++, which is included in config.cpp alone. Immutable.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "xmpp/jid.h"
#include "xmpp/parser.h"
#include "xmpp/result.h"

namespace server {

struct Config {
    std::vector<std::string> domains{"localhost"};   // normalised; the first is the default
    std::string data = "data";
    std::uint32_t workers = 0;                       // 0: one per core
    std::vector<std::string> admins;                 // bare JIDs

    struct Storage {
        std::string url = "sqlite:data/tern.db";     // the default lies in `data`, wherever that is
        std::uint32_t connections = 4;
        std::chrono::milliseconds group_commit{2};
        std::chrono::seconds patience{60};           // how long a message waits for a database that is away
        std::uint32_t waiting_bytes = 256U << 20U;   // and how much of them in all
    } storage;

    struct C2s {
        std::vector<std::string> listen{"127.0.0.1:5222"};
        std::vector<std::string> direct_tls{"127.0.0.1:5223"};
        bool require_tls = true;
    } c2s;

    struct Tls {                                     // default: a self-signed ECDSA certificate made in `data` at first start
        std::string certificate, key;                // PEM; {domain} in the path stands for each domain (SNI)
    } tls;

    struct Http {
        std::vector<std::string> listen{"127.0.0.1:5280"};
        std::vector<std::string> tls{"127.0.0.1:5281"};
        std::vector<std::string> trusted_proxies;    // whose X-Forwarded-For is believed
        // Whom /metrics answers.
        std::vector<std::string> metrics_from{"127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"};
        std::string url;                             // where the outside finds this, "https://chat.example.org"; empty: guessed
    } http;

    struct Registration {
        bool phone = true;
        bool open = false;
        bool invited_only = false;                   // numbers that have no account yet
        std::vector<std::string> prefixes;           // E.164; empty: all numbers
        std::uint32_t pin_digits = 5;
        std::uint32_t tries = 5;
        std::chrono::seconds pin_lifetime{600};
        std::chrono::seconds resend_after{60};
        std::uint32_t per_number_a_day = 5;
        std::uint32_t per_address_an_hour = 10;
        std::uint32_t per_range_an_hour = 0;         // numbers that differ in their last three digits; 0: no limit
        std::uint32_t per_minute = 300;
        std::uint32_t per_day = 20'000;
    } registration;

    struct Invitations {                             // XEP-0401, XEP-0445, XEP-0379
        std::string register_by = "admins";          // whose invitations give accounts: "nobody", "admins", "everybody"
        std::chrono::seconds lifetime{7 * 86'400};
        std::uint32_t per_account_a_day = 20;
    } invitations;

    struct Discovery {                               // of contacts, by their phone numbers
        std::uint32_t numbers_a_day = 2000;          // that an account may look for
    } discovery;

    struct Rooms {                                   // XEP-0045
        std::string service = "groups";              // rooms are at SERVICE.DOMAIN; empty: there are none
        std::string create = "everybody";            // who may make one: "nobody", "admins", "everybody"
        std::uint32_t per_account = 100;             // that an account may have made
        std::uint32_t max_occupants = 5000;          // of one room
        std::uint32_t history = 20;                  // messages that who comes in is sent at most
        bool archive = true;                         // of those that stay, so long as messages.retention says
        std::uint32_t invitations_an_hour = 100;     // by one account
    } rooms;

    struct Sms {
        std::string gateway = "console";             // console, http, file
        std::string file = "data/sms.jsonl";
        std::string text = "Your code is {pin}.";
        std::string url, body, content_type = "application/json";
        std::vector<std::string> headers;            // "Name: value"
        std::chrono::milliseconds timeout{10000};
        std::uint32_t per_second = 10;
    } sms;

    struct Push {                                    // XEP-0357
        std::string show = "count";                  // of a message, to push services: "count", "sender", "body"
        std::string url;                             // where our own service posts notifications; empty: there is none
        std::vector<std::string> headers;            // "Name: value"
        std::chrono::milliseconds timeout{10000};
        std::uint32_t per_second = 100;
    } push;

    struct Auth {
        std::uint32_t iterations = 10000;            // of passwords (XEP-0438); device keys need no more than 4096
        bool plain = true;                           // offer PLAIN, under TLS only
    } auth;

    struct Messages {
        std::string retention = "30d";               // "30d", "forever", "delivered"
        std::string ack = "commit";                  // "commit", "receive"
        std::string archive = "always";              // of accounts that have no preference: "always", "never", "roster"
    } messages;

    struct Limits {
        xmpp::Limits stanza;                         // limits.stanza_bytes, depth, attributes, elements
        std::uint32_t stanza_bytes_before_login = 16384;
        std::uint32_t devices = 5;
        std::uint32_t sessions_per_account = 20;
        std::uint32_t connections_per_address = 2000;   // all
        std::uint32_t logins_per_address = 200;      // connections that have not logged in yet
        std::chrono::seconds login_deadline{30};     // from accept to bound resource
        std::uint32_t login_attempts = 5;            // on one connection
        std::chrono::seconds idle{900};              // then a ping; no answer within `ping_timeout`: connection-timeout
        std::chrono::seconds ping_timeout{60};
        std::uint32_t outbox_bytes = 8u << 20;       // unsent bytes of one session
        std::uint32_t bytes_per_second = 0;          // a session may send, 0: no limit
        std::uint32_t burst_bytes = 1u << 20;
        std::uint32_t roster_items = 5000;
        std::uint32_t held_stanzas = 250;            // for one inactive client; 0: nothing is held
        std::uint32_t held_bytes = 256u << 10;
    } limits;

    struct Logging {
        std::string level = "info";                  // debug, info, warn, error
        std::string format = "text";                 // text, json
        std::string file;                            // empty: standard error
    } log;

    struct Contact {                                 // XEP-0157: URIs
        std::vector<std::string> abuse, admin, support, security, feedback, sales, status;
    } contact;

    struct Alerts {
        std::uint32_t queue_depth = 10000;           // a queue deeper than this is warned of, once, until half of it
        std::chrono::milliseconds queue_age{5000};
    } alerts;

    bool is_local(std::string_view domain) const;
    bool is_admin(xmpp::JidView bare) const;
};

// "Name: value", taken apart.
std::vector<std::pair<std::string, std::string>> header_lines(const std::vector<std::string>& lines);
// "500ms", "30s", "10m", "12h", "30d", "2w"; nullopt for anything else, a number without a unit among them.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);
// "127.0.0.1:5222", "[::1]:5222", "localhost:0" (any free port, for tests); the brackets are not part of the host.
struct ListenAddress { std::string host; std::uint16_t port; };
std::optional<ListenAddress> parse_listen_address(std::string_view text);

struct ConfigProblem { std::string text; };          // "tern.toml:12: c2s.listen: … — expected …"

// Reads the file (or none) and the environment variables TERN_SECTION_KEY (TERN_KEY for the top level) over it. Lists
// are separated by commas (or lines, or a TOML array); TERN_SECTION_KEY_FILE names a file that holds the value instead.
// Unknown keys, wrong types and values out of range are problems, with file, line, key and what would be right;
// all that are found, not the first alone.
using Environment = std::map<std::string, std::string>;
xmpp::Result<Config, std::vector<ConfigProblem>> read_config(const std::optional<std::string>& file, const Environment& environment);
Environment process_environment();  // those that begin with TERN_

// For the README's table and `tern config keys`: name, variable, default, live or restart, what it is.
struct ConfigKey { std::string name, variable, default_value, reload, help; };
std::vector<ConfigKey> config_keys();
// Keys whose values differ: what a reload would apply, and what waits for a restart.
struct ConfigChange { std::string name; bool live; };
std::vector<ConfigChange> differences(const Config& before, const Config& after);
// Gives keys that need a restart their old values back.
void keep_restart_keys(const Config& running, Config& fresh);

}  // namespace server
