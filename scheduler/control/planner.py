"""Where the planner lives: in a thread of this process, or in actors of Ray.

Both run the same ``RootPlanner``; a backend is only the way to it. ``PlannerHost`` chooses: Ray
while it answers, in process while it does not (at the start, and whenever Ray is away), and moves
back by itself. Either is refilled from the store, never from the other.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from scheduler.placement.core import PlanningCore, WaitingCounts
from scheduler.placement.model import Delta, Explanation, JobQueued, Plan, PolicySettings


class PlannerAway(Exception):
    """The backend does not answer; use another one."""


class PlannerBackend(Protocol):
    """One place where a planner lives. Methods raise ``PlannerAway`` when it does not answer."""

    name: str

    async def load(self, revision: int, deltas: Sequence[Delta]) -> None:
        """Forget everything and take this snapshot."""
        ...

    async def cycle(
        self, before: int, deltas: Sequence[Delta], after: int, now_ms: int
    ) -> Plan:
        """Apply what happened from revision ``before`` to ``after``, then plan."""
        ...

    async def explain(self, uid: int, now_ms: int) -> Explanation | None:
        """Why a job waits."""
        ...

    async def estimate(self, job: JobQueued, now_ms: int) -> Explanation:
        """What would be said of the job if it were queued now."""
        ...

    async def counts(self, now_ms: int) -> WaitingCounts:
        """Figures for the metrics."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class LocalPlanner:
    """The planner in one thread of this process, so that the event loop stays free."""

    name = "local"

    def __init__(self, policy: PolicySettings, shards: int) -> None:
        self._policy, self._shards = policy, shards
        self._core = PlanningCore(policy, shards)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="corridor-plan")

    async def _run[**P, T](self, call: "Callable[P, T]", *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(call, *args, **kwargs))
