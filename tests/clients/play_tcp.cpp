// SPDX-License-Identifier: MIT
// play_tcp --tern BINARY [--storage sqlite|mysql] [--jobs N] FILE...: plays scenes against `tern serve` with libstrophe,
// each with a server and a database of its own. One line a scene; exit code 0: all passed or skipped, 77: all skipped.
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "tests/clients/tcp_stage.h"
#include "tests/support/mariadb.h"

namespace {

struct Plan {
    std::string binary;
    bool use_mysql = false;
    std::size_t jobs = 1;
    std::vector<std::string> files;
};

tests::Outcome play_file(const Plan& plan, const std::string& file) {
    const auto scene = tests::read_scene(file);
    if (!scene) return {tests::Outcome::Kind::failed, scene.error()};
    std::string database;
    tests::TcpStage stage{plan.binary, [&](const std::string& directory) {
        if (!plan.use_mysql) return "sqlite:" + directory + "/tern.db";
        database = tests::MariaDb::shared().create_database();
        return tests::MariaDb::shared().url(database);
    }};
    tests::Outcome outcome = tests::play(*scene, stage);
    if (!database.empty()) tests::MariaDb::shared().drop_database(database);
    return outcome;
}

int play_share(const Plan& plan, std::size_t share) {
    bool any_failed = false, all_skipped = true;
    for (std::size_t i = share; i < plan.files.size(); i += plan.jobs) {
        const tests::Outcome outcome = play_file(plan, plan.files[i]);
        constexpr const char* words[] = {"ok  ", "FAIL", "skip"};
        std::printf("%s %s\n%s%s", words[static_cast<int>(outcome.kind)], plan.files[i].c_str(), outcome.text.c_str(), outcome.text.empty() ? "" : "\n");
        std::fflush(stdout);
        any_failed = any_failed || outcome.kind == tests::Outcome::Kind::failed;
        all_skipped = all_skipped && outcome.kind == tests::Outcome::Kind::skipped;
    }
    return any_failed ? 1 : all_skipped ? 77 : 0;
}

// Each job is a process: libstrophe is not for several threads.
int play_all(const Plan& plan) {
    if (plan.jobs == 1) return play_share(plan, 0);
    std::vector<pid_t> children;
    for (std::size_t share = 0; share < plan.jobs; ++share) {
        const pid_t child = ::fork();
        if (child == 0) {
            // exit() and not _exit(): the job's own MariaDB goes with its static objects.
            std::exit(play_share(plan, share));
        }
        children.push_back(child);
    }
    bool any_failed = false;
    for (const pid_t child : children) {
        int status = 0;
        ::waitpid(child, &status, 0);
        any_failed = any_failed || !WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 77);
    }
    return any_failed ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    Plan plan;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const bool has_value = i + 1 < argc;
        if (argument == "--tern" && has_value) plan.binary = std::filesystem::absolute(argv[++i]);   // the server runs in another directory
        else if (argument == "--storage" && has_value) plan.use_mysql = std::string{argv[++i]} == "mysql";
        else if (argument == "--jobs" && has_value) plan.jobs = std::max(1UL, std::stoul(argv[++i]));
        else plan.files.push_back(argument);
    }
    if (plan.binary.empty() || plan.files.empty()) {
        std::fprintf(stderr, "play_tcp --tern BINARY [--storage sqlite|mysql] [--jobs N] FILE...\n");
        return 2;
    }
    return play_all(plan);
}
