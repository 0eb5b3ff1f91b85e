// SPDX-License-Identifier: MIT
// Trying out the other program, and becoming it.
#include "server/upgrade.h"

#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>

#include "server/net/descriptor.h"
#include "server/net/listening.h"

namespace server {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds patience = 20s;   // for the other program, to say how it is
constexpr std::size_t longest_output = 16 * 1024;

namespace {

std::vector<char*> pointers_to(std::vector<std::string>& words) {
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    return pointers;
}

// Nothing when it does not end in time.
std::optional<std::string> read_all(int descriptor) {
    std::string text;
    std::array<char, 4096> buffer{};
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (;;) {
        pollfd ready{descriptor, POLLIN, 0};
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        const int count = ::poll(&ready, 1, static_cast<int>(std::max(left, 0ms).count()));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return std::nullopt;
        const ssize_t size = ::read(descriptor, buffer.data(), buffer.size());
        if (size <= 0) return text;
        if (text.size() < longest_output) text.append(buffer.data(), static_cast<std::size_t>(size));
    }
}

// Its output, if it ends well; else its last words.
Upgrade::Outcome run(std::vector<std::string> command) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return xmpp::Failure{std::string{std::strerror(errno)}};
    const net::Descriptor ours{ends[0]};
    net::Descriptor theirs{ends[1]};

    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, theirs.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, theirs.get(), STDERR_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t child = -1;
    const int problem = ::posix_spawn(&child, command.front().c_str(), &files, &attributes, pointers_to(command).data(), environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (problem != 0) return xmpp::Failure{command.front() + ": " + std::strerror(problem)};

    theirs = net::Descriptor{};
    std::optional<std::string> output = read_all(ours.get());
    if (!output) ::kill(child, SIGKILL);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (!output) return xmpp::Failure{command.front() + " does not answer"};
    while (output->ends_with('\n')) output->pop_back();
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::move(*output);
    return xmpp::Failure{output->empty() ? command.front() + " does not run" : std::move(*output)};
}

}  // namespace

Upgrade::Upgrade(std::optional<std::string> config_file, std::optional<std::string> data) {
    std::error_code none;
    program_ = std::filesystem::read_symlink("/proc/self/exe", none).string();
    if (config_file) options_.insert(options_.end(), {"--config", *config_file});
    if (data) options_.insert(options_.end(), {"--data", *data});
}

Upgrade::Outcome Upgrade::try_out() const {
    auto version = run({program_, "--version"});
    if (!version) return version;
    std::vector<std::string> check{program_, "config", "check"};
    check.insert(check.end(), options_.begin(), options_.end());
    if (auto checked = run(std::move(check)); !checked) return checked;
    return version;
}

std::string Upgrade::replace_this_process(net::Handover& sockets) const {
    std::vector<std::string> command{program_, "serve"};
    command.insert(command.end(), options_.begin(), options_.end());
    sockets.leave();
    ::execv(program_.c_str(), pointers_to(command).data());
    return program_ + ": " + std::strerror(errno);
}

void Upgrade::ask(Answer answer) {
    std::unique_lock lock{mutex_};
    if (refused_) {
        const Outcome refused = xmpp::Failure{*refused_};
        lock.unlock();
        return answer(refused);
    }
    asked_.push_back(std::move(answer));
    ::kill(::getpid(), SIGUSR2);
}

void Upgrade::answer(const Outcome& outcome) {
    std::vector<Answer> asked;
    {
        const std::lock_guard lock{mutex_};
        asked.swap(asked_);
    }
    for (const Answer& each : asked) each(outcome);
}

void Upgrade::refuse(std::string why) {
    {
        const std::lock_guard lock{mutex_};
        refused_ = why;
    }
    answer(xmpp::Failure{std::move(why)});
}

}  // namespace server
