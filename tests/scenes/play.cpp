// SPDX-License-Identifier: MIT
// play FILE...: plays scenes against the server inside this process. Exit code 0: all passed; 1: one failed.
#include <cstdio>

#include "tests/support/in_process.h"
#include "tests/support/scene.h"

int main(int argc, char** argv) {
    int failed = 0;
    for (int i = 1; i < argc; ++i) {
        const auto scene = tests::read_scene(argv[i]);
        tests::Outcome outcome;
        if (scene) {
            tests::InProcess stage;
            outcome = tests::play(*scene, stage);
        } else {
            outcome = {tests::Outcome::Kind::failed, scene.error()};
        }
        const bool passed = outcome.kind == tests::Outcome::Kind::passed;
        std::printf("%s %s\n%s%s", passed ? "ok  " : "FAIL", argv[i], outcome.text.c_str(), outcome.text.empty() ? "" : "\n");
        failed += passed ? 0 : 1;
    }
    return failed == 0 && argc > 1 ? 0 : 1;
}
