// SPDX-License-Identifier: MIT
#include "tests/clients/tern_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace tests {

namespace {

constexpr int start_deadline = 60'000;   // milliseconds; sanitizers on a busy machine are slow
constexpr int stop_deadline = 20'000;
constexpr std::size_t longest_report = 20'000;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif

TernProcess::Address first_address(const nlohmann::json& addresses, const char* name) {
    if (!addresses.contains(name) || addresses[name].empty()) return {};
    const std::string text = addresses[name].front();
    const std::size_t colon = text.rfind(':');
    return {text.substr(0, colon), static_cast<std::uint16_t>(std::stoul(text.substr(colon + 1)))};
}

}  // namespace

TernProcess::TernProcess(const std::string& binary, std::string directory, const Environment& environment)
    : directory_{std::move(directory)}, data_{directory_ + "/data"} {
    std::filesystem::create_directories(data_);
    std::filesystem::permissions(data_, std::filesystem::perms::owner_all);
    std::filesystem::remove(data_ + "/addresses.json");
    start(binary, environment);
    wait_until_up();
}

// What a sanitizer has to say of the server fails the test that started it, whatever else the test looks at. Leaks are
// told of at an orderly end alone.
TernProcess::~TernProcess() {
    bool is_stuck = false;
    if (is_sanitized && pid_ > 0) {
        ::kill(pid_, SIGCONT);
        is_stuck = stop() == -1;   // a crash at the end, or no end at all
    }
    kill();
    const std::string text = log();
    if (is_stuck) std::fprintf(stderr, "tern did not end by itself\n");
    for (const std::string_view report : {"ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "FATAL: ThreadSanitizer",
                                          "CHECK failed", "runtime error: "}) {
        const std::size_t at = text.find(report);
        if (at == std::string::npos) continue;
        std::fprintf(stderr, "tern: %s\n", text.substr(at, longest_report).c_str());
        std::abort();
    }
    if (is_stuck) std::abort();
}

void TernProcess::start(const std::string& binary, const Environment& environment) {
    std::vector<std::string> variables{"TERN_DATA=" + data_, "TERN_C2S_LISTEN=127.0.0.1:0", "TERN_C2S_DIRECT_TLS=127.0.0.1:0",
                                       "TERN_HTTP_LISTEN=127.0.0.1:0", "TERN_HTTP_TLS=127.0.0.1:0"};
    for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
    for (char** inherited = environ; *inherited != nullptr; ++inherited)
        if (!std::string_view{*inherited}.starts_with("TERN_")) variables.emplace_back(*inherited);
    std::vector<char*> block;
    for (std::string& variable : variables) block.push_back(variable.data());
    block.push_back(nullptr);
    std::string program = std::filesystem::absolute(binary), command = "serve";  // it starts elsewhere
    char* arguments[] = {program.data(), command.data(), nullptr};
    const std::string log_file = directory_ + "/log";

    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error{"fork failed"};
    if (pid_ > 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);   // never outlives the test
    if (::getppid() != parent) ::_exit(127);
    const int log = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    if (::chdir(directory_.c_str()) != 0) ::_exit(126);
    ::execve(arguments[0], arguments, block.data());
    ::_exit(127);
}

// The server writes the file under another name and renames it: once it is there it is complete.
void TernProcess::wait_until_up() {
    const std::string path = data_ + "/addresses.json";
    const int watch = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    ::inotify_add_watch(watch, data_.c_str(), IN_MOVED_TO);
    const int process = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds{start_deadline};
    bool is_gone = false;
    while (!std::filesystem::exists(path) && !is_gone && std::chrono::steady_clock::now() < deadline) {
        pollfd waiting[] = {{watch, POLLIN, 0}, {process, POLLIN, 0}};
        ::poll(waiting, 2, 1000);
        char events[4096];
        while (::read(watch, events, sizeof events) > 0) {}
        is_gone = (waiting[1].revents & POLLIN) != 0;
    }
    ::close(watch);
    ::close(process);
    std::ifstream file{path};
    const auto addresses = nlohmann::json::parse(file, nullptr, false);
    if (addresses.is_discarded()) fail(is_gone ? "tern ended at once" : "tern does not listen");
    c2s_ = first_address(addresses, "c2s");
    direct_tls_ = first_address(addresses, "direct_tls");
    http_ = first_address(addresses, "http");
}

void TernProcess::fail(const std::string& why) {
    kill();
    throw std::runtime_error{why + ":\n" + log()};
}

bool TernProcess::wait_for_exit(int milliseconds) {
    if (pid_ <= 0) return true;
    const int process = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    pollfd waiting{process, POLLIN, 0};
    const bool ended = ::poll(&waiting, 1, milliseconds) > 0;
    ::close(process);
    if (!ended) return false;
    int status = 0;
    ::waitpid(pid_, &status, 0);
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    pid_ = -1;
    return true;
}

int TernProcess::stop() {
    if (pid_ > 0) ::kill(pid_, SIGTERM);
    if (!wait_for_exit(stop_deadline)) kill();
    return exit_code_;
}

void TernProcess::kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait_for_exit(-1);
}

std::string TernProcess::log() const {
    std::ifstream file{directory_ + "/log"};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::vector<std::string> TernProcess::logged_errors() const {
    std::vector<std::string> errors;
    std::istringstream lines{log()};
    for (std::string line; std::getline(lines, line);) {
        const std::size_t space = line.find(' ');   // behind the time
        const bool is_error = space != std::string::npos && line.substr(space + 1).starts_with("error ");
        if (is_error || line.find("ERROR: ") != std::string::npos || line.find("runtime error:") != std::string::npos) errors.push_back(line);
    }
    return errors;
}

}  // namespace tests
