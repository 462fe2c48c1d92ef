"""How long three services on one PostgreSQL are without a leader, by what befell the one that led.

All are processes under load, and their center's runs go through an agent. A take-over has two
parts: until another leads, which is until its epoch fences the one before, and until the center
takes a run from it. The server is one of its own, with fsync on; without its programs only a note
is printed.
"""

import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.report import Figure
from tests.e2e.replica_site import Replica, ReplicaSite
from tests.postgres import NoServer, running
from tests.processes import until

_KILLED_S: Final = 5.0
_STOPPED_S: Final = 15.0

#: Befalls the leader, and undoes it.
Blow = tuple[str, Callable[[ReplicaSite, Replica], None], Callable[[Replica], None], float | None]


def _stop_inside(site: ReplicaSite, leader: Replica) -> None:
    with site.events_locked():
        until(site.writes_as_leader, "a write of the leader")
        leader.send(signal.SIGSTOP)


_BLOWS: Final[tuple[Blow, ...]] = (
    ("kill -9", lambda _, it: it.kill(), lambda it: it.start(), _KILLED_S),
    (
        "SIGSTOP",
        lambda _, it: it.send(signal.SIGSTOP),
        lambda it: it.send(signal.SIGCONT),
        _STOPPED_S,
    ),
    ("SIGSTOP within a write", _stop_inside, lambda it: it.send(signal.SIGCONT), _STOPPED_S),
    (
        "cut off from the database",
        lambda _, it: it.wire.hold(),
        lambda it: it.wire.release(),
        _STOPPED_S,
    ),
    ("stopped in order", lambda _, it: _end(it), lambda it: it.start(), _KILLED_S),
)


def _end(leader: Replica) -> None:
    leader.send(signal.SIGTERM)


def run(quick: bool) -> list[Figure]:
    """Let each befall the leader several times; all that was submitted is looked at in the end."""
    rounds = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        try:
            with running() as server:
                site = ReplicaSite(Path(folder), server)
                try:
                    return _measured(site, rounds)
                finally:
                    site.close()
        except NoServer as missing:
            print(f"replicas: {missing}", file=sys.stderr)
            return []


def _measured(site: ReplicaSite, rounds: int) -> list[Figure]:
    site.begin()
    site.begin_load()
    site.wait_for_more_runs(10)
    figures: list[Figure] = []
    for what, strike, undo, target_s in _BLOWS:
        led, started = zip(*(_once(site, strike, undo) for _ in range(rounds)), strict=True)
        figures += [
            Figure("replicas", f"{what}: another leads", median(led), "s", target_s),
            Figure("replicas", f"{what}: another leads, the longest", max(led), "s", target_s),
            Figure("replicas", f"{what}: the center takes a run of it", median(started), "s"),
        ]
    site.end_load()
    until(site.settled, "the end of all jobs")
    wrong = site.wrong()
    for one in wrong:
        print(f"replicas: {one}", file=sys.stderr)
    return [
        *figures,
        Figure("replicas", "jobs driven meanwhile", len(site.acknowledged), "jobs"),
        Figure("replicas", "lost, doubled or charged wrongly", len(wrong), "", 0),
    ]


def _once(
    site: ReplicaSite,
    strike: Callable[[ReplicaSite, Replica], None],
    undo: Callable[[Replica], None],
) -> tuple[float, float]:
    """Strike the leader; returns seconds until another leads, and until it has started a run."""
    leader, epoch = site.leader()
    strike(site, leader)
    led_s = site.wait_for_another(epoch)
    started_s = led_s + site.wait_for_more_runs(1)
    if not leader.lives:
        leader.kill()  # it is buried, too
    undo(leader)
    until(lambda: site.serves(leader), "the one that was struck")
    site.wait_for_more_runs(10)
    return led_s, started_s
