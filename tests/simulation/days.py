"""Days of a small corridor in virtual time: its store and its planner, without a network."""

import heapq
import random
from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from adapters.contract import FailureClass, Phase
from scheduler.domain.spec import JobSpec
from scheduler.domain.states import RETRIED_BY_DEFAULT
from scheduler.placement.core import PlanningCore
from scheduler.placement.model import CORRIDOR, Start
from scheduler.store import admission, planner_feed
from scheduler.store.seed_files import SeedQuota
from tests.simulation import world as worlds
from tests.simulation.hands import Hands
from tests.simulation.world import CPU, NPU, job

QUOTAS = [
    SeedQuota("wuhan", NPU, 4, None, 2), SeedQuota("ezhou", NPU, 3, 3, None),
    SeedQuota("xianning", NPU, 1, None, None), SeedQuota("wuhan", CPU, 32, 8, None),
    SeedQuota("ezhou", CPU, 16, None, 8), SeedQuota("xianning", CPU, 16, None, None),
]  # fmt: skip


def _admit(
    connection: Connection, epoch: int, starts: Sequence[Start], now_ms: int
) -> admission.Admitted:
    return admission.admit(connection, epoch, starts, now_ms)


class Day:
    """A service in virtual time: its store and its planner, without a network."""

    def __init__(self) -> None:
        self.it = Hands(worlds.build(quotas=QUOTAS))
        self.core = PlanningCore(CORRIDOR)
        self._ends: list[tuple[int, int, int, FailureClass | None]] = []
        self._fates: dict[int, list[tuple[int, FailureClass | None]]] = {}
        revision, told = self.it.db.read_sync(
            lambda c: planner_feed.snapshot(c, self.it.clock.ms, CORRIDOR)
        )
        self.core.load(revision, told, self.it.clock.ms)
        self._wake_ms: int | None = None

    def submit(self, who: str, spec: JobSpec, *fates: tuple[int, FailureClass | None]) -> int:
        """A job comes, whose attempts take so many seconds and end so."""
        (uid,) = self.it.world.submit(who, [spec])
        self._fates[uid] = list(fates)
        return uid

    def plan(self) -> None:
        """Plan and start until nothing more starts."""
        it = self.it
        while True:
            before = self.core.revision
            news = partial(planner_feed.read_deltas, after=before, limit=10_000)
            after, deltas, _, changed = it.db.read_sync(news)
            assert not changed
            plan = self.core.cycle(before, deltas, after, it.clock.ms)
            self._wake_ms = plan.wake_ms
            if not plan.starts:
                return
            now_ms, starts = it.clock.ms, plan.starts
            done = it.db.do(partial(_admit, epoch=it.epoch, starts=starts, now_ms=now_ms))
            assert not done.refused
            uids = [start.uid for start in plan.starts]
            it.send(*uids)
            it.report(*(it.seen(uid, Phase.RUNNING, 1, start_ms=it.clock.ms) for uid in uids))
            for uid in uids:
                fates = self._fates[uid]
                seconds, failure = fates.pop(0) if len(fates) > 1 else fates[0]
                heapq.heappush(self._ends, (it.clock.ms + seconds * 1000, uid, seconds, failure))

    def go_on_to(self, at_ms: int | None) -> None:
        """Let all happen that happens before an instant (None: all), what came now first."""
        if at_ms == self.it.clock.ms:
            return
        self.plan()
        while True:
            nexts = [one for one in (self._ends[0][0] if self._ends else None, self._wake_ms)
                     if one is not None]  # fmt: skip
            now_ms = min(nexts, default=None)
            if now_ms is None or (at_ms is not None and now_ms >= at_ms):
                break
            self.it.clock.ms = now_ms
            while self._ends and self._ends[0][0] == now_ms:
                _, uid, seconds, failure = heapq.heappop(self._ends)
                phase = Phase.FAILED if failure else Phase.SUCCEEDED
                self.it.end(uid, seconds, phase, failure)
            self.plan()
        if at_ms is not None:
            self.it.clock.ms = at_ms


def random_day(seed: int) -> Day:
    """Some hundred jobs of three cities; some fail and are tried again."""
    rng = random.Random(seed)
    day = Day()
    at_ms = day.it.clock.ms
    classes = (None, None, None, None, FailureClass.NODE, FailureClass.USER_CODE)
    for _ in range(120):
        at_ms += rng.choice((0, 7_000, 61_000, 240_000))
        day.go_on_to(at_ms)
        flavor, most = rng.choice(((NPU, 5), (CPU, 30)))
        wall_s = rng.choice((600, 1800, 5400))
        spec = job(flavor, min(most, rng.randint(1, most)), wall_s, priority=rng.choice((0, 0, 5)))
        fate = (rng.randint(1, wall_s), rng.choice(classes))
        fates: tuple[tuple[int, FailureClass | None], ...] = (fate, (rng.randint(1, wall_s), None))
        if fate[1] not in RETRIED_BY_DEFAULT:
            fates = (fate, fate)
        day.submit(rng.choice(("w1", "e1", "x1")), spec, *fates)
    day.go_on_to(at_ms + 1)
    return day
