"""What a center's worker thinks of its runs, and which of them wait to be sent."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from adapters.contract import Observation, Phase, RunRef
from scheduler.clock import Clock
from scheduler.domain.evicting import EvictCause
from scheduler.domain.ids import center_name, run_id
from scheduler.domain.states import RUN_TERMINAL, RunState
from scheduler.domain.traces import TraceContext
from scheduler.store.runs import OpenRun

STATE_OF: Final = {
    Phase.WAITING: RunState.ACCEPTED,
    Phase.RUNNING: RunState.RUNNING,
    Phase.SUCCEEDED: RunState.SUCCEEDED,
    Phase.FAILED: RunState.FAILED,
    Phase.CANCELLED: RunState.CANCELLED,
    Phase.PREEMPTED: RunState.PREEMPTED,
}


@dataclass(slots=True)
class Tracked:
    """What this worker thinks of one run. Times are scheduling time.

    ``taken`` says that the center once had it: then it is never sent again. ``in_flight`` runs
    wait to be sent or are being sent, and are not followed meanwhile. ``missing_ms`` is since when
    the center, asked again and again, did not have it. ``order`` is why the platform ends it, with
    the grace; its program was told if ``deadline_ms`` says when it is ended. ``native_id`` and
    ``submit_ms`` are what its center answered; ``begun`` says that it was ever seen to run there.
    ``trace`` is the span of its submission, if it is followed.
    """

    uid: int
    attempt: int
    state: RunState
    sequence: int
    sent_ms: int
    cancel: bool = False
    taken: bool = False
    in_flight: bool = False
    tries: int = 0
    reported: Observation | None = None
    missing_ms: int | None = None
    cancel_ms: int | None = None
    order: EvictCause | None = None
    grace_ms: int = 0
    deadline_ms: int | None = None
    native_id: str = ""
    submit_ms: int = 0
    begun: bool = False
    city: str = ""
    enterprise: str = ""
    trace: TraceContext | None = None
    #: The run's id in text.
    run_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.run_id = run_id(self.uid, self.attempt)

    @property
    def said(self) -> Mapping[str, str]:
        """What lines of the log about it say (``adapters.telling.Subject``)."""
        ids = {"run": self.run_id, "city": self.city, "enterprise": self.enterprise}
        return ids if self.trace is None else {**ids, "trace_id": self.trace.trace_id}

    @property
    def ended(self) -> bool:
        """Whether it is over, as far as is stored; what it used may be missing."""
        return self.state in RUN_TERMINAL

    @property
    def unwanted(self) -> bool:
        """Whether it is to end: by its user's wish or by order of the platform."""
        return self.cancel or self.order is not None

    @property
    def ref(self) -> RunRef:
        """What its center finds it by."""
        return RunRef(self.run_id, center_name(self.run_id), self.native_id, self.submit_ms)

    def is_news(self, seen: Observation) -> bool:
        """Whether an observation says more than is stored already."""
        if self.state is RunState.UNKNOWN:
            return True
        before = self.reported
        if before is not None:
            return (before.sequence, before.phase) != (seen.sequence, seen.phase)
        return seen.phase is not Phase.WAITING or self.state is RunState.SUBMITTING

    def saw(self, seen: Observation) -> None:
        """Note an observation that is stored by now."""
        self.reported, self.state = seen, STATE_OF[seen.phase]
        self.begun = self.begun or seen.phase is not Phase.WAITING
        self.took(seen.native_id, seen.submit_ms)

    def took(self, native_id: str, submit_ms: int) -> None:
        """Note that the center has it, under this id since then."""
        self.taken, self.native_id, self.submit_ms = True, native_id, submit_ms

    def forgot(self) -> None:
        """Note that the center has no record of it any more: as if it had never answered."""
        self.state, self.taken, self.native_id, self.submit_ms = RunState.UNKNOWN, False, "", 0
        self.reported = self.missing_ms = self.cancel_ms = None


def taken_over(run: OpenRun, now_ms: int) -> Tracked:
    """Return what is stored of a run. Another leader may have called for it until now."""
    return Tracked(
        run.uid, run.attempt, run.state, run.sequence, now_ms, cancel=run.cancel, taken=run.taken,
        order=run.cause, grace_ms=run.grace_ms, deadline_ms=run.deadline_ms,
        native_id=run.native_id, submit_ms=run.submit_ms, begun=run.begun, city=run.city,
        enterprise=run.enterprise, trace=run.trace,
    )  # fmt: skip


class Roster:
    """The runs that a worker follows, found by their id and by their job."""

    def __init__(self) -> None:
        self.runs: dict[str, Tracked] = {}
        self._of_job: dict[int, dict[str, Tracked]] = {}
        self._unwanted: dict[str, Tracked] = {}

    def add(self, run: Tracked) -> None:
        """Follow a run."""
        self.runs[run.run_id] = run
        self._of_job.setdefault(run.uid, {})[run.run_id] = run
        if run.unwanted:
            self._unwanted[run.run_id] = run

    def forget(self, run_id: str) -> None:
        """Follow it no more."""
        run = self.runs.pop(run_id, None)
        if run is None:
            return
        self._unwanted.pop(run_id, None)
        attempts = self._of_job[run.uid]
        del attempts[run_id]
        if not attempts:
            del self._of_job[run.uid]

    def cancel(self, uid: int) -> list[Tracked]:
        """Note that a job's runs are to end; gives them."""
        runs = list(self._of_job.get(uid, {}).values())
        for run in runs:
            run.cancel = True
            self._unwanted[run.run_id] = run
        return runs

    def order(self, run_id: str, cause: EvictCause, grace_ms: int) -> Tracked | None:
        """Note that a run is to end by order of the platform; gives it if it is followed."""
        run = self.runs.get(run_id)
        if run is not None:
            run.order, run.grace_ms, run.deadline_ms = cause, grace_ms, None
            self._unwanted[run_id] = run
        return run

    def unwanted(self) -> list[Tracked]:
        """Return the runs that are to end, in the order in which that was wished."""
        return list(self._unwanted.values())


class Outbox:
    """Runs that wait to be sent, some of them not before a pause in real seconds has passed.

    While a center asks to be left alone (``hold``), none is given out but those that are to end,
    which need no call.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: deque[Tracked] = deque()
        self._later: dict[str, tuple[Tracked, int, float]] = {}
        self._held: tuple[int, float] = (0, 0.0)
        self._news = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due) + len(self._later)

    def put(self, runs: Iterable[Tracked]) -> None:
        """Runs to be sent at once."""
        for run in runs:
            run.in_flight = True
            self._due.append(run)
        self._news.set()

    def put_later(self, run: Tracked, pause_s: float) -> None:
        """A run to be sent once ``pause_s`` real seconds have passed."""
        run.in_flight = True
        self._later[run.run_id] = (run, self._clock.now_ms(), pause_s)
        self._news.set()

    def hold(self, pause_s: float) -> None:
        """Send nothing before so many real seconds have passed."""
        if pause_s > self.held_s:
            self._held = (self._clock.now_ms(), pause_s)

    @property
    def held_s(self) -> float:
        """Real seconds for which nothing is to be sent; not positive if it may be."""
        return self._left_s(*self._held)

    def hurry(self, run: Tracked) -> None:
        """Let a run that is to end wait no longer."""
        if self._later.pop(run.run_id, None) is not None:
            self.put([run])
        self._news.set()

    def take(self, most: int) -> list[Tracked]:
        """Return at most so many runs whose time has come; they are the caller's now."""
        for run, since_ms, pause_s in list(self._later.values()):
            if self._left_s(since_ms, pause_s) <= 0:
                del self._later[run.run_id]
                self._due.append(run)
        if self.held_s <= 0:
            return [self._due.popleft() for _ in range(min(most, len(self._due)))]
        unsent = [run for run in self._due if run.unwanted][:most]
        if unsent:
            self._due = deque(run for run in self._due if run not in unsent)
        return unsent

    def _left_s(self, since_ms: int, pause_s: float) -> float:
        return pause_s - self._clock.real_s(self._clock.now_ms() - since_ms)

    def _wait_s(self) -> float | None:
        """Real seconds until a run may be sent; None if none waits."""
        if any(run.unwanted for run in self._due):
            return 0.0
        left_s = [self._left_s(since, pause) for _, since, pause in self._later.values()]
        if self._due:
            left_s.append(0.0)
        return max(self.held_s, min(left_s)) if left_s else None

    async def wait(self) -> None:
        """Return when a run may be sent."""
        while True:
            self._news.clear()
            wait_s = self._wait_s()
            if wait_s is not None and wait_s <= 0:
                return
            # Not wait_for: before Python 3.12 it may swallow the cancellation that ends its caller.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
