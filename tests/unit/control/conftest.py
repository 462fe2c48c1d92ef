"""A worker between a scripted center and a loop that only takes notes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from adapters.contract import (
    Accepted,
    CenterDescription,
    Health,
    LogChunk,
    Observation,
    Page,
    Phase,
    RunRef,
    RunRequest,
    Usage,
)
from adapters.errors import OutcomeUnknown
from scheduler.control.center_worker import CenterWorker, Tracked
from scheduler.control.settings import LoopSettings
from scheduler.domain.ids import center_name, run_id
from scheduler.domain.reports import Report, ReportKind
from scheduler.domain.states import RunState
from tests.simulation.world import HandClock

SETTINGS = LoopSettings(
    ray="off", send_tries_max=4, retry_s=1.0, unknown_after_s=100.0, cancel_again_s=30.0,
)  # fmt: skip


@dataclass
class ScriptedCenter:
    """Does what it is told: ``answers`` to submissions in turn, an ``error`` to everything else."""

    answers: list[Exception | None] = field(default_factory=list)
    error: Exception | None = None
    usage_error: Exception | None = None
    cancel_error: Exception | None = None
    notify_error: Exception | None = None
    #: Lost answers of ``OutcomeUnknown``: whether the run was taken all the same.
    takes: bool = False
    runs: dict[str, Observation] = field(default_factory=dict)
    metered: dict[str, tuple[Usage, ...]] = field(default_factory=dict)
    submitted: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    told: list[tuple[str, int]] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    throttled: int = 0
    settle_s: float = 5.0
    provisional_s: float = 0.0

    def has(self, run: str, phase: Phase = Phase.WAITING, sequence: int = 1) -> None:
        """The center has this run, and it stands so."""
        start_ms = None if phase is Phase.WAITING else 1
        self.runs[run] = Observation(run, "n", phase, sequence, 1, start_ms)

    def _answer(self) -> None:
        if self.error is not None:
            if self.throttled:
                self.throttled -= 1
                error = self.error
                if not self.throttled:
                    self.error = None
                raise error
            raise self.error

    async def describe(self) -> CenterDescription:
        raise AssertionError("a worker does not ask")

    async def submit(self, request: RunRequest) -> Accepted:
        self.submitted.append(request.run_id)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None or (isinstance(answer, OutcomeUnknown) and self.takes):
            self.has(request.run_id)
        if answer is not None:
            raise answer
        return Accepted(request.run_id, "n", 1)

    async def find(self, runs: Sequence[RunRef]) -> Mapping[str, Observation]:
        self._answer()
        return {run.run_id: self.runs[run.run_id] for run in runs if run.run_id in self.runs}

    async def list_active(self, page_token: str = "") -> Page:
        self._answer()
        active = (Phase.WAITING, Phase.RUNNING)
        return Page(tuple(seen for seen in self.runs.values() if seen.phase in active))

    async def cancel(self, run: RunRef) -> None:
        if self.cancel_error is not None:
            raise self.cancel_error
        self.cancelled.append(run.run_id)

    async def notify(self, run: RunRef, grace_s: int) -> None:
        if self.notify_error is not None:
            raise self.notify_error
        self.told.append((run.run_id, grace_s))

    async def usage(self, runs: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        if self.usage_error is not None:
            raise self.usage_error
        return {run.run_id: self.metered[run.run_id] for run in runs if run.run_id in self.metered}

    async def acknowledge(self, run_ids: Sequence[str]) -> None:
        self.acknowledged += run_ids

    async def logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
        raise AssertionError("nobody asks")

    async def health(self) -> Health:
        raise AssertionError("nobody asks")

    async def wait_for_change(self, timeout_s: float) -> bool:
        raise AssertionError("these steps are given by hand")

    async def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class Notes:
    """The loop around a worker: sends what it is asked to, and notes what it is told."""

    reports: list[Report] = field(default_factory=list)
    marked: list[str] = field(default_factory=list)
    unsendable: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    reachable: list[bool] = field(default_factory=list)
    fail_mark: Exception | None = None
    fail_report: Exception | None = None

    async def mark_submitting(self, center: str, keys: list[tuple[int, int]]) -> list[RunRequest]:
        if self.fail_mark is not None:
            raise self.fail_mark
        names = [run_id(*key) for key in keys]
        self.marked += names
        return [
            RunRequest(name, center_name(name), 1, "wuhan", "e", "f", 1, 1, 60)
            for name in names
            if name not in self.unsendable
        ]

    async def report(self, reports: list[Report]) -> None:
        if self.fail_report is not None:
            raise self.fail_report
        self.reports += reports

    async def is_finished(self, run_ids: list[str]) -> set[str]:
        return self.dead & set(run_ids)

    def center_changed(self, center: str, reachable: bool) -> None:
        self.reachable.append(reachable)

    def told(self) -> list[ReportKind]:
        """The kinds of the reports so far; forgets them."""
        kinds = [report.kind for report in self.reports]
        self.reports.clear()
        return kinds


@dataclass
class Bench:
    """A worker with what is around it."""

    center: ScriptedCenter
    loop: Notes
    clock: HandClock
    worker: CenterWorker
    orphans: list[str] = field(default_factory=list)
    #: Real seconds that passed while the process was stopped.
    stopped_s: float = 0.0

    def track(
        self, uid: int = 1, state: RunState = RunState.PENDING, *, taken: bool = False
    ) -> Tracked:
        """Give the worker a run."""
        run = Tracked(uid, 1, state, 0, self.clock.ms, taken=taken)
        self.worker.track([run])
        return run

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.ms += int(seconds * 1000)


@pytest.fixture
def bench() -> Bench:
    """A worker at rest."""
    center, loop, clock, orphans = ScriptedCenter(), Notes(), HandClock(), list[str]()
    worker = CenterWorker(
        "ai", center, loop, clock, SETTINGS, lambda _, run: orphans.append(run), clock.pause,
        lambda: 1.0, lambda: clock.ms / 1000 + made.stopped_s,
    )  # fmt: skip
    made = Bench(center, loop, clock, worker, orphans)
    return made


__all__ = ["Bench", "Notes", "ScriptedCenter"]
