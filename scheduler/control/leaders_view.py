"""What the leader's process knows, as use cases see it whoever leads (``PlannerView``,
``CentersView``): it is asked while this replica leads, and nobody is while it does not.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from adapters.contract import LogChunk, RunRef, Usage
from scheduler.control.loop import ControlLoop
from scheduler.domain.inventory import Inventory
from scheduler.errors import TemporarilyAway
from scheduler.placement.model import Explanation, JobQueued
from scheduler.services.context import CenterStatus

#: The loop of the present term, None while this replica follows.
Present = Callable[[], ControlLoop | None]

_NOBODY: Final = "no replica leads at the moment, or it cannot be asked; try again in a second"


class _View:
    def __init__(self, present: Present) -> None:
        self._present = present

    def _loop(self) -> ControlLoop:
        loop = self._present()
        if loop is None:
            raise TemporarilyAway(_NOBODY)
        return loop


class LeadersPlanner(_View):
    """The planner of the present term. Raises ``TemporarilyAway`` while there is none."""

    async def explain(self, uid: int) -> Explanation | None:
        """Why a job waits; None if the planner does not hold it."""
        return await self._loop().planner.explain(uid)

    async def estimate(self, job: JobQueued) -> Explanation:
        """What would be said of this job if it were queued now."""
        return await self._loop().planner.estimate(job)


class LeadersCenters(_View):
    """The centers of the present term. Raises ``TemporarilyAway`` while there is none."""

    def status(self, center: str) -> CenterStatus:
        """Whether the center answers; while nobody leads, nobody asks it."""
        loop = self._present()
        if loop is None:
            return CenterStatus(False, _NOBODY, 0, unknown=True)
        return loop.centers.status(center)

    async def take_inventory(self, center: str) -> Inventory:
        """Look at all that a center has now."""
        return await self._loop().centers.take_inventory(center)

    async def read_logs(self, center: str, run: RunRef, offset: int, limit: int) -> LogChunk:
        """A piece of a run's log."""
        return await self._loop().centers.read_logs(center, run, offset, limit)

    async def usage(self, center: str, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        """What the center metered of runs."""
        return await self._loop().centers.usage(center, runs)
