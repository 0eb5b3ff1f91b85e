// SPDX-License-Identifier: MIT
// Breaks things, by dice: what, when (in messages acknowledged since the last time), and for how long.
// Everything is whole again when a step is over, except for connections, which devices make again.
#pragma once

#include <map>

#include "tests/faults/proof/fleet.h"
#include "tests/faults/proof/surroundings.h"

namespace tests {

class Nemesis {
public:
    Nemesis(const Plan& plan, Surroundings& surroundings, Fleet& fleet, Chronicle& chronicle,
            std::uint64_t seed);

    void run(Clock::time_point until);  // also returns when no more messages are sent
    const std::map<Fault, int>& done() const { return done_; }

private:
    void step();
    void kill_server();
    void restart_server();
    void upgrade_server();
    void kill_database();
    void stop_something();
    void slow_down();
    void fill_disk();
    void cut_connections();
    void send_devices_away();
    void wait(int least, int most);  // milliseconds, drawn
    void come_up();

    const Plan& plan_;
    Surroundings& surroundings_;
    Fleet& fleet_;
    Chronicle& chronicle_;
    Dice dice_;
    std::vector<Fault> lots_;  // drawn from; what is dear to us several times
    std::map<Fault, int> done_;
};

}  // namespace tests
