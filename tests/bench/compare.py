# SPDX-License-Identifier: MIT
"""Plays the same work against each server in turn, several rounds, and prints one table: medians, and ratios to ejabberd.

Called by tests/bench/run, which installs and builds what this needs."""

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

import servers
from chart import chart
from rows import MODERN_USER, rows_for

PASSWORD_KEYS = "keys"
PATIENCE = 1800  # seconds, for one run
KINDS = {kind.name: kind for kind in (servers.Tern, servers.TernOnMariaDb, servers.Ejabberd, servers.Prosody, servers.Relay)}


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    parser.add_argument("--tern", default="build/release/tern", help="binary to measure")
    parser.add_argument("--generator", default="build/release/tests/tern-bench")
    parser.add_argument("--quick", action="store_true", help="few sessions, two seconds each, one round")
    parser.add_argument("--rounds", type=int, help="rounds of each row; the median counts (3)")
    parser.add_argument("--servers", default="tern,tern-mariadb,ejabberd,prosody,relay", help="which, by commas")
    parser.add_argument("--rows", default="", help="only these rows, by commas; see --list")
    parser.add_argument("--list", action="store_true", help="names the rows")
    parser.add_argument("--cores", default="0,1", help="core of the servers, core of the generator")
    parser.add_argument("--nice", type=int, default=0, help="of servers and generator; below 0 where others use the machine")
    parser.add_argument("--out", default="", help="directory for results.jsonl, table.md, chart.svg and the servers' own; kept, and gone on with")
    return parser.parse_args()


class Comparison:
    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.server_core, self.generator_core = options.cores.split(",")
        self.results = self.earlier_results()  # (row, server) -> runs
        self.running = {}  # (server, archives) -> Server
        self.log = open(os.path.join(directory, "results.jsonl"), "a")

    def earlier_results(self):
        """Of a run with the same --out, which is gone on with."""
        results = {}
        path = os.path.join(self.directory, "results.jsonl")
        for line in open(path) if os.path.exists(path) else ():
            run = json.loads(line)
            results.setdefault((run.pop("row"), run.pop("server")), []).append(run)
        return results

    def server(self, name, archives):
        """Running, with its accounts and their contacts."""
        if (name, archives) in self.running:
            return self.running[name, archives]
        more = {"tern": {"binary": self.options.tern}, "tern-mariadb": {"binary": self.options.tern}, "relay": {"generator": self.options.generator}}.get(name, {})
        server = KINDS[name](self.directory, self.server_core, archives, **more)
        server.nice = self.options.nice
        server.start()
        self.running[name, archives] = server
        made_before = os.path.join(server.directory, f"{self.accounts} accounts")  # of an earlier run with the same --out
        if not server.is_raw and not os.path.exists(made_before):
            made = self.generate(server, ["register", "--accounts", self.accounts, "--parallel", 16])
            if not made or made["errors"] > 0:
                raise RuntimeError(f"{name}: accounts could not be made")
            if isinstance(server, servers.Tern):
                self.generate(server, ["register", "--accounts", self.accounts, "--parallel", 16, "--user", MODERN_USER])
            self.generate(server, ["befriend", "--accounts", self.ring])
            open(made_before, "w").close()
        return server

    def generate(self, server, work):
        command = ["nice", "-n", str(self.options.nice), "taskset", "-c", self.generator_core, self.options.generator,
                   *map(str, work), "--port", str(server.direct_port if "direct" in work else server.port), "--pid", str(server.process.pid),
                   "--keys", os.path.join(server.directory, PASSWORD_KEYS)]
        command += ["--raw"] if server.is_raw else ["--service", server.rooms]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            print(f"  {server.name}: {work[0]} was not done in {PATIENCE} s", file=sys.stderr)
            return None
        if done.returncode != 0:
            print(f"  {server.name}: {work[0]} ended with {done.returncode}: {done.stderr.strip()}", file=sys.stderr)
            return None
        return json.loads(done.stdout)

    def play(self, row, name):
        kind = KINDS[name]
        if (kind.only_archives and not row.archives) or (row.modern and kind is not servers.Tern):
            return
        server = self.server(name, row.archives)
        if row.fresh:  # also when it has just made the accounts: what that took would be filled before anything grows
            server.stop()
            server.start()
        if (server.is_raw and not row.raw) or (row.rooms and not server.rooms):
            return
        run = self.generate(server, row.work(self.results, name))
        if run is None:
            server.stop()  # it may have gone down under the work, or be busy with it still
            server.start()
            return
        self.results.setdefault((row.name, name), []).append(run)
        self.log.write(json.dumps({"row": row.name, "server": name, **run}) + "\n")
        self.log.flush()
        print(f"  {row.name:24} {name:9} {row.of(run):12.6g}  {run}", file=sys.stderr)

    def run(self, rows, rounds):
        names = self.options.servers.split(",")
        for row in rows:
            for before in range(0 if row.source else 1 if row.is_long else rounds):
                for name in names:
                    if len(self.results.get((row.name, name), [])) <= before:
                        self.play(row, name)
        return [self.line(row, names) for row in rows]

    def median(self, row, name):
        runs = self.results.get((row.source or row.name, name), [])
        return statistics.median(row.of(run) for run in runs) if runs else None

    def line(self, row, names):
        medians = {name: self.median(row, name) for name in names}
        cells = [row.title]
        for name in names:
            cells.append("–" if medians[name] is None else shown(medians[name]))
        ratio = self.ratio(row, "tern")
        cells.append("–" if ratio is None else f"{ratio:.1f}×")
        return cells

    def ratio(self, row, name):
        """How many times better than ejabberd."""
        own, peer = self.median(row, name), self.median(row, "ejabberd")
        if not own or not peer:
            return None
        return own / peer if row.more_is_better else peer / own

    def stop(self):
        for server in self.running.values():
            server.stop()
        self.log.close()


def shown(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    kernel = platform.release().split("-")[0]
    return f"{model}, {os.cpu_count()} cores, Linux {kernel}; one core for the server, one for the generator"


def table(names, lines):
    heads = ["", *names, "Tern to ejabberd"]
    widths = [max(len(line[i]) for line in [heads, *lines]) for i in range(len(heads))]
    text = []
    for line in [heads, *lines]:
        text.append("  ".join(cell.ljust(widths[i]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(line)))
    return "\n".join(text)


def markdown(names, lines):
    text = ["| | " + " | ".join(names) + " | Tern to ejabberd |", "|---|" + "---:|" * (len(names) + 1)]
    text += ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([*text, "", machine() + "."])


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # servers are stopped on the way out
    options = arguments()
    rows = rows_for(options.quick)
    if options.list:
        print("\n".join(f"{row.name:24} {row.title}" for row in rows))
        return 0
    wanted = [name for name in options.rows.split(",") if name]
    if unknown := [name for name in wanted if name not in {row.name for row in rows}]:
        print(f"no such row: {', '.join(unknown)}; see --list", file=sys.stderr)
        return 2
    wanted += [row.source for row in rows if row.name in wanted and row.source]
    rows = [row for row in rows if not wanted or row.name in wanted]
    options.tern, options.generator = os.path.abspath(options.tern), os.path.abspath(options.generator)
    directory = os.path.abspath(options.out) if options.out else tempfile.mkdtemp(prefix="tern-bench-")
    os.makedirs(directory, exist_ok=True)
    comparison = Comparison(options, directory)
    comparison.accounts, comparison.ring = (300, 100) if options.quick else (2000, 500)
    try:
        lines = comparison.run(rows, options.rounds or (1 if options.quick else 3))
    finally:
        comparison.stop()
        if not options.out:
            shutil.rmtree(directory, ignore_errors=True)
    names = options.servers.split(",")
    print(table(names, lines))
    print(machine())
    if options.out:
        with open(os.path.join(directory, "table.md"), "w") as file:
            file.write(markdown(names, lines) + "\n")
        with open(os.path.join(directory, "chart.svg"), "w") as file:
            file.write(chart(rows, names, comparison.ratio))
    return 0


if __name__ == "__main__":
    sys.exit(main())
