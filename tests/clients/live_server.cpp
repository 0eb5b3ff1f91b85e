// SPDX-License-Identifier: MIT
#include "tests/clients/live_server.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/support/accounts.h"

namespace tests {

namespace {

Role person(const std::string& jid, const std::string& password) {
    Role role;
    role.name = role.jid = jid;
    role.password = password;
    return role;
}

// Fields of /proc/PID/stat behind the command's name, which may hold blanks.
double cpu_seconds_of(pid_t process) {
    std::ifstream file{"/proc/" + std::to_string(process) + "/stat"};
    std::string line;
    std::getline(file, line);
    std::istringstream fields{line.substr(std::min(line.rfind(')') + 2, line.size()))};
    std::string skipped;
    for (int i = 3; i < 14; ++i) fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double resident_megabytes_of(pid_t process) {
    std::ifstream file{"/proc/" + std::to_string(process) + "/statm"};
    double size = 0, resident = 0;
    file >> size >> resident;
    return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1024.0 * 1024.0);
}

// The process opens and closes while its directory is read.
std::size_t count_descriptors(pid_t process, std::string_view of) {
    std::size_t count = 0;
    std::error_code gone;
    for (std::filesystem::directory_iterator at{"/proc/" + std::to_string(process) + "/fd", gone}, end;
         !gone && at != end; at.increment(gone)) {
        std::error_code closed;
        if (std::filesystem::read_symlink(at->path(), closed).string().starts_with(of) && !closed) ++count;
    }
    return count;
}

}  // namespace

LiveServer::LiveServer(const std::string& binary, Options options)
    : binary_{binary}, options_{std::move(options)} {
    if (options_.prepare) options_.prepare(data());
    std::filesystem::create_directories(data());
    if (options_.storage_url.empty()) options_.storage_url = "sqlite:" + data() + "/tern.db";
    if (!options_.is_started) return;
    make_people();
    start();
}

void LiveServer::make_people() const {
    storage::Options options;
    options.url = options_.storage_url;
    auto opened = storage::open(options);
    if (!opened) throw std::runtime_error{"storage: " + opened.error().text};
    Scene scene;
    for (const char* name : {"romeo", "juliet", "benvolio", "mercutio"})
        scene.accounts.push_back(person(std::string{name} + "@localhost", password));
    scene.accounts.push_back(person("juliet@localhost", second));
    make_accounts(**opened, scene,
                  std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()));
}

void LiveServer::start() {
    TernProcess::Environment environment{{"TERN_STORAGE_URL", options_.storage_url},
                                         {"TERN_SMS_GATEWAY", "file"},
                                         {"TERN_SMS_FILE", sms_file()}};
    environment.insert(environment.end(), options_.settings.begin(), options_.settings.end());
    process_ = std::make_unique<TernProcess>(binary_, directory(), environment);
}

void LiveServer::kill_and_start_again() {
    process_->kill();
    start();
}

std::string LiveServer::log() const {
    std::ifstream file{directory() + "/log"};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

bool LiveServer::is_alive() const {
    siginfo_t ended{};
    return ::waitid(P_PID, static_cast<id_t>(process_->pid()), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           ended.si_pid == 0;
}

Burden::Burden(pid_t process)
    : process_{process}, cpu_{cpu_seconds_of(process)}, resident_{resident_megabytes_of(process)} {}

double Burden::cpu_seconds() const { return cpu_seconds_of(process_) - cpu_; }
double Burden::megabytes() const { return resident_megabytes_of(process_) - resident_; }

std::size_t Burden::descriptors(pid_t process) { return count_descriptors(process, ""); }
std::size_t Burden::sockets(pid_t process) { return count_descriptors(process, "socket:"); }

}  // namespace tests
