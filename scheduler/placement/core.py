"""The planner as one object: root and shards behind the five calls that its host makes.

The live service (in process or in an actor of Ray), the replay and the benchmarks all run this
class. It holds a cache of what the store knows at ``revision``; a caller that goes on from another
revision is told so and gives a new snapshot.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.domain.reasons import ReasonCode
from scheduler.placement.explaining import Explainer
from scheduler.placement.intake import Shards
from scheduler.placement.model import Delta, Explanation, JobQueued, Plan, PolicySettings
from scheduler.placement.order import WaitingClass
from scheduler.placement.root import RootPlanner
from scheduler.placement.shard import LocalShards


class StaleRevision(Exception):
    """The planner has not seen the revision that the caller goes on from: load a snapshot."""


@dataclass(frozen=True, slots=True)
class WaitingCounts:
    """Waiting jobs: how many by (city, flavor), the oldest's queue time, and reasons."""

    jobs: dict[tuple[str, str], int]
    oldest_ms: dict[tuple[str, str], int]
    reasons: dict[tuple[str, str, str], int]


class PlanningCore:
    """A planner over ``shards`` shards of cities; the plan does not depend on their number.

    ``remote`` gives other shards than those in this process (actors of Ray).
    """

    def __init__(
        self, policy: PolicySettings, shards: int = 1, remote: Shards | None = None
    ) -> None:
        self._policy, self._count, self._remote = policy, shards, remote
        self.revision = -1
        self._reset()

    def _reset(self) -> None:
        shards = LocalShards(self._count) if self._remote is None else self._remote
        self._root = RootPlanner(self._policy, shards)
        self._explainer = Explainer(self._root)
        self._pending: Sequence[Delta] = ()

    def load(self, revision: int, deltas: Sequence[Delta], now_ms: int | None = None) -> None:
        """Forget everything and take a snapshot; ``now_ms`` defaults to the time of its use."""
        self._reset()
        self.revision = revision
        self._pending = deltas
        if now_ms is not None:
            self._take(now_ms)

    def _take(self, now_ms: int) -> None:
        deltas, self._pending = self._pending, ()
        if deltas:
            self._root.apply(deltas, now_ms)

    def cycle(self, before: int, deltas: Sequence[Delta], after: int, now_ms: int) -> Plan:
        """Go from revision ``before`` to ``after`` by ``deltas``, then plan at ``now_ms``.

        Raises ``StaleRevision`` if ``before`` is not what was seen.
        """
        if before != self.revision:
            raise StaleRevision(f"at revision {self.revision}, not {before}")
        self._take(now_ms)
        self._root.apply(deltas, now_ms)
        self.revision = after
        return self._root.plan(now_ms)

    def explain(self, uid: int, now_ms: int) -> Explanation | None:
        """Why a job waits; None if it does not wait here."""
        self._take(now_ms)
        return self._explainer.explain(uid, now_ms)

    def estimate(self, job: JobQueued, now_ms: int) -> Explanation:
        """What would be said of the job if it were queued now; nothing is kept."""
        self._take(now_ms)
        return self._explainer.estimate(job, now_ms)

    def counts(self, now_ms: int) -> WaitingCounts:
        """Count waiting jobs; the reason of a class is that of its first job."""
        self._take(now_ms)
        jobs: Counter[tuple[str, str]] = Counter()
        reasons: Counter[tuple[str, str, str]] = Counter()
        oldest: dict[tuple[str, str], int] = {}
        for waiting in self._root.classes.values():
            key = (waiting.city, waiting.options[0].flavor)
            jobs[key] += waiting.count
            reasons[*key, self._reason(waiting)] += waiting.count
            queued_ms = waiting.window[0][1]
            oldest[key] = min(oldest.get(key, queued_ms), queued_ms)
        for parked in self._root.parking.jobs.values():
            key = (parked.job.city, parked.job.options[0].flavor)
            jobs[key] += 1
            reasons[*key, parked.reason.code] += 1
            oldest[key] = min(oldest.get(key, parked.job.queued_ms), parked.job.queued_ms)
        return WaitingCounts(dict(jobs), oldest, dict(reasons))

    def _reason(self, waiting: WaitingClass) -> ReasonCode:
        """The binding limit of the first option; what fits waits for a reservation."""
        stalled = self._root.parking.stalled.get(waiting.key)
        if stalled is not None:
            return stalled.code
        option = waiting.options[0]
        pool = self._root.pools.get(option.flavor)
        if pool is None:
            return ReasonCode.NO_FLAVOR
        if not pool.is_open:
            return ReasonCode.CENTER_DOWN
        bound = pool.book.bound(waiting.city, waiting.enterprise, option.units)
        return ReasonCode.WAITING_RESERVATION if bound is None else ReasonCode(bound.limit.value)
