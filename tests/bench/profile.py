# SPDX-License-Identifier: MIT
"""Runs Tern under valgrind with a workload and divides what it reports by the units of work. See tests/bench/profile."""

import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile

import servers

TERN = os.path.abspath("build/release/tern")
GENERATOR = os.path.abspath("build/release/tests/tern-bench")
UNITS = {"chat": "server::Router::from_client(", "login": "auth::(anonymous namespace)::Scram::take_final("}
ALLOCATIONS = ("malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign")
ACCOUNTS = {"chat": 200, "login": 200, "idle": 1100}
SHOWN = 60


class ProfiledTern(servers.Tern):
    """valgrind is the tool with its options, or nothing."""

    valgrind = ()

    def command(self):
        command, environment = super().command()
        return [*self.valgrind, *command], environment


class Costs:
    """What callgrind counted: instructions of functions with and without those they called, and who called whom."""

    def __init__(self, path):
        self.own = collections.Counter()
        self.with_callees = collections.Counter()
        self.calls = collections.defaultdict(collections.Counter)  # callee -> caller -> times
        self.names = {}
        with open(path) as file:
            self.read(file)

    def name(self, text):
        number, _, name = text.partition(" ")
        if name:
            self.names[number] = name
        return self.names.get(number, number)

    def read(self, file):
        function = callee = None
        for line in file:
            if line.startswith("fn="):
                function = self.name(line[3:].strip())
            elif line.startswith("cfn="):
                callee = self.name(line[4:].strip())
            elif line.startswith("calls="):
                self.calls[callee][function] += int(line[6:].split()[0])
                if callee != function:
                    self.with_callees[function] += int(next(file).split()[1])
            elif line[0].isdigit() or line[0] in "+-*":
                cost = int(line.split()[1])
                self.own[function] += cost
                self.with_callees[function] += cost

    def times(self, name):
        return sum(sum(callers.values()) for function, callers in self.calls.items() if name(function))


def short(name):
    for long in ("std::__cxx11::", "std::char_traits<char>", "(anonymous namespace)::"):
        name = name.replace(long, "")
    return re.sub(r",? ?std::allocator<[^<>]*>", "", name)[:130]


def report_costs(work, path):
    costs = Costs(path)
    units = costs.times(lambda name: name.startswith(UNITS[work]))
    if not units:
        sys.exit("the work was over before it was looked at")
    print(f"{sum(costs.own.values()) / units:,.0f} instructions for each of {units:,.0f}\n\nwith what they call:")
    for name, cost in costs.with_callees.most_common(SHOWN):
        print(f"{cost / units:10,.0f}  {short(name)}")
    print("\nalone:")
    for name, cost in costs.own.most_common(SHOWN // 2):
        print(f"{cost / units:10,.0f}  {short(name)}")
    allocations = costs.times(lambda name: name in ALLOCATIONS)
    print(f"\n{allocations / units:.2f} allocations, by whom:")
    by_caller = collections.Counter()
    for function in (*ALLOCATIONS, "operator new(unsigned long)"):
        by_caller.update(costs.calls.get(function, {}))
    for name, times in by_caller.most_common(25):
        if times / units >= 0.01:
            print(f"{times / units:10.2f}  {short(name)}")


def report_memory(path, sessions):
    """Adds up massif's largest snapshot by the first two places in our own sources."""
    trees, size = [], 0
    with open(path) as file:
        for line in file:
            if line.startswith("mem_heap_B="):
                size = int(line.split("=")[1])
                trees.append((size, []))
            elif re.match(r"^ *n\d+: ", line):
                trees[-1][1].append(line.rstrip())
    size, tree = max((tree for tree in trees if len(tree[1]) > 1), key=lambda tree: tree[0])
    places = collections.Counter()
    frames = {}
    for i, line in enumerate(tree):
        indent, count, text = re.match(r"^( *)n(\d+): (.*)", line).groups()
        bytes_here, _, where = text.partition(" ")
        frames = {depth: frame for depth, frame in frames.items() if depth < len(indent)}
        frames[len(indent)] = re.sub(r"^0x[0-9A-F]+: ", "", where)
        if count == "0" or i + 1 == len(tree):
            places[place_of([frames[depth] for depth in sorted(frames)])] += int(bytes_here)
    print(f"{size / sessions:,.0f} bytes of heap for each of {sessions} sessions, what the server has once included:")
    for place, bytes_there in places.most_common(SHOWN // 2):
        print(f"{bytes_there / sessions:10,.0f}  {place}")


def place_of(frames):
    sources = {name for folder in ("xmpp", "storage", "auth", "server") for _, _, files in os.walk(folder) for name in files}
    own = [frame for frame in frames if (found := re.search(r"\(([a-z_0-9]+\.(?:cpp|h)):\d+\)", frame)) and found[1] in sources]
    ours = " < ".join(short(frame) for frame in own[:2])
    return ours or short(frames[min(1, len(frames) - 1)])


def generator(server, work, accounts, directory, arguments):
    return [GENERATOR, work, "--accounts", str(accounts), "--port", str(server.port), "--pid", str(server.process.pid),
            "--keys", os.path.join(directory, "keys"), "--parallel", "16", *arguments]


def profile(work, directory, archives, arguments):
    out = os.path.join(directory, "out")
    server = ProfiledTern(directory, 0, archives, binary=TERN)
    server.start()
    # Once without valgrind: the salted passwords are known then.
    for first in ("register", "login"):
        subprocess.run(generator(server, first, ACCOUNTS[work], directory, ["--seconds", "0", "--warm-up", "0"]), check=True,
                       stdout=subprocess.DEVNULL)
    server.stop()
    if work == "idle":
        server.valgrind = ("valgrind", "--tool=massif", "--threshold=0.3", "--depth=14", "--detailed-freq=1",
                           "--max-snapshots=20", f"--massif-out-file={out}")
    else:
        server.valgrind = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}")
    server.start()
    try:
        run(server, work, generator(server, work, ACCOUNTS[work], directory, arguments))
    finally:
        server.stop()
    if work == "idle":
        report_memory(out, ACCOUNTS["idle"])
    else:
        report_costs(work, out)


def run(server, work, command):
    sessions = ACCOUNTS["idle"] - 100 if work == "idle" else ACCOUNTS[work]
    looking = [] if work == "idle" else ["--callgrind"]
    subprocess.run([*command[:2], "--sessions", str(sessions), "--seconds", "10", *looking, *command[2:]], check=True,
                   stdout=subprocess.DEVNULL)


def main():
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in ACCOUNTS:
        sys.exit("tests/bench/profile chat|login|idle [--archive] [generator options]")
    archives = "--archive" in arguments
    directory = tempfile.mkdtemp(prefix="tern-profile-")
    try:
        profile(arguments[0], directory, archives, [argument for argument in arguments[1:] if argument != "--archive"])
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
