"""What it costs, and what it saves, to let fewer runs wait in a center's own queue.

The planner and the inside of a simulated center on a clock of their own, so the figures are the
same on any machine. The center takes a while to begin a run, is heard of once a second, and has
fewer units than we were granted: others use them. All that it was given waits in its queue, in its
order; an urgent job that comes later waits behind it.
"""

import statistics
from typing import Final

from adapters.contract import FlavorCapacity, RunRequest
from adapters.simulated.cluster import Cluster
from adapters.simulated.fate import Fate
from benchmarks.report import Figure
from scheduler.domain.ids import center_name, run_id
from scheduler.placement.core import PlanningCore
from scheduler.placement.model import (
    CORRIDOR,
    CityQuotaSet,
    CitySet,
    Delta,
    EnterpriseSet,
    JobQueued,
    Option,
    PoolSet,
    RunEnded,
    RunStarted,
    Start,
)

DEPTHS: Final = (1, 4, 16, 64, None)
_FLAVOR: Final = "center/card"
_GRANTED, _THERE = 256, 64
_RUN_MS, _WALL_MS = 60_000, 3_600_000
_BEGIN_MS, _FOLLOW_MS = 2_000, 1_000
#: An urgent job comes so often.
_URGENT_MS: Final = 20_000


def run(quick: bool) -> list[Figure]:
    """Play half an hour (quick: ten minutes) at each depth."""
    until_ms = 600_000 if quick else 1_800_000
    figures: list[Figure] = []
    played = {depth: _Play(depth).until(until_ms) for depth in DEPTHS}
    whole = played[None].ended
    for depth, play in played.items():
        name = "no limit" if depth is None else f"at most {depth}"
        figures += [
            Figure(
                "queue", f"runs ended, {name} waiting at the center", 100 * play.ended / whole, "%",
                peer="in its queue, s", peer_value=statistics.fmean(play.queued_s),
            ),
            Figure(
                "queue", f"wait of an urgent job, {name} waiting at the center",
                statistics.median(play.urgent_s), "s",
            ),
        ]  # fmt: skip
    return figures


class _Play:
    """One planner and one center, second by second."""

    def __init__(self, depth: int | None) -> None:
        self.ended = 0
        #: Seconds in the center's queue, of each run that began; and until urgent jobs began.
        self.queued_s: list[float] = []
        self.urgent_s: list[float] = []
        self._cluster = Cluster((FlavorCapacity(_FLAVOR, _THERE, _THERE, "aarch64"),), 0)
        self._core = PlanningCore(CORRIDOR)
        self._revision = 0
        self._urgent: dict[int, int] = {}
        self._option = (Option(_FLAVOR, 1, 1, _WALL_MS),)
        told: list[Delta] = [
            CitySet("city", 1), EnterpriseSet("owner", "city"),
            PoolSet(_FLAVOR, "center", _GRANTED, queue_max=depth),
            CityQuotaSet("city", _FLAVOR, _GRANTED),
        ]  # fmt: skip
        told += [self._job(uid, 0, 0) for uid in range(1, 6_001)]
        self._core.load(0, told, 0)

    def _job(self, uid: int, now_ms: int, priority: int) -> JobQueued:
        return JobQueued(uid, "city", "owner", priority, now_ms, self._option)

    def until(self, until_ms: int) -> "_Play":
        """Play until an instant; returns itself."""
        for now_ms in range(0, until_ms, _FOLLOW_MS):
            deltas = self._heard(now_ms)
            if now_ms and now_ms % _URGENT_MS == 0:
                uid = 1_000_000 + now_ms
                self._urgent[uid] = now_ms
                deltas.append(self._job(uid, now_ms, 9))
            before = self._revision
            self._revision += 1
            for start in self._core.cycle(before, deltas, self._revision, now_ms).starts:
                self._send(start, now_ms)
        return self

    def _heard(self, now_ms: int) -> list[Delta]:
        """What happened at the center since it was looked at last."""
        deltas: list[Delta] = []
        for event in self._cluster.advance(now_ms):
            native = self._cluster.by_name[str(event["name"])]
            uid = int(native.native_id)
            if event["event"] == "start" and native.start_ms is not None:
                self.queued_s.append((native.start_ms - native.submit_ms) / 1000)
                if uid in self._urgent:
                    self.urgent_s.append((native.start_ms - self._urgent.pop(uid)) / 1000)
                deltas.append(RunStarted(uid, native.start_ms))
            else:
                self.ended += 1
                deltas.append(RunEnded(uid, _RUN_MS))
        return deltas

    def _send(self, start: Start, now_ms: int) -> None:
        text = run_id(start.uid, 1)
        request = RunRequest(
            text, center_name(text), 1, start.city, start.enterprise, _FLAVOR, 1, 1,
            _WALL_MS // 1000,
        )  # fmt: skip
        taken = self._cluster.acceptance(request, Fate(_RUN_MS, None), now_ms, now_ms + _BEGIN_MS)
        self._cluster.apply({**taken, "native_id": str(start.uid)})
