// SPDX-License-Identifier: MIT
// `tern serve`: reads the configuration, waits for the database, starts the server, the HTTP server and the admin socket,
// and then waits for signals: SIGTERM and SIGINT end it, SIGHUP makes it read its configuration again, SIGUSR2 makes it
// give way to the program that has been installed meanwhile.
#include "server/serve.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "server/admin/reload.h"
#include "server/admin/socket.h"
#include "server/http/server.h"
#include "server/log.h"
#include "server/net/descriptor.h"
#include "server/net/listening.h"
#include "server/server.h"
#include "server/upgrade.h"
#include "storage/storage.h"

namespace server {
namespace {

using std::chrono::milliseconds;

constexpr int done = 0, cannot = 1, wrong_configuration = 2;
constexpr milliseconds first_pause{500}, longest_pause{15'000};   // between attempts to reach the database
constexpr const char* addresses_file = "/addresses.json";
constexpr const char* lock_file = "/lock";

int fail(std::string_view text, std::string_view why) {
    log::error(text, {{"why", why}});
    return cannot;
}

// The signals that the main thread waits for; blocked before any other thread is made, so that all inherit it.
class Signals {
public:
    Signals() {
        sigemptyset(&set_);
        for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&set_, signal);
        pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    }
    int wait() const {
        int signal = 0;
        while (sigwait(&set_, &signal) != 0) {}
        return signal;
    }
    // Whether one of those that end the process came within that time.
    bool is_end_asked(milliseconds within) const {
        timespec time{within.count() / 1000, (within.count() % 1000) * 1'000'000};
        const int signal = sigtimedwait(&set_, nullptr, &time);
        return signal == SIGTERM || signal == SIGINT;
    }
    // From now on a further signal ends the process at once, for those who do not want to wait.
    void let_go() const {
        sigset_t ends;
        sigemptyset(&ends);
        sigaddset(&ends, SIGTERM);
        sigaddset(&ends, SIGINT);
        pthread_sigmask(SIG_UNBLOCK, &ends, nullptr);
    }

private:
    sigset_t set_;
};

void raise_file_limit() {
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max) return;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) log::warn("cannot raise the limit of open files", {{"why", std::strerror(errno)}});
}

// Its parents as usual, itself for its owner alone; one that exists stays as it is.
std::string make_data_directory(const std::string& path) {
    std::error_code error;
    const std::filesystem::path directory{path};
    if (std::filesystem::is_directory(directory, error)) return {};
    if (directory.has_parent_path()) std::filesystem::create_directories(directory.parent_path(), error);
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return path + ": " + std::strerror(errno);
    return {};
}

// One server a data directory: whoever holds this holds that. The kernel lets go of it with the process, however that
// ends, and when another program takes its place.
xmpp::Result<net::Descriptor, std::string> lock_data_directory(const std::string& path) {
    const std::string name = path + lock_file;
    net::Descriptor file{::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
    if (!file) return xmpp::Failure{name + ": " + std::strerror(errno)};
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
    return xmpp::Failure{errno == EWOULDBLOCK ? "another server uses this data directory" : name + ": " + std::strerror(errno)};
}

storage::Options storage_options(const Config& config) {
    storage::Options options;
    options.url = config.storage.url;
    options.connections = config.storage.connections;
    options.group_commit = config.storage.group_commit;
    options.log_age = config.storage.patience;
    options.log_bytes = config.storage.waiting_bytes;
    options.log = [](std::string_view level, std::string_view text) {
        log::write(level == "error" ? log::Level::error : level == "warn" ? log::Level::warn : level == "debug" ? log::Level::debug : log::Level::info, text);
    };
    return options;
}

// Tries until it works, an end is asked for, or what is wrong will not pass by itself. A database may well come up later
// than the server does.
template <class Attempt>
bool attempt_until_done(const Signals& signals, std::string_view what, Attempt attempt) {
    for (milliseconds pause = first_pause;; pause = std::min(pause * 2, longest_pause)) {
        const std::optional<storage::StorageError> error = attempt();
        if (!error) return true;
        if (error->kind != storage::StorageError::Kind::unavailable) {
            log::error(what, {{"why", error->text}});
            return false;
        }
        log::warn(what, {{"why", error->text}, {"next_attempt_ms", std::to_string(pause.count())}});
        if (signals.is_end_asked(pause)) return false;
    }
}

// Turns a loop of its own until the server has what it needs from storage.
std::optional<storage::StorageError> prepare(Server& server, const net::Clock& clock) {
    net::Loop loop{"start", clock};
    storage::Executor::set_current(&loop);
    std::optional<storage::StorageError> problem;
    bool is_done = false;
    auto preparing = [](Server& it, std::optional<storage::StorageError>& found) -> storage::Task<void> {
        auto task = it.prepare();
        const auto prepared = co_await task;
        if (!prepared) found = prepared.error();
    };
    storage::detach(preparing(server, problem), [&](const std::exception_ptr& exception) {
        if (exception) problem.emplace(storage::StorageError::Kind::broken, "preparing failed inside the server");
        is_done = true;
    });
    while (!is_done) loop.turn(milliseconds{100});
    storage::Executor::set_current(nullptr);
    return problem;
}

using Addresses = nlohmann::ordered_json;

Addresses addresses_of(const Server& server, const http::HttpServer& web) {
    return {{"c2s", server.addresses().c2s}, {"direct_tls", server.addresses().direct_tls}, {"http", web.addresses().http}, {"https", web.addresses().https}};
}

// For tools that start a server on any free port. Whoever sees the file sees all of it.
std::string write_addresses(const std::string& data, const Addresses& addresses) {
    const std::string path = data + addresses_file, fresh = path + ".new";
    {
        std::ofstream file{fresh, std::ios::trunc};
        file << addresses.dump() << '\n';
        file.close();
        if (!file) return fresh + ": cannot be written";
    }
    std::error_code error;
    std::filesystem::rename(fresh, path, error);
    return error ? path + ": " + error.message() : std::string{};
}

std::string join(const std::vector<std::string>& addresses) {
    std::string text;
    for (const std::string& address : addresses) text += (text.empty() ? "" : " ") + address;
    return text.empty() ? "-" : text;
}

// Whether the program that is at our path now would start; who asked is told.
bool is_upgrade_possible(Upgrade& upgrade) {
    const Upgrade::Outcome outcome = upgrade.try_out();
    if (outcome) log::info("going down for an upgrade", {{"from", "tern " TERN_VERSION}, {"to", *outcome}});
    else log::error("no upgrade: the other program would not start", {{"why", outcome.error()}});
    upgrade.answer(outcome);
    return outcome.ok();
}

struct Ending {
    int code = done;
    std::optional<net::Handover> next;   // an upgrade: what the next process goes on listening on
};

// Open, until a signal says otherwise.
Ending run(const Signals& signals, Server& server, const std::optional<std::string>& config_file, const Environment& environment, Upgrade& upgrade) {
    const std::string data = server.config()->data;
    net::Handover left = net::Handover::received();
    if (auto started = server.start(left); !started) return {fail("cannot start", started.error()), {}};
    auto web = http::HttpServer::start(server, left);
    if (!web) return {fail("cannot start", web.error()), {}};
    const auto reload = [&server, config_file, environment] { return admin::reload_configuration(server, config_file, environment); };
    const admin::Context context{server, reload, [&upgrade](Upgrade::Answer answer) { upgrade.ask(std::move(answer)); }};
    auto socket = admin::AdminSocket::open(context, admin::socket_path(data));
    if (!socket) return {fail("cannot start", socket.error()), {}};
    if (const std::string problem = write_addresses(data, addresses_of(server, **web)); !problem.empty()) return {fail("cannot start", problem), {}};
    log::info("tern " TERN_VERSION " is up", {{"domains", join(server.config()->domains)}, {"c2s", join(server.addresses().c2s)},
        {"direct_tls", join(server.addresses().direct_tls)}, {"http", join((*web)->addresses().http)}, {"https", join((*web)->addresses().https)},
        {"storage", server.storage().describe()}, {"workers", std::to_string(server.workers().size())}});

    Ending ending;
    int signal = 0;
    while (signal != SIGTERM && signal != SIGINT && !ending.next) {
        signal = signals.wait();
        if (signal == SIGHUP) reload();
        if (signal == SIGUSR2 && is_upgrade_possible(upgrade)) {
            server.hand_over(ending.next.emplace());
            (*web)->hand_over(*ending.next);
        }
    }
    upgrade.refuse("the server is going down");
    if (!ending.next) {
        log::info("going down", {{"signal", signal == SIGINT ? "SIGINT" : "SIGTERM"}});
        signals.let_go();
    }
    std::error_code gone_already;
    std::filesystem::remove(data + addresses_file, gone_already);
    return ending;   // the socket and HTTP close as they go; then the caller stops the server
}

}  // namespace

int serve(const std::optional<std::string>& config_file, const std::optional<std::string>& data) {
    Environment environment = process_environment();
    if (data) environment["TERN_DATA"] = *data;
    auto config = read_config(config_file, environment);
    if (!config) {
        for (const ConfigProblem& problem : config.error()) std::cerr << problem.text << '\n';
        return wrong_configuration;
    }
    log::open(config->log);
    const Signals signals;
    Upgrade upgrade{config_file, data};
    raise_file_limit();
    if (const std::string problem = make_data_directory(config->data); !problem.empty()) return fail("cannot make the data directory", problem);
    const auto lock = lock_data_directory(config->data);
    if (!lock) return fail("cannot start", lock.error());

    std::error_code was_not_there;
    std::filesystem::remove(config->data + addresses_file, was_not_there);   // of a server that was killed

    std::unique_ptr<storage::Storage> storage;
    const storage::Options options = storage_options(*config);
    const bool is_open = attempt_until_done(signals, "cannot open the storage", [&]() -> std::optional<storage::StorageError> {
        auto opened = storage::open(options);
        if (!opened) return opened.error();
        storage = std::move(*opened);
        return std::nullopt;
    });
    if (!is_open) return cannot;

    const net::SystemClock clock;
    const unsigned workers = config->workers > 0 ? config->workers : std::max(1U, std::thread::hardware_concurrency());
    Ending ending;
    {
        Server server{std::move(*config), std::move(storage), clock, workers};
        if (!attempt_until_done(signals, "cannot read from the storage", [&] { return prepare(server, clock); })) return cannot;
        ending = run(signals, server, config_file, environment, upgrade);
        server.stop();
    }
    if (ending.next) return fail("cannot run the other program", upgrade.replace_this_process(*ending.next));
    if (ending.code == done) log::info("stopped");
    return ending.code;
}

}  // namespace server
