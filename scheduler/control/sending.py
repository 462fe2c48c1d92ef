"""Runs on their way to one center: the intent made durable, the call, and what its answer means.

No answer is ever guessed. A call that certainly had no effect is made again after a pause; one
that may have had an effect makes the run UNKNOWN, and following finds out by its name.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

import structlog

from adapters.contract import Accepted, CenterAdapter, RunRequest, boot_s
from adapters.errors import OutcomeUnknown, Rejected, Throttled, Unauthorized, Unavailable
from adapters.telling import about
from scheduler.clock import Clock
from scheduler.control.backoff import Backoff
from scheduler.control.settings import LoopSettings
from scheduler.control.tracked import Outbox, Tracked
from scheduler.domain.reports import (
    Report,
    ReportKind,
    accepted,
    never_taken,
    refused,
    silent,
)
from scheduler.domain.states import RunState

log = structlog.get_logger()

_BACKOFF_MAX = 32  # times the first pause
_SETTLE_PART = 0.5  # of a settle window that an intent may be old
#: Below that a store which is slow for a while would never send anything. A center whose settle
#: window is shorter than this takes one name once, as the simulated one does.
_INTENT_LEAST_S = 2.0
_HOLD_MIN_S = 0.001


#: Told of every call to take a run: the run, the center, when it began in epoch nanoseconds, and
#: ``Accepted`` or the class of the error.
OnCall = Callable[[Tracked, str, int, str], None]


def nobody_told(run: Tracked, center: str, start_ns: int, outcome: str) -> None:
    """Nobody is told of calls."""


class SenderPort(Protocol):
    """What sending needs of the loop; see ``WorkerPort``."""

    async def mark_submitting(self, center: str, keys: list[tuple[int, int]]) -> list[RunRequest]:
        """Make the intent to send durable."""
        ...

    async def report(self, reports: list[Report]) -> None:
        """Make reports durable."""
        ...


class Sender:
    """Sends what waits in the outbox."""

    def __init__(
        self,
        center: str,
        adapter: CenterAdapter,
        port: SenderPort,
        clock: Clock,
        settings: LoopSettings,
        outbox: Outbox,
        draw: Callable[[], float] = random.random,
        now_s: Callable[[], float] = boot_s,
        on_call: OnCall = nobody_told,
    ) -> None:
        self._draw, self._now_s, self._on_call = draw, now_s, on_call
        self._backoff = Backoff(settings.retry_s, _BACKOFF_MAX * settings.retry_s, draw)
        self._center, self._adapter, self._port = center, adapter, port
        self._clock, self._settings, self._outbox = clock, settings, outbox
        #: A busy or slow center is sent as many as it took the last time, else twice as many.
        self._most = settings.send_batch
        #: Whether intents of the last step grew old before their calls.
        self._too_many = False

    async def send(self, tracked: Mapping[str, Tracked]) -> bool:
        """Send at most ``send_batch`` runs of those tracked; False if nothing waited."""
        taken = {run.run_id: run for run in self._outbox.take(self._most)}
        batch = [run for key, run in taken.items() if tracked.get(key) is run]
        if not batch:
            return bool(taken)
        send_by_s = self._now_s() + self._intent_s
        try:
            requests = await self._port.mark_submitting(
                self._center, [(run.uid, run.attempt) for run in batch]
            )
        except BaseException:
            self._outbox.put(batch)  # nothing was sent
            raise
        wanted = {request.run_id: request for request in requests}
        ready: list[tuple[Tracked, RunRequest]] = []
        for run in batch:
            request = wanted.get(run.run_id)
            if request is None:  # cancelled unsent and forgotten, or known to be at the center
                run.in_flight, run.taken = False, True
            else:
                run.state, run.sent_ms = RunState.SUBMITTING, self._clock.now_ms()
                trace_id = "" if run.trace is None else run.trace.trace_id
                ready.append((run, replace(request, send_by_s=send_by_s, trace_id=trace_id)))
        self._too_many = False
        await self._send_all(ready)
        if self._outbox.held_s <= 0 and not self._too_many:
            self._most = min(self._settings.send_batch, 2 * self._most)
        else:
            put_back = sum(run.in_flight for run, _ in ready)
            self._most = max(1, len(ready) - put_back)
        return True

    @property
    def _intent_s(self) -> float:
        """How old an intent may be when its call is made: another leader waits for longer."""
        part_s = max(_INTENT_LEAST_S, _SETTLE_PART * self._adapter.settle_s)
        return min(self._settings.intent_max_age_s, part_s)

    async def _send_all(self, ready: list[tuple[Tracked, RunRequest]]) -> None:
        """Call for each run, several at once, and report what is known while others go on."""
        left = deque(ready)
        open_runs = {run.run_id: run for run, _ in ready}
        outcomes: list[tuple[Tracked, Report | None]] = []
        news = asyncio.Event()

        async def call() -> None:
            while left:
                run, request = left.popleft()
                with about(run):
                    outcomes.append((run, await self._submit(run, request)))
                news.set()

        calls = [
            asyncio.create_task(call())
            for _ in range(min(self._settings.send_concurrency, len(ready)))
        ]
        for one in calls:
            one.add_done_callback(lambda _: news.set())
        try:
            while open_runs:
                await news.wait()
                news.clear()
                for one in calls:
                    if one.done():
                        one.result()  # raises what nobody foresaw
                known = outcomes.copy()
                outcomes.clear()
                for run, report in known:
                    if report is None:
                        del open_runs[run.run_id]
                told = [(run, report) for run, report in known if report is not None]
                await self._report(told)
                for run, _ in told:
                    del open_runs[run.run_id]
        finally:
            for one in calls:
                one.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            for run in open_runs.values():  # followed, and so looked up by name
                run.in_flight, run.missing_ms = False, None

    async def _report(self, known: list[tuple[Tracked, Report]]) -> None:
        """Make outcomes durable, then believe them."""
        if not known:
            return
        await self._port.report([report for _, report in known])
        for run, report in known:
            run.in_flight, run.missing_ms = False, None
            if report.kind is ReportKind.ACCEPTED:
                run.state = RunState.ACCEPTED
                run.took(report.native_id, report.submit_ms)
            elif report.kind is ReportKind.SILENT:
                run.state = RunState.UNKNOWN
            with about(run):
                log.debug("run_sent", center=self._center, outcome=str(report.kind))

    async def _submit(self, run: Tracked, request: RunRequest) -> Report | None:
        """Call the center once; None if the run waits to be sent again."""
        is_late = self._now_s() >= request.send_by_s
        self._too_many |= is_late
        if run.unwanted or self._outbox.held_s > 0 or is_late:
            # To end unsent, as it was asked for since; to wait until the center has time; or to
            # have the intent made durable anew, which fails if another leads by now.
            self._outbox.put([run])
            return None
        try:
            answer = await self._call(run, request)
        except Rejected as error:
            return refused(run.uid, run.attempt, error.reason, str(error))
        except Throttled as error:  # no failure: the center is well, and busy
            self._outbox.hold(max(error.retry_after_s, _HOLD_MIN_S))
            self._outbox.put([run])
            return None
        except Unauthorized as error:  # no failure of the run: it waits until we are let in
            log.error("unauthorized", center=self._center, error=str(error))
            self._outbox.hold(self._settings.unauthorized_pause_s * (1 + self._draw()) / 2)
            self._outbox.put([run])
            return None
        except Unavailable as error:
            return self._send_later(run, str(error))
        except OutcomeUnknown as error:
            return self._unknown(run, str(error))
        except Exception as error:
            log.exception("submit_failed", center=self._center, run=run.run_id)
            return self._unknown(run, f"{type(error).__name__}: {error}")
        return accepted(run.uid, run.attempt, answer.native_id, answer.submit_ms)

    async def _call(self, run: Tracked, request: RunRequest) -> Accepted:
        start_ns, outcome = time.time_ns(), "Accepted"
        try:
            return await self._adapter.submit(request)
        except BaseException as error:
            outcome = type(error).__name__
            raise
        finally:
            self._on_call(run, self._center, start_ns, outcome)

    def _unknown(self, run: Tracked, message: str) -> Report:
        run.sent_ms = self._clock.now_ms()
        return silent(run.uid, run.attempt, message)

    def _send_later(self, run: Tracked, message: str) -> Report | None:
        """The call had no effect: send again after a pause, or give the job back after many."""
        run.tries += 1
        if run.tries >= self._settings.send_tries_max:
            return never_taken(
                run.uid, run.attempt, f"not taken after {run.tries} tries: {message}"
            )
        self._outbox.put_later(run, self._backoff.after_s(run.tries - 1))
        return None
