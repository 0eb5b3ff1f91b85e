// SPDX-License-Identifier: MIT
// What a run of the proof is asked to do, and the few things that all of it shares: dice, the time, what
// happened when.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace tests {

// What may happen. Each is one kind of step of the nemesis.
enum class Fault : std::uint8_t {
    kill,     // kill -9 of the server, which starts again
    term,     // SIGTERM, and start: sessions are stored
    upgrade,  // SIGUSR2: another program takes over at the same sockets
    dbkill,   // kill -9 of the database
    stop,     // SIGSTOP of the server, later SIGCONT
    dbstop,   // the same for the database
    slow,     // many short stops of the database (SQLite: of the server)
    disk,     // no space left, for a while
    cut,      // connections break: with RST or FIN, in the middle of a stanza, unheard
    leave,    // devices say goodbye and come back later
};
inline constexpr std::pair<Fault, const char*> fault_names[] = {
    {Fault::kill, "kill"}, {Fault::term, "term"},     {Fault::upgrade, "upgrade"}, {Fault::dbkill, "dbkill"},
    {Fault::stop, "stop"}, {Fault::dbstop, "dbstop"}, {Fault::slow, "slow"},       {Fault::disk, "disk"},
    {Fault::cut, "cut"},   {Fault::leave, "leave"}};

struct Plan {
    std::string tern;
    std::uint64_t seed = 0;
    std::uint64_t messages = 0;  // 0: as many as there is time for
    std::chrono::seconds time{30};
    bool uses_mysql = false;
    std::vector<Fault> faults;
    int accounts = 6;
    int every = 1000;  // acknowledged messages from one fault to the next, in the mean
    int window = 40;   // messages that a device sends before it waits for acks

    static constexpr int devices_per_account = 2;
    int devices() const { return accounts * devices_per_account; }
    // Restarts as an administrator does them: nothing may come twice, and sessions have to survive.
    bool is_orderly() const {
        const auto is_gentle = [](Fault fault) { return fault == Fault::term || fault == Fault::upgrade; };
        return !faults.empty() && std::ranges::all_of(faults, is_gentle);
    }
};

class Dice {
public:
    explicit Dice(std::uint64_t seed) : engine_{seed} {}
    int between(int least, int most) { return std::uniform_int_distribution<int>{least, most}(engine_); }
    bool one_in(int n) { return between(1, n) == 1; }
    std::chrono::milliseconds pause(int least, int most) {
        return std::chrono::milliseconds{between(least, most)};
    }
    std::uint64_t seed() { return engine_(); }

private:
    std::mt19937_64 engine_;
};

using Clock = std::chrono::steady_clock;
using Moment = std::uint32_t;  // milliseconds since the run began; 0: never

// What the nemesis did and when, for people who look for the cause of a loss. For any thread.
class Chronicle {
public:
    Moment now() const {
        return 1 + static_cast<Moment>(
                       std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin_).count());
    }
    void tell(std::string what);
    std::string around(Moment when) const;  // the last steps before it and the first behind
    static std::string text(Moment when);

private:
    struct Step {
        Moment when;
        std::string what;
    };
    Clock::time_point begin_ = Clock::now();
    mutable std::mutex mutex_;
    std::vector<Step> steps_;
};

}  // namespace tests
