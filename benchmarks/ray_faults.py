"""What a service that plans on a Ray cluster does when a part of it is lost, and how soon.

A head and two workers on this machine, each in a network of its own where that can be had. At each
blow a job is sent: it is placed by the next plan, wherever that is made. Then the service says when
planning has moved into it, and when it has moved back.
"""

import os
import signal
from collections.abc import Callable
from datetime import datetime
from statistics import median
from time import perf_counter, time
from typing import Final

from benchmarks.report import Figure
from benchmarks.serving import Served, serve
from benchmarks.site import new_site
from benchmarks.starting import first_placement
from tests.ray_nodes import Cluster, running

#: Planning goes on within so many seconds, whatever befalls the cluster.
_PLACED_S: Final = 3.0
_UP: Final = "what was lost is up"


def _kill_actor(cluster: Cluster) -> None:
    for node in cluster.nodes:
        for pid in node.actors("RootActor"):
            os.kill(pid, signal.SIGKILL)


_BLOWS: Final[tuple[tuple[str, Callable[[Cluster], None]], ...]] = (
    ("the root actor is killed", _kill_actor),
    ("a worker is killed", lambda cluster: cluster.nodes[1].kill()),
    ("a worker is cut off", lambda cluster: cluster.nodes[1].cut()),
    ("the head is killed", lambda cluster: cluster.nodes[0].kill()),
)


def run(quick: bool) -> list[Figure]:
    """Let each befall the cluster (quick: once, else three times)."""
    rounds = 1 if quick else 3
    figures: list[Figure] = []
    with (
        running(workers=2) as cluster,
        new_site(
            planner__ray_address=cluster.address, planner__ray_token_file=str(cluster.token)
        ) as site,
        serve(site) as served,
    ):
        _heard_s(served, "planner_moved", 0.0)
        for what, strike in _BLOWS:
            rows = [_once(served, cluster, strike) for _ in range(rounds)]
            placed, moved, back = (median(column) for column in zip(*rows, strict=True))
            longest = max(row[0] for row in rows)
            figures += [
                Figure(
                    "ray", f"{what}: a job sent then is placed", placed, "s", _PLACED_S,
                    peer="the longest", peer_value=longest,
                ),
                Figure("ray", f"{what}: planning is in the service", moved, "s", _PLACED_S),
                Figure("ray", f"{what}: {_UP} -> on the cluster again", back, "s"),
            ]  # fmt: skip
    return figures


def _once(
    served: Served, cluster: Cluster, strike: Callable[[Cluster], None]
) -> tuple[float, float, float]:
    """Strike; returns seconds until a job is placed, until planning has moved, and from when what
    was lost is up (of all, the head) until planning is on the cluster again."""
    began_s, struck_s = perf_counter(), time()
    strike(cluster)
    placed_s = first_placement(served)[1] - began_s
    away_s = _heard_s(served, "planner_away", struck_s)
    up_s = cluster.restore()
    back_s = _heard_s(served, "planner_moved", away_s)
    return placed_s, away_s - struck_s, max(0.0, back_s - up_s)  # the rest may have been enough


def _heard_s(served: Served, event: str, after_s: float) -> float:
    """Wait until it says ``event``, after an instant; returns when it did, in epoch seconds."""
    while True:
        said = served.process.hear(event)
        if (said_s := datetime.fromisoformat(said["timestamp"]).timestamp()) >= after_s:
            return said_s
