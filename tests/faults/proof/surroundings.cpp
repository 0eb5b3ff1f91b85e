// SPDX-License-Identifier: MIT
#include "tests/faults/proof/surroundings.h"

#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <stdexcept>

#include "tests/support/accounts.h"

namespace tests {

namespace {

constexpr std::chrono::seconds upgrade_deadline{60};
constexpr const char* ample = "size=16g";  // taken as it is used

}  // namespace

ShrinkingDisk::ShrinkingDisk()
    : is_mounted_{::mount("tmpfs", directory_.path().c_str(), "tmpfs", 0, ample) == 0} {}

ShrinkingDisk::~ShrinkingDisk() {
    if (is_mounted_) ::umount2(directory_.path().c_str(), MNT_DETACH);
}

void ShrinkingDisk::shrink() const {
    struct statvfs use {};
    // The server writes meanwhile: then what was used is no longer enough, and refused.
    for (int tries = 0; tries < 100; ++tries) {
        ::statvfs(path().c_str(), &use);
        const std::string size = "size=" + std::to_string((use.f_blocks - use.f_bfree) * use.f_frsize);
        if (::mount(nullptr, path().c_str(), nullptr, MS_REMOUNT, size.c_str()) == 0) return;
    }
    throw std::runtime_error{"the disk cannot be made small"};
}

void ShrinkingDisk::grow() const {
    if (::mount(nullptr, path().c_str(), nullptr, MS_REMOUNT, ample) != 0)
        throw std::runtime_error{"the disk stays small"};
}

Surroundings::Surroundings(const Plan& plan, bool wants_disk) : plan_{plan} {
    const std::string data = directory_.path() + "/data";
    if (wants_disk) {
        disk_ = std::make_unique<ShrinkingDisk>();
        if (!disk_->is_mounted()) disk_.reset();
    }
    if (disk_)
        std::filesystem::create_directory_symlink(disk_->path(), data);
    else
        std::filesystem::create_directories(data);
    if (plan_.uses_mysql) database_ = std::make_unique<MariaDb>();
    storage_url_ = database_ ? database_->url(database_->create_database()) : "sqlite:" + data + "/tern.db";
    make_accounts();
}

void Surroundings::make_accounts() const {
    storage::Options options;
    options.url = storage_url_;
    auto opened = storage::open(options);
    if (!opened) throw std::runtime_error{"storage: " + opened.error().text};
    Scene scene;
    for (int device = 0; device < plan_.devices(); ++device) {
        Role role;
        role.name = role.jid = Device::account(device / Plan::devices_per_account) + "@localhost";
        role.password = Device::password(device);
        scene.accounts.push_back(role);
    }
    tests::make_accounts(
        **opened, scene,
        std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now()));
}

void Surroundings::start() {
    const TernProcess::Environment environment{{"TERN_STORAGE_URL", storage_url_},
                                               {"TERN_C2S_REQUIRE_TLS", "false"},
                                               {"TERN_LIMITS_LOGINS_PER_ADDRESS", "2000"}};
    process_ = std::make_unique<TernProcess>(plan_.tern, directory_.path(), environment);
}

void Surroundings::kill() {
    process_->kill();
    ++crashes_;
}

// It says where it listens as soon as it does.
void Surroundings::upgrade() {
    const int watch = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    ::inotify_add_watch(watch, process_->data().c_str(), IN_MOVED_TO);
    ::kill(process_->pid(), SIGUSR2);
    bool is_up = false;
    for (const auto until = Clock::now() + upgrade_deadline; !is_up && Clock::now() < until;) {
        pollfd waiting{watch, POLLIN, 0};
        ::poll(&waiting, 1, 1000);
        std::array<char, 4096> events{};
        const auto count = ::read(watch, events.data(), events.size());
        is_up = count > 0 && std::string_view{events.data(), static_cast<std::size_t>(count)}.find(
                                 "addresses.json") != std::string_view::npos;
    }
    ::close(watch);
    if (!is_up) throw std::runtime_error{"no other server came up for an upgrade"};
}

int Surroundings::stop() { return process_->stop(); }
void Surroundings::freeze() { ::kill(process_->pid(), SIGSTOP); }
void Surroundings::thaw() { ::kill(process_->pid(), SIGCONT); }

Incarnation Surroundings::incarnation() const {
    return {process_->c2s().host, process_->c2s().port, crashes_};
}

}  // namespace tests
