"""One center's work: sending runs, following them by level, and telling the store what it saw.

Each center has its own worker, so that one center's trouble never slows another's. The store is
the journal: a run is SUBMITTING there before the center is called, so that after any crash it is
looked up by name and adopted, or sent again under the same name; never sent blind.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from adapters.contract import (
    ACTIVE_PHASES,
    CenterAdapter,
    LogChunk,
    Observation,
    Phase,
    RunRequest,
)
from adapters.errors import (
    AdapterError,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Unauthorized,
    Unavailable,
)
from scheduler.clock import Clock
from scheduler.control.settings import LoopSettings
from scheduler.domain.ids import run_id
from scheduler.domain.reports import (
    Report,
    accepted,
    never_taken,
    observed,
    refused,
    silent,
    vanished,
)
from scheduler.domain.states import RUN_TERMINAL, RunState
from scheduler.services.context import CenterStatus

log = structlog.get_logger()

RunKey = tuple[int, int]

_STATE_OF = {
    Phase.WAITING: RunState.ACCEPTED,
    Phase.RUNNING: RunState.RUNNING,
    Phase.SUCCEEDED: RunState.SUCCEEDED,
    Phase.FAILED: RunState.FAILED,
    Phase.CANCELLED: RunState.CANCELLED,
    Phase.PREEMPTED: RunState.PREEMPTED,
}


@dataclass(slots=True)
class Tracked:
    """What this worker thinks of one active run. Times are scheduling time."""

    uid: int
    attempt: int
    state: RunState
    sequence: int
    sent_ms: int
    cancel: bool = False
    in_flight: bool = False
    tries: int = 0
    reported: Observation | None = None

    @property
    def run_id(self) -> str:
        """The run's id in text."""
        return run_id(self.uid, self.attempt)


def _is_news(run: Tracked, seen: Observation) -> bool:
    """Whether an observation says more than is stored already."""
    if run.state is RunState.UNKNOWN:
        return True
    before = run.reported
    if before is not None:
        return (before.sequence, before.phase) != (seen.sequence, seen.phase)
    return seen.phase is not Phase.WAITING or run.state is RunState.SUBMITTING


class WorkerPort(Protocol):
    """What a worker needs of the loop around it."""

    async def mark_submitting(self, center: str, keys: list[RunKey]) -> list[RunRequest]:
        """Make the intent to send durable; gives what may still be sent, in order."""
        ...

    async def report(self, reports: list[Report]) -> None:
        """Make reports durable and act on them."""
        ...

    async def is_finished(self, run_ids: list[str]) -> set[str]:
        """Which of these runs the store knows and holds to be ended."""
        ...

    def center_changed(self, center: str, reachable: bool) -> None:
        """The center was lost or came back."""
        ...


@dataclass(slots=True)
class CenterWorker:
    """Sends, follows and cancels runs at one center until ``stop``."""

    center: str
    adapter: CenterAdapter
    port: WorkerPort
    clock: Clock
    settings: LoopSettings
    on_orphan: Callable[[str, str], None] = lambda center, run: None
    tracked: dict[str, Tracked] = field(default_factory=dict)
    reachable: bool = True
    detail: str = ""
    last_answer_ms: int = 0
    _outbox: "asyncio.Queue[Tracked]" = field(default_factory=asyncio.Queue)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _sending: set["asyncio.Task[None]"] = field(default_factory=set)
    _silent_since_ms: int | None = None
    _told_silent: bool = False

    # --- what the loop calls ----------------------------------------------------------------------

    def track(self, runs: Iterable[Tracked]) -> None:
        """Take over runs: those PENDING are sent, the others followed."""
        for run in runs:
            self.tracked[run.run_id] = run
            if run.state is RunState.PENDING:
                run.in_flight = True
                self._outbox.put_nowait(run)
        self._wake.set()

    def cancel(self, uid: int) -> bool:
        """Ask for the end of a job's run here; False if this center has none."""
        for run in self.tracked.values():
            if run.uid == uid:
                run.cancel = True
                self._wake.set()
                return True
        return False

    def forget(self, run: str) -> None:
        """The run is settled with; follow it no more."""
        self.tracked.pop(run, None)

    def status(self) -> CenterStatus:
        """How the center answers."""
        return CenterStatus(self.reachable, self.detail, self.last_answer_ms)

    async def read_logs(self, run: str, offset: int, limit: int) -> LogChunk:
        """A piece of a run's log."""
        return await self.adapter.logs(run, offset, limit)

    def start(self) -> None:
        """Begin to send and to follow."""
        self._tasks = [
            asyncio.create_task(self._send_forever(), name=f"send-{self.center}"),
            asyncio.create_task(self._follow_forever(), name=f"follow-{self.center}"),
        ]

    async def stop(self) -> None:
        """Stop; calls under way are abandoned, the store knows what was intended."""
        tasks = [*self._tasks, *self._sending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.adapter.close()

    # --- sending ----------------------------------------------------------------------------------

    async def _send_forever(self) -> None:
        while True:
            batch = [await self._outbox.get()]
            while len(batch) < self.settings.send_batch and not self._outbox.empty():
                batch.append(self._outbox.get_nowait())
            try:
                await self._send(batch)
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("send_failed", center=self.center, runs=len(batch))
                await asyncio.sleep(self.settings.retry_s)
                for run in batch:
                    self._outbox.put_nowait(run)

    async def _send(self, batch: list[Tracked]) -> None:
        requests = await self.port.mark_submitting(
            self.center, [(run.uid, run.attempt) for run in batch]
        )
        wanted = {request.run_id: request for request in requests}
        for run in batch:
            request = wanted.get(run.run_id)
            if request is None:  # cancelled before it was sent, or ended by other means
                self.forget(run.run_id)
                continue
            run.state, run.sent_ms = RunState.SUBMITTING, self.clock.now_ms()
        ready = [(self.tracked[key], request) for key, request in wanted.items()]
        limit = asyncio.Semaphore(self.settings.send_concurrency)

        async def one(run: Tracked, request: RunRequest) -> Report | None:
            async with limit:
                return await self._submit(run, request)

        reports = await asyncio.gather(*(one(run, request) for run, request in ready))
        await self.port.report([report for report in reports if report is not None])

    async def _submit(self, run: Tracked, request: RunRequest) -> Report | None:
        """Call the center once; None if the outcome will be found by following."""
        try:
            answer = await self.adapter.submit(request)
        except Rejected as error:
            run.in_flight = False
            return refused(run.uid, run.attempt, error.reason, str(error))
        except OutcomeUnknown as error:
            run.in_flight, run.sent_ms = False, self.clock.now_ms()
            run.state = RunState.UNKNOWN
            return silent(run.uid, run.attempt, str(error))
        except (Unavailable, Unauthorized) as error:
            return self._send_later(run, error)
        self._answered()
        run.in_flight = False
        run.state = RunState.ACCEPTED
        return accepted(run.uid, run.attempt, answer.native_id, answer.submit_ms)

    def _send_later(self, run: Tracked, error: AdapterError) -> Report | None:
        """The call had no effect: send again after a pause, or give the job back after many."""
        self._failed(error)
        run.tries += 1
        if run.tries >= self.settings.send_tries_max:
            run.in_flight = False
            return never_taken(run.uid, run.attempt, f"not taken after {run.tries} tries: {error}")
        pause = self.settings.retry_s * min(2 ** (run.tries - 1), 32)
        if isinstance(error, Throttled):
            pause = max(pause, error.retry_after_s)
        run.state = RunState.SUBMITTING
        asyncio.get_running_loop().call_later(pause, self._outbox.put_nowait, run)
        return None

    # --- following --------------------------------------------------------------------------------

    async def _follow_forever(self) -> None:
        while True:
            try:
                await self.follow_once()
            except asyncio.CancelledError:
                raise
            except AdapterError as error:
                self._failed(error)
                await self._tell_silence()
                await asyncio.sleep(self.settings.retry_s)
            except Exception:
                log.exception("follow_failed", center=self.center)
                await asyncio.sleep(self.settings.retry_s)
            await self._pause()

    async def _pause(self) -> None:
        """Wait for a hint of change, new work or the poll interval; never less than a tick."""
        await asyncio.sleep(self.settings.follow_tick_s)
        if self._wake.is_set():
            self._wake.clear()
            return
        hint = asyncio.ensure_future(self.adapter.wait_for_change(self.settings.follow_s))
        woken = asyncio.ensure_future(self._wake.wait())
        done, rest = await asyncio.wait(
            {hint, woken}, timeout=self.settings.follow_s, return_when=asyncio.FIRST_COMPLETED
        )
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in done:
            task.exception()
        self._wake.clear()

    async def follow_once(self) -> None:
        """Compare what the center has with what we think it has, and report the difference."""
        await self._cancel_wanted()
        thought = {key: run for key, run in self.tracked.items() if not run.in_flight}
        active = await self._sweep()
        missing = [key for key in thought if key not in active]
        found = dict(await self.adapter.find(missing)) if missing else {}
        self._answered()
        ended = [key for key, seen in found.items() if seen.phase not in ACTIVE_PHASES]
        usage = await self.adapter.usage(ended) if ended else {}
        news = [
            (run, seen)
            for key, run in thought.items()
            if (seen := active.get(key) or found.get(key)) is not None
            and (_is_news(run, seen) or key in usage)
        ]
        reports = [
            observed(run.uid, run.attempt, seen, usage.get(run.run_id)) for run, seen in news
        ]
        reports += self._absent([thought[key] for key in missing if key not in found])
        if reports:
            await self.port.report(reports)
        for run, seen in news:  # only now: what could not be stored is reported again
            run.reported, run.state = seen, _STATE_OF[seen.phase]
        await self._orphans([key for key in active if key not in self.tracked])

    async def _sweep(self) -> Mapping[str, Observation]:
        seen: dict[str, Observation] = {}
        token = ""
        while True:
            page = await self.adapter.list_active(token)
            seen.update((one.run_id, one) for one in page.observations)
            token = page.next_token
            if not token:
                return seen

    def _absent(self, missing: list[Tracked]) -> list[Report]:
        """Runs the center does not have, once its settle window has passed."""
        now_ms = self.clock.now_ms()
        reports = []
        for run in missing:
            waited_s = self.clock.real_s(now_ms - run.sent_ms)
            if waited_s < self.adapter.settle_s or run.state in RUN_TERMINAL:
                continue
            if run.reported is not None or run.state in (RunState.ACCEPTED, RunState.RUNNING):
                reports.append(vanished(run.uid, run.attempt))
            else:  # never taken: the same name is sent again
                run.in_flight = True
                self._outbox.put_nowait(run)
        return reports

    async def _cancel_wanted(self) -> None:
        for run in list(self.tracked.values()):
            if run.cancel and not run.in_flight and run.state not in RUN_TERMINAL:
                await self.adapter.cancel(run.run_id)

    async def _orphans(self, unknown: list[str]) -> None:
        """Runs with our mark that we do not follow: cancelled if proven dead, else raised."""
        if not unknown:
            return
        dead = await self.port.is_finished(unknown)
        for key in unknown:
            if key in self.tracked:
                continue
            if key in dead:
                await self.adapter.cancel(key)
            else:
                self.on_orphan(self.center, key)

    # --- how the center answers -------------------------------------------------------------------

    def _answered(self) -> None:
        self.last_answer_ms = self.clock.now_ms()
        self._silent_since_ms, self._told_silent = None, False
        if not self.reachable:
            self.reachable, self.detail = True, ""
            log.info("center_back", center=self.center)
            self.port.center_changed(self.center, True)

    def _failed(self, error: AdapterError) -> None:
        self.detail = f"{type(error).__name__}: {error}"
        if self._silent_since_ms is None:
            self._silent_since_ms = self.clock.now_ms()
        if self.reachable:
            self.reachable = False
            log.warning("center_away", center=self.center, error=self.detail)
            self.port.center_changed(self.center, False)

    async def _tell_silence(self) -> None:
        """After a long silence every active run is UNKNOWN: kept, paid for, never run again."""
        if self._silent_since_ms is None or self._told_silent:
            return
        silent_s = self.clock.real_s(self.clock.now_ms() - self._silent_since_ms)
        if silent_s < self.settings.unknown_after_s:
            return
        self._told_silent = True
        reports = [
            silent(run.uid, run.attempt, self.detail)
            for run in self.tracked.values()
            if not run.in_flight
        ]
        for run in self.tracked.values():
            if not run.in_flight:
                run.state = RunState.UNKNOWN
        await self.port.report(reports)
