"""A plain center behind an agent, and the scheduler's side, with nothing between but lists.

Everything that may be lost or late between the two is in the hands of the test: words wait in
``Wire`` until they are carried, and may be dropped, repeated or cut off.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapters.agent import words
from adapters.agent.core import Agent
from adapters.agent.following import Follower
from adapters.agent.journal import Journal
from adapters.contract import (
    Accepted,
    CenterDescription,
    FlavorCapacity,
    Health,
    LogChunk,
    Observation,
    Page,
    Phase,
    RunRef,
    RunRequest,
    Usage,
)
from adapters.errors import OutcomeUnknown, Unavailable

SETTLE_S = 10.0


@dataclass
class Native:
    """A job as the center has it."""

    run_id: str
    name: str
    native_id: str
    submit_ms: int
    phase: Phase = Phase.WAITING
    sequence: int = 1
    start_ms: int | None = None
    end_ms: int | None = None
    metered: bool = False

    def seen(self) -> Observation:
        return Observation(
            self.run_id, self.native_id, self.phase, self.sequence, self.submit_ms, self.start_ms,
            self.end_ms, None, 0 if self.phase is Phase.SUCCEEDED else None,
        )  # fmt: skip

    def used(self) -> tuple[Usage, ...]:
        if self.start_ms is None or self.end_ms is None:
            return ()
        return (
            Usage(
                self.run_id, self.native_id, self.submit_ms, 1, 1, self.start_ms, self.end_ms, 1,
                "0" * 64, "plain",
            ),
        )  # fmt: skip


@dataclass
class PlainCenter:
    """A center whose truth is a list of jobs. It takes one name twice if it is not asked first.

    ``losses`` are the fates of the next submissions: ``call`` and ``answer`` are lost, ``away``
    turns the call away, ``ok`` does nothing.
    """

    now_s: float = 1_000.0
    jobs: dict[str, Native] = field(default_factory=dict)
    made: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)
    away: bool = False
    acknowledged: set[str] = field(default_factory=set)
    finds: int = 0
    settle_s: float = SETTLE_S
    provisional_s: float = 0.0

    def _ask(self) -> None:
        if self.away:
            raise Unavailable("the center is away")

    async def describe(self) -> CenterDescription:
        self._ask()
        flavor = FlavorCapacity("plain/core", 100, 10, "aarch64")
        return CenterDescription("plain", "plain", "1", False, (flavor,))

    async def submit(self, request: RunRequest) -> Accepted:
        self._ask()
        fate = self.losses.pop(0) if self.losses else "ok"
        if fate == "away":
            raise Unavailable("turned away")
        if fate == "call":
            raise OutcomeUnknown("the call was lost")
        job = None if request.fresh else self.jobs.get(request.name)
        if job is None:
            self.made[request.name] += 1
            number = sum(self.made.values())
            job = Native(request.run_id, request.name, str(number), int(self.now_s * 1000))
            self.jobs[request.name] = job
        if fate == "answer":
            raise OutcomeUnknown("the answer was lost")
        return Accepted(job.run_id, job.native_id, job.submit_ms)

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        self._ask()
        self.finds += 1
        return {ref.run_id: self.jobs[ref.name].seen() for ref in runs if ref.name in self.jobs}

    async def list_active(self, page_token: str = "") -> Page:
        self._ask()
        active = [job for job in self.jobs.values() if job.end_ms is None]
        start = int(page_token or 0)
        more = str(start + 2) if len(active) > start + 2 else ""
        return Page(tuple(job.seen() for job in active[start : start + 2]), more)

    async def cancel(self, run: RunRef) -> None:
        self._ask()
        job = self.jobs.get(run.name)
        if job is not None and job.end_ms is None:
            self.end(job, Phase.CANCELLED)

    async def notify(self, run: RunRef, grace_s: int) -> None:
        self._ask()

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        self._ask()
        jobs = [(ref.run_id, self.jobs.get(ref.name)) for ref in runs]
        return {run_id: job.used() for run_id, job in jobs if job is not None and job.metered}

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        self.acknowledged.update(run_ids)

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        self._ask()
        return LogChunk(b"", offset, offset, True)

    async def health(self) -> Health:
        return Health(not self.away)

    async def wait_for_change(self, timeout_s: float) -> bool:
        return False

    async def close(self) -> None:
        """There is nothing to close."""

    # --- what happens there -----------------------------------------------------------------------

    def start(self, job: Native) -> None:
        """It runs."""
        job.phase, job.start_ms = Phase.RUNNING, int(self.now_s * 1000)
        job.sequence += 1

    def end(self, job: Native, phase: Phase) -> None:
        """It has ended."""
        job.phase, job.end_ms = phase, int(self.now_s * 1000)
        job.sequence += 1


def request(run_id: str, *, fresh: bool = True, epoch: int = 1) -> RunRequest:
    """Return a run of one unit."""
    return RunRequest(
        run_id, name_of(run_id), epoch, "wuhan", "e1", "plain/core", 1, 1, 60, fresh=fresh
    )


def name_of(run_id: str) -> str:
    """Return the name of a run at the center."""
    return f"n-{run_id}"


def ref_of(run_id: str) -> RunRef:
    """Return a run of which no answer is known."""
    return RunRef(run_id, name_of(run_id))


@dataclass
class Near:
    """An agent over a journal, which may die and begin again."""

    path: Path
    center: PlainCenter

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin from the journal."""
        self.journal = Journal(self.path, "plain")
        self.agent = Agent(self.center, self.journal, lambda: self.center.now_s)
        self.follower = Follower(self.agent, name_of)

    async def die(self) -> None:
        """Die as by kill -9: calls under way end nowhere, what is not on the disk is lost."""
        calls = list(self.agent._calls.values())
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        if self.journal._writing is not None:
            self.journal._writing.cancel()
            await asyncio.gather(self.journal._writing, return_exceptions=True)
        self.journal._thread.shutdown()
        self.journal._connection.close()

    def reports(self) -> list[words.RunReport]:
        """Return all that would be told."""
        told = (entry.report() for entry in self.journal.runs.values())
        return [one for one in told if one is not None]
