# SPDX-License-Identifier: MIT
"""The rows of the table: which work, and which of its numbers counts."""

import statistics
from dataclasses import dataclass
from typing import Callable


# Accounts of their own: a server that has seen a client of today (Bind 2) has reason to think that it fetches what it lacks.
MODERN_USER = "m"


@dataclass
class Row:
    name: str
    title: str
    arguments: Callable  # (results so far, server) -> the generator's arguments
    of: Callable  # run -> the number that counts
    more_is_better: bool = True
    archives: bool = False
    fresh: bool = False  # the server is started again before each run
    tls: bool = False
    modern: bool = False  # direct TLS, SASL2 and what builds on it: the peers of Debian 12 have none of it
    raw: bool = False  # the relay can do it as well
    rooms: bool = False
    is_long: bool = False  # once, and not with --quick
    source: str = ""  # the row whose runs have this number, too

    @property
    def label(self):
        """The title by itself, without the row above."""
        return f"{self.name}: {self.title.removeprefix('… ')}"

    def work(self, results, server):
        work = [str(argument) for argument in self.arguments(results, server)]
        if self.modern:
            return [*work, "--tls", "direct", "--user", MODERN_USER]
        return [*work, "--tls", "starttls"] if self.tls else work


def per_cpu(run):
    return run["per_cpu"]


def rows_for(quick):
    accounts = 300 if quick else 2000
    sessions = 300 if quick else 1500
    many = 10 * sessions
    seconds = 2 if quick else 6
    common = ["--accounts", accounts, "--seconds", seconds]
    crowd = [*common, "--sessions", sessions]

    def always(*work):
        return lambda results, server: work

    def half_load(of, *more):
        def work(results, server):
            runs = results.get((of, "tern" if server == "relay" else server), [])   # the relay: what the machine does to such a rate
            rate = statistics.median(run["per_second"] for run in runs) / 2 if runs else 1000
            return ["latency", *crowd, *more, "--rate", int(rate)]
        return work

    ring = 100 if quick else 500
    away = ["offline", "--accounts", accounts, "--sessions", 100 if quick else 400, "--messages", 20 if quick else 50]
    rows = [
        Row("idle", "bytes per idle session", always("idle", *crowd, "--sessions", accounts - 100), lambda run: run["per_session"],
            more_is_better=False, fresh=True),
        Row("idle-tls", "bytes per idle session, TLS", always("idle", *crowd, "--sessions", accounts - 100),
            lambda run: run["per_session"], more_is_better=False, fresh=True, tls=True),
        Row("login", "logins per CPU-second, SCRAM", always("login", *common), per_cpu),
        Row("login-tls", "logins per CPU-second, STARTTLS, SCRAM", always("login", *common), per_cpu, tls=True),
        Row("login-direct", "… direct TLS, SASL2 and Bind 2, SCRAM", always("login", *common, "--login", "sasl2"), per_cpu, modern=True),
        Row("login-fast", "… with a token (FAST)", always("login", *common, "--login", "fast"), per_cpu, modern=True),
        Row("login-resume", "… with a token, resuming the session", always("login", *common, "--login", "resume"), per_cpu, modern=True),
        Row("chat", "messages per CPU-second", always("chat", *crowd), per_cpu, raw=True),
        Row("chat-16", "… 16 at a time", always("chat", *crowd, "--window", 16), per_cpu, raw=True),
        Row("chat-1k", "… of 1 KiB", always("chat", *crowd, "--body", 1024), per_cpu, raw=True),
        Row("chat-no-store", "… that need not be kept (XEP-0334)", always("chat", *crowd, "--no-store"), per_cpu),
        Row("chat-tls", "… over TLS", always("chat", *crowd), per_cpu, tls=True),
        Row("chat-acks", "… with acks (XEP-0198)", always("chat", *crowd, "--acks"), per_cpu),
        Row("chat-grown", "… with ten times the sessions", always("chat", *common, "--sessions", many),
            per_cpu, raw=True),
        Row("archive", "archived messages per CPU-second", always("chat", *crowd), per_cpu, archives=True),
        Row("archive-acks", "… and acked (Tern: when committed)", always("chat", *crowd, "--acks", "--window", 4), per_cpu,
            archives=True),
        Row("archive-acks-p99", "p99 of that ack at 1,000 a second, ms", always("latency", *crowd, "--rate", 1000, "--acks"),
            lambda run: run["p99_ms"], more_is_better=False, archives=True),
        Row("archive-acks-5000", "… at 5,000 a second", always("latency", *crowd, "--rate", 5000, "--acks"),
            lambda run: run["p99_ms"], more_is_better=False, archives=True),
        Row("latency", "p99 at 2,000 messages a second, ms", always("latency", *crowd, "--rate", 2000),
            lambda run: run["p99_ms"], more_is_better=False, raw=True),
        Row("latency-half", "p99 at half of its own full load (relay: of Tern's), ms", half_load("chat"), lambda run: run["p99_ms"],
            more_is_better=False, raw=True),
        Row("latency-half-p50", "p50 of the same, ms", always(), lambda run: run["p50_ms"], more_is_better=False, source="latency-half"),
        Row("latency-half-p999", "p99.9 of the same, ms", always(), lambda run: run["p999_ms"], more_is_better=False, source="latency-half"),
        Row("latency-many", "p99 at half load among ten times the sessions, ms", half_load("chat-grown", "--sessions", many), lambda run: run["p99_ms"],
            more_is_better=False, is_long=True),
        Row("presence", "presence deliveries per CPU-second", always("presence", "--accounts", ring, "--sessions", ring,
                                                                      "--seconds", seconds), per_cpu),
        Row("room", "room deliveries per CPU-second, 100 occupants", always("room", *common, "--sessions", 100, "--window", 4),
            per_cpu, rooms=True),
        Row("room-16", "… 16 messages at a time instead of 4", always("room", *common, "--sessions", 100, "--window", 16), per_cpu, rooms=True),
        Row("room-tls", "… over TLS", always("room", *common, "--sessions", 100, "--window", 4), per_cpu, rooms=True, tls=True),
        Row("room-1000", "… with 1,000 occupants", always("room", *common, "--sessions", 1000, "--window", 4), per_cpu, rooms=True,
            is_long=True),
        Row("room-1000-join", "CPU-seconds that they took to come in", always(), lambda run: run["joining_cpu"],
            more_is_better=False, source="room-1000", is_long=True),
        Row("room-10000", "room deliveries per CPU-second, 10,000 occupants, presence of moderators alone",
            always("room", *common, "--sessions", 10000, "--window", 4, "--broadcast", "moderator"), per_cpu, rooms=True, is_long=True),
        Row("room-10000-join", "CPU-seconds that they took to come in", always(), lambda run: run["joining_cpu"],
            more_is_better=False, source="room-10000", is_long=True),
        Row("offline-store", "messages stored for later per CPU-second", always(*away), lambda run: run["store_per_cpu"]),
        Row("offline-drain", "… and handed over", always(), lambda run: run["drain_per_cpu"], source="offline-store"),
        Row("storm", "sessions back per CPU-second, TLS, after all dropped", always("storm", *crowd[:-1], sessions - 200, "--rate", 500),
            lambda run: run["sessions"] / run["cpu"], tls=True),
        Row("storm-p99", "p99 of those who stayed meanwhile, ms", always(), lambda run: run["p99_ms"], more_is_better=False,
            source="storm"),
        Row("storm-many", "seconds until all are back, ten times as many", always("storm", *crowd[:-1], many - 200, "--rate", 500),
            lambda run: run["seconds"], more_is_better=False, tls=True, is_long=True),
        Row("storm-many-p99", "… p99 of those who stayed, ms", always(), lambda run: run["p99_ms"], more_is_better=False,
            source="storm-many", is_long=True),
    ]
    return [row for row in rows if not (quick and row.is_long)]
