"""A planner in virtual time: ends, arrivals, planning; the same planner as in the service.

At one instant all ends come first, then all arrivals by job number, then the planner plans
until nothing more starts. A job that starts holds its units for min(run, limit).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol

from scheduler.placement.model import (
    CORRIDOR,
    EASY,
    FCFS,
    Delta,
    JobQueued,
    Option,
    Plan,
    PolicySettings,
    RunEnded,
)
from scheduler.replay.setup import Setup
from scheduler.replay.trace import ReplayError, TraceJob

POLICIES: Mapping[str, PolicySettings] = {"fcfs": FCFS, "easy": EASY, "corridor": CORRIDOR}

_PROGRESS_EVERY = 1024


class Planner(Protocol):
    """What a replay needs of a planner; ``scheduler.placement.core.PlanningCore`` is one."""

    def load(self, revision: int, deltas: Sequence[Delta]) -> None:
        """Take a snapshot."""
        ...

    def cycle(self, before: int, deltas: Sequence[Delta], after: int, now_ms: int) -> Plan:
        """Take in what happened and plan."""
        ...


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of each job: ``start_ms[i]`` is the start of ``jobs[i]``.

    ``promised_ms`` has the first promise by place in ``jobs`` for those that held a reservation.
    """

    jobs: tuple[TraceJob, ...]
    start_ms: tuple[int, ...]
    promised_ms: Mapping[int, int]
    cycles: int
    looked_at: int

    @property
    def promises_broken(self) -> int:
        """Count starts that came later than their first promise."""
        return sum(self.start_ms[place] > at for place, at in self.promised_ms.items())


def simulate(
    jobs: tuple[TraceJob, ...],
    setup: Setup,
    planner: Planner,
    progress: Callable[[int], None] | None = None,
) -> Replayed:
    """Run the jobs (ordered by submission, all placeable) through a planner.

    ``progress`` is told now and then how many jobs have ended. Raises ``ReplayError`` if the
    planner leaves a job waiting for ever.
    """
    planner.load(0, setup.deltas(jobs))
    run = _Run(jobs, planner)
    cycles = 0
    while (now_ms := run.next_instant()) is not None:
        run.step(now_ms)
        cycles += 1
        if progress is not None and cycles % _PROGRESS_EVERY == 0:
            progress(run.ended)
    if run.ended != len(jobs):
        raise ReplayError(f"the planner never started {len(jobs) - run.ended} of {len(jobs)} jobs")
    return Replayed(jobs, tuple(run.start_ms), run.promised_ms, run.revision, run.looked_at)


class _Run:
    """State of one replay; a job's uid is its place among the jobs."""

    def __init__(self, jobs: tuple[TraceJob, ...], planner: Planner) -> None:
        self._jobs, self._planner = jobs, planner
        self._arrived = 0
        self._ends: list[tuple[int, int]] = []
        self._wake_ms: int | None = None
        self._options: dict[tuple[str, int, int, int], tuple[Option, ...]] = {}
        self.start_ms = [-1] * len(jobs)
        self.promised_ms: dict[int, int] = {}
        self.revision = self.looked_at = self.ended = 0

    def next_instant(self) -> int | None:
        """When something happens next; None when nothing ever will."""
        arrival = self._jobs[self._arrived].submit_ms if self._arrived < len(self._jobs) else None
        if self._ends:
            end = self._ends[0][0]
            return end if arrival is None or end < arrival else arrival
        if arrival is None and self.ended < len(self._jobs):
            return self._wake_ms
        return arrival

    def step(self, now_ms: int) -> None:
        """All ends, all arrivals, then planning until nothing more starts."""
        deltas: list[Delta] = []
        ends, jobs, count = self._ends, self._jobs, len(self._jobs)
        while ends and ends[0][0] == now_ms:
            place = heappop(ends)[1]
            deltas.append(RunEnded(place, now_ms - self.start_ms[place]))
            self.ended += 1
        place = self._arrived
        while place < count and jobs[place].submit_ms == now_ms:
            deltas.append(self._queued(place))
            place += 1
        self._arrived = place
        more = True
        while more:
            plan = self._planner.cycle(self.revision, deltas, self.revision + 1, now_ms)
            self.revision += 1
            more = plan.more
            deltas = []
            self._take(plan, now_ms)

    def _queued(self, place: int) -> JobQueued:
        job = self._jobs[place]
        shape = (job.kind, job.units, job.nodes, job.wall_ms)
        options = self._options.get(shape)
        if options is None:
            options = self._options[shape] = (Option(*shape),)
        user = job.user
        return JobQueued(place, job.city, job.enterprise, 0, job.submit_ms, options, user=user)

    def _take(self, plan: Plan, now_ms: int) -> None:
        for start in plan.starts:
            place = start.uid
            job = self._jobs[place]
            self.start_ms[place] = now_ms
            heappush(self._ends, (now_ms + min(job.run_ms, job.wall_ms), place))
        for promise in plan.reservations:
            # A holder that is promised nothing (FCFS) has no instant ahead.
            if promise.uid not in self.promised_ms and promise.start_ms > now_ms:
                self.promised_ms[promise.uid] = promise.start_ms
        self.looked_at += plan.looked_at
        wake_ms = plan.wake_ms
        self._wake_ms = wake_ms if wake_ms is not None and wake_ms > now_ms else None
