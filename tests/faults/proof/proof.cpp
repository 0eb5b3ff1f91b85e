// SPDX-License-Identifier: MIT
// proof --tern BINARY [--seed N] [--seconds N] [--messages N] [--storage sqlite|mysql] [--faults LIST]
// [--accounts N]
//       [--every N] [--window N]
// The proof of "what was acked is never lost, to no device, in order, and never twice for a device that acked
// it": devices exchange numbered messages while a nemesis kills, stops, cuts and fills
// (tests/faults/proof/plan.h has the list), and a ledger compares. One line says how it went; exit code 1,
// with details, when a promise was broken.
// `--faults term,upgrade` alone is stricter: nothing may come twice for whatever reason, and 99 of 100
// sessions are resumed.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "tests/faults/proof/archive_check.h"
#include "tests/faults/proof/nemesis.h"

namespace {

using namespace tests;

constexpr const char* usage =
    "proof --tern BINARY [--seed N] [--seconds N] [--messages N] [--storage sqlite|mysql] [--faults LIST] "
    "[--accounts N]\n"
    "      [--every N] [--window N]\n"
    "  --seconds N   how long messages are sent (30; with --messages: without end)\n"
    "  --messages N  how many, all together\n"
    "  --faults LIST of kill,term,upgrade,dbkill,stop,dbstop,slow,disk,cut,leave; none; all that fit when "
    "not given\n"
    "  --every N     acknowledged messages from one fault to the next, in the mean (1000)\n"
    "  --window N    messages that a device sends before it waits for acks (40)\n";

bool needs_mysql(Fault fault) { return fault == Fault::dbkill || fault == Fault::dbstop; }

std::vector<Fault> faults_of(const std::string& list) {
    std::vector<Fault> faults;
    std::istringstream names{list == "none" ? "" : list};
    for (std::string name; std::getline(names, name, ',');) {
        const auto* const found =
            std::ranges::find_if(fault_names, [&](const auto& known) { return known.second == name; });
        if (found == std::end(fault_names)) throw std::invalid_argument{"there is no fault " + name};
        faults.push_back(found->first);
    }
    return faults;
}

Plan plan_of(int argc, char** argv) {
    Plan plan;
    std::string faults, seconds;
    for (int i = 1; i < argc; i += 2) {
        const std::string name = argv[i];
        if (i + 1 >= argc) throw std::invalid_argument{name + " needs a value"};
        const std::string value = argv[i + 1];
        if (name == "--tern")
            plan.tern = std::filesystem::absolute(value);
        else if (name == "--seed")
            plan.seed = std::stoull(value);
        else if (name == "--seconds")
            seconds = value;
        else if (name == "--messages")
            plan.messages = std::stoull(value);
        else if (name == "--storage")
            plan.uses_mysql = value == "mysql";
        else if (name == "--faults")
            faults = value;
        else if (name == "--accounts")
            plan.accounts = std::max(2, std::stoi(value));
        else if (name == "--every")
            plan.every = std::max(2, std::stoi(value));
        else if (name == "--window")
            plan.window = std::max(1, std::stoi(value));
        else
            throw std::invalid_argument{"there is no option " + name};
    }
    if (plan.tern.empty()) throw std::invalid_argument{"--tern BINARY is needed"};
    if (!seconds.empty())
        plan.time = std::chrono::seconds{std::stol(seconds)};
    else if (plan.messages != 0)
        plan.time = std::chrono::hours{1000};
    if (plan.seed == 0) plan.seed = std::random_device{}();
    for (const auto& [fault, name] : fault_names) {
        if (faults.empty() && (plan.uses_mysql ? fault != Fault::disk : !needs_mysql(fault)))
            plan.faults.push_back(fault);
    }
    if (!faults.empty()) plan.faults = faults_of(faults);
    if (!plan.uses_mysql && std::ranges::any_of(plan.faults, needs_mysql))
        throw std::invalid_argument{"dbkill and dbstop need --storage mysql"};
    if (plan.uses_mysql && std::ranges::count(plan.faults, Fault::disk) != 0)
        throw std::invalid_argument{"disk needs --storage sqlite"};
    return plan;
}

void print_summary(const Ledger& ledger, const Device::Resumptions& resumptions,
                   const std::map<Fault, int>& done, double seconds) {
    const Ledger::Counts& counts = ledger.counts();
    const auto times = [&](Fault fault) { return done.contains(fault) ? done.at(fault) : 0; };
    std::printf("faults:");
    for (const auto& [fault, name] : fault_names)
        if (times(fault) != 0) std::printf(" %s %d", name, times(fault));
    std::printf(
        "; sent again by senders without an ack %llu, of which %llu came twice; again without a known ack "
        "%llu; "
        "refused %llu; %.0f s, %.0f acked a second\n",
        static_cast<unsigned long long>(counts.sent_again),
        static_cast<unsigned long long>(counts.copies_of_sent_again),
        static_cast<unsigned long long>(counts.again_unacked),
        static_cast<unsigned long long>(counts.refused), seconds,
        static_cast<double>(counts.acked) / seconds);
    std::printf(
        "acked %llu, delivered %llu, lost %llu, duplicated %llu, reordered %llu, kills %d, resumed %llu of "
        "%llu\n",
        static_cast<unsigned long long>(counts.acked), static_cast<unsigned long long>(counts.delivered),
        static_cast<unsigned long long>(counts.lost), static_cast<unsigned long long>(counts.duplicated),
        static_cast<unsigned long long>(counts.reordered), times(Fault::kill) + times(Fault::dbkill),
        static_cast<unsigned long long>(resumptions.done),
        static_cast<unsigned long long>(resumptions.tried));
}

// The log outlives the run when there is something to look for in it.
void keep_log(const Surroundings& surroundings, std::uint64_t seed) {
    const std::string kept =
        (std::filesystem::temp_directory_path() / ("tern-proof-" + std::to_string(seed) + ".log")).string();
    std::filesystem::copy_file(surroundings.log_file(), kept,
                               std::filesystem::copy_options::overwrite_existing);
    std::printf("the server's log: %s\n", kept.c_str());
}

bool prove(Plan plan) {
    Dice dice{plan.seed};
    const bool wants_disk = std::ranges::count(plan.faults, Fault::disk) != 0;
    Surroundings surroundings{plan, wants_disk};
    if (wants_disk && surroundings.disk() == nullptr) {
        std::printf("the disk will not be full: that needs root\n");
        std::erase(plan.faults, Fault::disk);
    }
    Chronicle chronicle;
    Fleet fleet{plan, chronicle, dice.seed()};
    Nemesis nemesis{plan, surroundings, fleet, chronicle, dice.seed()};
    const auto began = Clock::now();
    try {
        surroundings.start();
        fleet.announce(surroundings.incarnation());
        nemesis.run(began + plan.time);
        fleet.settle();
        Ledger& ledger = fleet.ledger();
        const double seconds = std::chrono::duration<double>(Clock::now() - began).count();
        ledger.count_lost();
        check_archives(surroundings.process(), plan, ledger);
        const auto resumptions = fleet.resumptions();
        if (plan.is_orderly() && resumptions.done * 100 < resumptions.tried * 99)
            ledger.wrong("resumption", "fewer than 99 of 100 sessions were resumed");
        for (const std::string& detail : ledger.details()) std::printf("  %s\n", detail.c_str());
        if (!ledger.is_right()) keep_log(surroundings, plan.seed);
        print_summary(ledger, resumptions, nemesis.done(), seconds);
        return ledger.is_right();
    } catch (const std::exception& problem) {
        std::printf("the run broke off: %s\n", problem.what());
        keep_log(surroundings, plan.seed);
        return false;
    }
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    try {
        const Plan plan = plan_of(argc, argv);
        std::printf("seed %llu\n", static_cast<unsigned long long>(plan.seed));
        std::fflush(stdout);
        return prove(plan) ? 0 : 1;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "%s\n%s", problem.what(), usage);
        return 2;
    }
}
