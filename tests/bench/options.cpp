// SPDX-License-Identifier: MIT
#include "tests/bench/options.h"

#include <functional>
#include <map>
#include <stdexcept>

namespace bench {

const char* const usage =
    "tern-bench WORK --port N [--host A] [--pid PID] [--tls none|starttls|direct] …\n"
    "  register   makes --accounts accounts in band (XEP-0077)\n"
    "  befriend   gives each of --accounts accounts --contacts contacts\n"
    "  idle       memory of --sessions sessions that do nothing\n"
    "  login      logins one after another, --parallel at a time, for --seconds\n"
    "             --login sasl2|fast|resume: not by SASL and binding, but so\n"
    "  chat       --sessions in random pairs; who receives a message answers it; --window in flight a pair\n"
    "             --no-store: with that hint (XEP-0334)\n"
    "             --acks: stream management; who has an ack sends the next message\n"
    "  latency    the same at a fixed --rate of messages per second; with --acks: until the ack\n"
    "  presence   all of --sessions tell their contacts, again and again\n"
    "  room       --sessions in one room of --service, which all hear what --window of them say\n"
    "             --broadcast moderator: it broadcasts presence of moderators alone\n"
    "  offline    --messages for each of --sessions accounts that are away; then they come\n"
    "  storm      --sessions drop and come back while --established go on with --rate messages per second\n"
    "  relay      is itself a server: hands bytes from one of a pair to the other. --raw makes chat and\n"
    "             latency talk to it\n"
    "  --body BYTES --domain D --user PREFIX --password P --mechanism M --keys FILE --no-presence --warm-up "
    "S\n"
    "  --callgrind: the server runs under it; chat and login tell it what to look at\n"
    "Prints one line of JSON.\n";

namespace {

Security security_of(const std::string& text) {
    if (text == "none") return Security::none;
    if (text == "starttls") return Security::starttls;
    if (text == "direct") return Security::direct;
    throw std::invalid_argument{"--tls none, starttls or direct"};
}

Way way_of(const std::string& text) {
    if (text == "classic") return Way::classic;
    if (text == "sasl2") return Way::sasl2;
    if (text == "fast") return Way::fast;
    if (text == "resume") return Way::resume;
    throw std::invalid_argument{"--login classic, sasl2, fast or resume"};
}

std::map<std::string, std::function<void(const std::string&)>> values_of(Options& options) {
    const auto text = [](std::string& field) {
        return [&field](const std::string& value) { field = value; };
    };
    const auto number = [](auto& field) {
        return [&field](const std::string& value) {
            field = static_cast<std::remove_reference_t<decltype(field)>>(std::stod(value));
        };
    };
    return {{"--host", text(options.host)},
            {"--port", number(options.port)},
            {"--domain", text(options.domain)},
            {"--service", text(options.service)},
            {"--broadcast", text(options.broadcast)},
            {"--user", text(options.user)},
            {"--password", text(options.password)},
            {"--mechanism", text(options.mechanism)},
            {"--keys", text(options.keys)},
            {"--tls", [&options](const std::string& value) { options.security = security_of(value); }},
            {"--login", [&options](const std::string& value) { options.login = way_of(value); }},
            {"--pid", number(options.pid)},
            {"--accounts", number(options.accounts)},
            {"--sessions", number(options.sessions)},
            {"--established", number(options.established)},
            {"--parallel", number(options.parallel)},
            {"--body", number(options.body)},
            {"--window", number(options.window)},
            {"--messages", number(options.messages)},
            {"--contacts", number(options.contacts)},
            {"--rate", number(options.rate)},
            {"--seconds", number(options.seconds)},
            {"--warm-up", number(options.warm_up)}};
}

}  // namespace

Options read_options(int count, char** arguments) {
    if (count < 2) throw std::invalid_argument{"which work?"};
    Options options;
    options.work = arguments[1];
    const auto values = values_of(options);
    const std::map<std::string, std::function<void()>> switches{
        {"--raw", [&] { options.is_raw = true; }},
        {"--no-presence", [&] { options.with_presence = false; }},
        {"--callgrind", [&] { options.is_profiled = true; }},
        {"--no-store", [&] { options.is_stored = false; }},
        {"--acks", [&] { options.with_acks = true; }}};
    for (int i = 2; i < count; ++i) {
        const std::string name = arguments[i];
        if (const auto found = switches.find(name); found != switches.end()) {
            found->second();
            continue;
        }
        const auto found = values.find(name);
        if (found == values.end()) throw std::invalid_argument{"unknown: " + name};
        if (++i == count) throw std::invalid_argument{name + " needs a value"};
        try {
            found->second(arguments[i]);
        } catch (const std::logic_error&) {
            throw std::invalid_argument{name + " " + arguments[i] + "?"};
        }
    }
    if (options.port == 0) throw std::invalid_argument{"--port is missing"};
    return options;
}

}  // namespace bench
