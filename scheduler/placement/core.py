"""The planner as one object: root and shards behind the five calls that its host makes.

The live service (in process or in an actor of Ray), the replay and the benchmarks all run this
class. It holds a cache of what the store knows at ``revision``; a caller that goes on from another
revision is told so and gives a new snapshot.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from scheduler.placement.census import WaitingCounts
from scheduler.placement.columns import Told
from scheduler.placement.explaining import Explainer
from scheduler.placement.model import Delta, Explanation, JobQueued, Plan, PolicySettings
from scheduler.placement.reasoning import Reasoning
from scheduler.placement.root import RootPlanner
from scheduler.placement.sampling import Sampled, Sampler
from scheduler.placement.shard import LocalShards, Shards

__all__ = ["PlanningCore", "Sampled", "StaleRevision", "WaitingCounts"]


class StaleRevision(Exception):
    """The planner has not seen the revision that the caller goes on from: load a snapshot."""


@contextmanager
def _nothing_is_garbage() -> Iterator[None]:
    """Of all that a planner makes nothing is garbage that only a search finds: leave it out."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


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
        self._sampler = Sampler(self._root, self._explainer)
        self._pending: Sequence[Told] = ()

    def load(self, revision: int, deltas: Sequence[Told], now_ms: int | None = None) -> None:
        """Forget everything and take a snapshot; ``now_ms`` defaults to the time of its use."""
        self._reset()
        self.revision = revision
        self._pending = deltas
        if now_ms is not None:
            self._take(now_ms)

    def _take(self, now_ms: int) -> None:
        deltas, self._pending = self._pending, ()
        if not deltas:
            return
        with _nothing_is_garbage():
            self._root.apply(deltas, now_ms)

    def cycle(self, before: int, deltas: Sequence[Delta], after: int, now_ms: int) -> Plan:
        """Go from revision ``before`` to ``after`` by ``deltas``, then plan at ``now_ms``.

        Raises ``StaleRevision`` if ``before`` is not what was seen.
        """
        if before != self.revision:
            raise StaleRevision(f"at revision {self.revision}, not {before}")
        self._take(now_ms)
        with _nothing_is_garbage():
            self._root.apply(deltas, now_ms)
            self.revision = after
            plan = self._root.plan(now_ms)
        self._sampler.started(plan.starts, now_ms)
        return plan

    def explain(self, uid: int, now_ms: int) -> Explanation | None:
        """Why a job waits; None if it does not wait here."""
        self._take(now_ms)
        return self._explainer.explain(uid, now_ms)

    def estimate(self, job: JobQueued, now_ms: int) -> Explanation:
        """What would be said of the job if it were queued now; nothing is kept."""
        self._take(now_ms)
        return self._explainer.estimate(job, now_ms)

    def counts(self, now_ms: int) -> WaitingCounts:
        """Count waiting jobs, each for the reason by which it would be explained."""
        self._take(now_ms)
        root = self._root
        reasoning = Reasoning(root, now_ms)
        return root.census.counts(reasoning, root.classes, root.lines, root.parking)

    def sample(self, now_ms: int, estimate: bool) -> Sampled:
        """Tell who waits for what, and judge estimates; ``estimate`` makes new ones."""
        self._take(now_ms)
        return self._sampler.sample(now_ms, estimate)
