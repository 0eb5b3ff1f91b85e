// SPDX-License-Identifier: MIT
#include "tests/faults/proof/nemesis.h"

#include <algorithm>

namespace tests {

namespace {

int weight(Fault fault) {
    return fault == Fault::kill || fault == Fault::cut      ? 3
           : fault == Fault::term || fault == Fault::dbkill ? 2
                                                            : 1;
}

std::string text(std::chrono::milliseconds time) { return std::to_string(time.count()) + " ms"; }

}  // namespace

Nemesis::Nemesis(const Plan& plan, Surroundings& surroundings, Fleet& fleet, Chronicle& chronicle,
                 std::uint64_t seed)
    : plan_{plan}, surroundings_{surroundings}, fleet_{fleet}, chronicle_{chronicle}, dice_{seed} {
    for (const Fault fault : plan.faults)
        lots_.insert(lots_.end(), static_cast<std::size_t>(weight(fault)), fault);
}

void Nemesis::run(Clock::time_point until) {
    while (Clock::now() < until) {
        const std::uint64_t next =
            fleet_.acked() + static_cast<std::uint64_t>(dice_.between(plan_.every / 2, plan_.every * 3 / 2));
        if (!fleet_.wait(next, until) || Clock::now() >= until) return;
        if (!lots_.empty()) step();
    }
}

void Nemesis::step() {
    const Fault fault = lots_[static_cast<std::size_t>(dice_.between(0, static_cast<int>(lots_.size()) - 1))];
    ++done_[fault];
    switch (fault) {
        case Fault::kill: return kill_server();
        case Fault::term: return restart_server();
        case Fault::upgrade: return upgrade_server();
        case Fault::dbkill: return kill_database();
        case Fault::stop: {
            chronicle_.tell("SIGSTOP of the server");
            surroundings_.freeze();
            wait(10, 1000);
            surroundings_.thaw();
            return chronicle_.tell("SIGCONT of the server");
        }
        case Fault::dbstop: {
            chronicle_.tell("SIGSTOP of the database");
            surroundings_.database()->freeze();
            wait(10, 2000);
            surroundings_.database()->thaw();
            return chronicle_.tell("SIGCONT of the database");
        }
        case Fault::slow: return slow_down();
        case Fault::disk: return fill_disk();
        case Fault::cut: return cut_connections();
        case Fault::leave: return send_devices_away();
    }
}

// A pause of the schedule, not a wait for something.
void Nemesis::wait(int least, int most) { std::this_thread::sleep_for(dice_.pause(least, most)); }

void Nemesis::kill_server() {
    // Sometimes with much on its way to a database that does not answer.
    MariaDb* const database = dice_.one_in(3) ? surroundings_.database() : nullptr;
    if (database != nullptr) {
        chronicle_.tell("SIGSTOP of the database");
        database->freeze();
        wait(5, 300);
    }
    chronicle_.tell("kill -9 of the server");
    surroundings_.kill();
    fleet_.announce({});
    if (database != nullptr) database->thaw();
    wait(0, 200);
    come_up();
}

void Nemesis::restart_server() {
    chronicle_.tell("SIGTERM of the server");
    fleet_.announce({});
    const int code = surroundings_.stop();
    if (code != 0) chronicle_.tell("the server ended with code " + std::to_string(code));
    wait(0, 200);
    come_up();
}

void Nemesis::upgrade_server() {
    chronicle_.tell("SIGUSR2 to the server");
    surroundings_.upgrade();
    chronicle_.tell("the next server is up");
}

void Nemesis::come_up() {
    surroundings_.start();
    chronicle_.tell("the server is up");
    fleet_.announce(surroundings_.incarnation());
}

void Nemesis::kill_database() {
    chronicle_.tell("kill -9 of the database");
    surroundings_.database()->kill();
    wait(0, 1000);
    surroundings_.database()->restart();
    chronicle_.tell("the database is up");
}

void Nemesis::slow_down() {
    const int times = dice_.between(5, 60);
    MariaDb* const database = surroundings_.database();
    chronicle_.tell(std::string{"the "} + (database != nullptr ? "database" : "server") + " is slow");
    for (int i = 0; i < times; ++i) {
        if (database != nullptr)
            database->freeze();
        else
            surroundings_.freeze();
        wait(1, 40);
        if (database != nullptr)
            database->thaw();
        else
            surroundings_.thaw();
        wait(1, 10);
    }
    chronicle_.tell("it is no longer slow");
}

void Nemesis::fill_disk() {
    chronicle_.tell("the disk is full");
    surroundings_.disk()->shrink();
    wait(50, 1000);
    surroundings_.disk()->grow();
    chronicle_.tell("there is space on the disk");
}

void Nemesis::cut_connections() {
    const int count = dice_.one_in(4) ? plan_.devices() : dice_.between(1, plan_.devices() / 2);
    for (int i = 0; i < count; ++i) {
        const int device = dice_.between(0, plan_.devices() - 1);
        constexpr std::pair<Device::Cut, const char*> ways[] = {
            {Device::Cut::reset, "reset"},
            {Device::Cut::fin, "closed"},
            {Device::Cut::torn, "closed in the middle of a stanza"},
            {Device::Cut::unheard, "abandoned without a word"},
            {Device::Cut::deaf, "not read, then reset"}};
        const auto& [how, name] = ways[dice_.between(0, 4)];
        const auto pause = dice_.pause(0, 500);
        chronicle_.tell("connection of device " + std::to_string(device) + " " + name + ", " + text(pause));
        fleet_.cut(device, how, pause);
    }
}

void Nemesis::send_devices_away() {
    for (int i = dice_.between(1, std::max(1, plan_.devices() / 3)); i > 0; --i) {
        const int device = dice_.between(0, plan_.devices() - 1);
        const auto pause = dice_.pause(0, 2000);
        chronicle_.tell("device " + std::to_string(device) + " leaves for " + text(pause));
        fleet_.leave(device, pause);
    }
}

}  // namespace tests
