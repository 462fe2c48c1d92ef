"""The inside of a simulated center: queues, units and what happens when. No clock, no I/O.

Every change is an event; ``Cluster.apply`` is the only place where a run changes, for events that
happen now and for those read from the journal alike. Each flavor has a lane of its own: first come
first served, a gang starts when its units are free, nobody overtakes.
"""

import heapq
from collections import deque
from dataclasses import dataclass, field, replace
from typing import cast

from adapters.contract import (
    ACTIVE_PHASES,
    FailureClass,
    FlavorCapacity,
    Observation,
    Phase,
    RunRequest,
)
from adapters.simulated.fate import SUCCEEDED, Fate
from adapters.simulated.journal import Event

_EXIT_CODES = {FailureClass.USER_CODE: 1, FailureClass.OUT_OF_MEMORY: 137}
#: With which a simulated program exits that has saved its work (EX_TEMPFAIL: try again).
SAVED_EXIT_CODE = 75


@dataclass(slots=True)
class SimulatedRun:
    """One run as the center knows it. Times are scheduling milliseconds."""

    serial: int
    native_id: str
    run_id: str
    name: str
    flavor: str
    units: int
    submit_ms: int
    ready_ms: int
    fate: Fate
    phase: Phase = Phase.WAITING
    sequence: int = 1
    start_ms: int | None = None
    end_ms: int | None = None
    due_ms: int = 0
    cancelled: bool = False
    notice_ms: int | None = None
    grace_s: int = 0
    saves: bool = False
    seen: Observation | None = None

    @property
    def vanished(self) -> bool:
        """Whether the center has lost all trace of the run."""
        return self.phase is Phase.FAILED and self.fate.failure is FailureClass.LOST

    def observation(self) -> Observation:
        """What the center says of it now."""
        if self.seen is None:
            failure = FailureClass.USER_CODE if self.saves else self.fate.failure
            if self.phase not in (Phase.FAILED, Phase.PREEMPTED):
                failure = None
            exit_code = _EXIT_CODES.get(failure) if failure else None
            if failure and self.saves:
                exit_code = SAVED_EXIT_CODE
            if self.phase is Phase.SUCCEEDED:
                exit_code = 0
            self.seen = Observation(
                run_id=self.run_id,
                native_id=self.native_id,
                phase=self.phase,
                sequence=self.sequence,
                submit_ms=self.submit_ms,
                start_ms=self.start_ms,
                end_ms=self.end_ms,
                failure=failure,
                exit_code=exit_code,
                message=self._message(failure),
            )
        return self.seen

    def _message(self, failure: FailureClass | None) -> str:
        if failure is None:
            return ""
        return "simulated checkpoint saved" if self.saves else f"simulated failure: {failure}"


@dataclass(slots=True)
class Lane:
    """The queue and the units of one flavor. ``at_ms`` is the time of its last change."""

    capacity: FlavorCapacity
    free: int
    at_ms: int = 0
    waiting: deque[SimulatedRun] = field(default_factory=deque)
    ends: list[tuple[int, int, SimulatedRun]] = field(default_factory=list)

    def now(self) -> FlavorCapacity:
        """The capacity, what of it is held now, and how many runs wait."""
        waiting = sum(run.phase is Phase.WAITING for run in self.waiting)
        used = self.capacity.units - self.free
        return replace(self.capacity, used_units=used, waiting_runs=waiting)

    def head(self) -> SimulatedRun | None:
        """The run whose turn it is."""
        while self.waiting and self.waiting[0].phase is not Phase.WAITING:
            self.waiting.popleft()
        return self.waiting[0] if self.waiting else None

    def next_end(self) -> SimulatedRun | None:
        """The run that ends first."""
        while self.ends:
            due_ms, _, run = self.ends[0]
            if run.phase is Phase.RUNNING and run.due_ms == due_ms:
                return run
            heapq.heappop(self.ends)  # ended, or its end was moved by a cancellation
        return None

    def next_event(self) -> tuple[int, Event] | None:
        """What happens next and when; an end comes before a start of the same moment."""
        ending, head = self.next_end(), self.head()
        if head is not None and head.units <= self.free:
            start_ms = max(head.ready_ms, self.at_ms)
            if ending is None or start_ms < ending.due_ms:
                return start_ms, {"event": "start", "name": head.name, "at_ms": start_ms}
        if ending is None:
            return None
        return ending.due_ms, {"event": "end", "name": ending.name, "at_ms": ending.due_ms}


class Cluster:
    """All runs of one center, ended ones too, for as long as the center lives."""

    def __init__(self, flavors: tuple[FlavorCapacity, ...], cancel_delay_ms: int) -> None:
        self.lanes = {one.flavor: Lane(one, one.units) for one in flavors}
        self.by_name: dict[str, SimulatedRun] = {}
        self.by_run_id: dict[str, SimulatedRun] = {}
        self.active: dict[int, SimulatedRun] = {}  # by serial, in rising order
        self._cancel_delay_ms = cancel_delay_ms
        self._serial = 0

    def advance(self, now_ms: int) -> list[Event]:
        """Let happen all that is due by ``now_ms``; gives it in order of time per lane."""
        happened = []
        for lane in self.lanes.values():
            while (due := lane.next_event()) is not None and due[0] <= now_ms:
                self.apply(due[1])
                happened.append(due[1])
        return happened

    def next_ms(self) -> int | None:
        """When something happens next by itself; None if nothing will."""
        return min(
            (due[0] for lane in self.lanes.values() if (due := lane.next_event()) is not None),
            default=None,
        )

    def acceptance(self, request: RunRequest, fate: Fate, now_ms: int, ready_ms: int) -> Event:
        """The event by which a new run is taken, with all that must outlive the process."""
        return {
            "event": "accept",
            "name": request.name,
            "run_id": request.run_id,
            "native_id": f"sim-{self._serial + 1:06d}",
            "epoch": request.epoch,
            "city": request.city,
            "enterprise": request.enterprise,
            "flavor": request.flavor,
            "units": request.units,
            "wall_limit_s": request.wall_limit_s,
            "submit_ms": now_ms,
            "ready_ms": ready_ms,
            "runtime_ms": fate.runtime_ms,
            "outcome": fate.failure or SUCCEEDED,
            "checkpoint_ms": fate.checkpoint_ms,
        }

    def apply(self, event: Event) -> None:
        """Change state by one event. Raises ``ValueError`` for one that makes no sense here."""
        kind, name = event["event"], str(event["name"])
        if kind == "accept":
            self._accept(event)
            return
        run = self.by_name.get(name)
        if run is None or run.phase not in ACTIVE_PHASES:
            raise ValueError(f"{kind!r} of {name!r}, which is not active")
        at_ms = cast(int, event["at_ms"])
        if kind == "start" and run.phase is Phase.WAITING:
            self._start(run, at_ms)
        elif kind == "end" and run.phase is Phase.RUNNING:
            self._end(run, at_ms)
        elif kind == "cancel":
            self._cancel(run, at_ms)
        elif kind == "notice" and run.phase is Phase.RUNNING:
            self._notice(run, at_ms, cast(int, event["grace_s"]))
        else:
            raise ValueError(f"{kind!r} of {name!r}, which is {run.phase}")

    def _accept(self, event: Event) -> None:
        flavor, name = str(event["flavor"]), str(event["name"])
        if flavor not in self.lanes:
            raise ValueError(f"{name!r} runs on {flavor!r}, which the settings do not offer")
        if name in self.by_name:
            raise ValueError(f"{name!r} is accepted twice")
        outcome = str(event["outcome"])
        failure = None if outcome == SUCCEEDED else FailureClass(outcome)
        self._serial += 1
        run = SimulatedRun(
            serial=self._serial,
            native_id=str(event["native_id"]),
            run_id=str(event["run_id"]),
            name=name,
            flavor=flavor,
            units=cast(int, event["units"]),
            submit_ms=cast(int, event["submit_ms"]),
            ready_ms=cast(int, event["ready_ms"]),
            fate=Fate(
                cast(int, event["runtime_ms"]),
                failure,
                cast("int | None", event.get("checkpoint_ms")),
            ),
        )
        self.by_name[name] = self.by_run_id[run.run_id] = self.active[run.serial] = run
        self.lanes[flavor].waiting.append(run)

    def _start(self, run: SimulatedRun, at_ms: int) -> None:
        lane = self.lanes[run.flavor]
        lane.free -= run.units
        run.start_ms, run.due_ms = at_ms, at_ms + run.fate.runtime_ms
        self._changed(run, Phase.RUNNING, at_ms)
        heapq.heappush(lane.ends, (run.due_ms, run.serial, run))

    def _end(self, run: SimulatedRun, at_ms: int) -> None:
        self.lanes[run.flavor].free += run.units
        failure = run.fate.failure
        if run.cancelled:
            phase = Phase.CANCELLED
        elif run.saves:
            phase = Phase.FAILED
        elif failure is FailureClass.PREEMPTED:
            phase = Phase.PREEMPTED
        else:
            phase = Phase.FAILED if failure else Phase.SUCCEEDED
        self._finish(run, phase, at_ms)

    def _cancel(self, run: SimulatedRun, at_ms: int) -> None:
        """A waiting run ends at once; a running one after a while, unless it ends before."""
        if run.phase is Phase.WAITING:
            self._finish(run, Phase.CANCELLED, at_ms)
            return
        end_ms = at_ms + self._cancel_delay_ms
        if not run.cancelled and end_ms < run.due_ms:
            run.cancelled, run.saves = True, False
            self._due(run, end_ms)

    def _notice(self, run: SimulatedRun, at_ms: int, grace_s: int) -> None:
        """A program that saves its work exits when it has, unless it ends before."""
        run.notice_ms, run.grace_s = at_ms, grace_s
        saving_ms = run.fate.checkpoint_ms
        if saving_ms is None or run.cancelled or saving_ms > grace_s * 1000:
            return
        if at_ms + saving_ms < run.due_ms:
            run.saves = True
            self._due(run, at_ms + saving_ms)

    def _due(self, run: SimulatedRun, end_ms: int) -> None:
        """The run ends sooner than it would have."""
        run.due_ms = end_ms
        heapq.heappush(self.lanes[run.flavor].ends, (end_ms, run.serial, run))

    def _finish(self, run: SimulatedRun, phase: Phase, at_ms: int) -> None:
        run.end_ms = at_ms
        del self.active[run.serial]
        self._changed(run, phase, at_ms)

    def _changed(self, run: SimulatedRun, phase: Phase, at_ms: int) -> None:
        lane = self.lanes[run.flavor]
        lane.at_ms = max(lane.at_ms, at_ms)
        run.phase = phase
        run.sequence += 1
        run.seen = None
