// SPDX-License-Identifier: MIT
// The workloads; each is one file work_*.cpp and prints its report. relay is a server.
#pragma once

#include "tests/bench/options.h"

namespace bench {

void run_register(const Options& options);
void run_befriend(const Options& options);
void run_idle(const Options& options);
void run_login(const Options& options);
void run_chat(const Options& options);
void run_latency(const Options& options);
void run_presence(const Options& options);
void run_offline(const Options& options);
void run_room(const Options& options);
void run_storm(const Options& options);
void run_relay(const Options& options);

}  // namespace bench
