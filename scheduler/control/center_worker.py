"""One center's work: sending runs, following them by level, and telling the store what it saw.

Each center has its own worker, so that one center's trouble never slows another's. The store is
the journal: a run is SUBMITTING there before the center is called, so that after any crash it is
looked up by name and adopted, or sent again under the same name; never sent blind.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import structlog

from adapters.contract import (
    ACTIVE_PHASES,
    CenterAdapter,
    LogChunk,
    Observation,
    RunRef,
    RunRequest,
    Usage,
    boot_s,
)
from adapters.errors import AdapterError, Throttled, Unauthorized
from adapters.gate import Gate
from adapters.telling import about
from scheduler.clock import Clock
from scheduler.control import absence
from scheduler.control.backoff import Backoff
from scheduler.control.ending import Ender
from scheduler.control.sending import OnCall, Sender, nobody_told
from scheduler.control.settings import LoopSettings
from scheduler.control.stocktaking import Look, Stocktaking
from scheduler.control.tracked import Outbox, Roster
from scheduler.control.tracked import Tracked as Tracked
from scheduler.domain.evicting import EvictCause
from scheduler.domain.ids import center_name
from scheduler.domain.inventory import Inventory
from scheduler.domain.reports import Report, observed, silent
from scheduler.domain.states import RUN_TERMINAL, RunState
from scheduler.services.context import CenterStatus
from scheduler.store.leader import Fenced

log = structlog.get_logger()

RunKey = tuple[int, int]
T = TypeVar("T")
Pause = Callable[[float], Awaitable[None]]

_THROTTLED_MAX = 100  # calls in a row that a center may ask us to make later


class WorkerPort(Protocol):
    """What a worker needs of the loop around it. All of it may raise ``leader.Fenced``."""

    async def mark_submitting(self, center: str, keys: list[RunKey]) -> list[RunRequest]:
        """Make the intent to send durable; gives what may still be sent, in order.

        Runs that are over are forgotten (``CenterWorker.forget``) before it returns.
        """
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


def _nobody(center: str, run: str) -> None:
    """Nobody is told of orphans."""


class CenterWorker:
    """Sends, follows and cancels runs at one center.

    Between ``start`` and ``stop`` it does so by itself; ``send_once`` and ``follow_once`` are its
    single steps. ``pause`` waits for real seconds, for those who throttle us; ``draw`` gives
    numbers in [0, 1) for jitter, ``now_s`` real seconds that pass while the process is stopped.
    """

    def __init__(
        self,
        center: str,
        adapter: CenterAdapter,
        port: WorkerPort,
        clock: Clock,
        settings: LoopSettings,
        on_orphan: Callable[[str, str], None] = _nobody,
        pause: Pause = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        now_s: Callable[[], float] = boot_s,
        on_call: OnCall = nobody_told,
    ) -> None:
        self.center, self.adapter, self.port = center, adapter, port
        self.clock, self.settings, self.on_orphan = clock, settings, on_orphan
        self._roster = Roster()
        self.tracked: Mapping[str, Tracked] = self._roster.runs
        self.reachable = True
        self.detail = ""
        self.last_answer_ms = 0
        self.stocktaking = Stocktaking()
        self._last_error, self._last_error_ms = "", 0
        self._pause_s = pause
        self._outbox = Outbox(clock)
        self._sender = Sender(
            center, adapter, port, clock, settings, self._outbox, draw, now_s, on_call
        )
        self._backoff = Backoff(settings.retry_s, settings.follow_pause_max_s, draw)
        self._draw = draw
        self._ender = Ender(center, adapter, port, clock, settings, self._patiently)
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._orphans: set[str] = set()
        self._silent_since_ms: int | None = None
        self._told_silent = False

    # --- what the loop calls ----------------------------------------------------------------------

    def track(self, runs: Iterable[Tracked]) -> None:
        """Take over runs: those PENDING are sent, the others followed."""
        taken = list(runs)
        for run in taken:
            self._roster.add(run)
        self._outbox.put([run for run in taken if run.state is RunState.PENDING])
        self._wake.set()

    def cancel(self, uid: int) -> bool:
        """Ask for the end of a job's run here; False if this center has none."""
        mine = self._roster.cancel(uid)
        for run in mine:
            self._outbox.hurry(run)
            self._wake.set()
        return bool(mine)

    def end(self, run: str, cause: EvictCause, grace_ms: int) -> None:
        """End a run by order of the platform, after a notice of ``grace_ms`` if it runs."""
        mine = self._roster.order(run, cause, grace_ms)
        if mine is not None:
            self._outbox.hurry(mine)
            self._wake.set()

    def forget(self, run: str) -> None:
        """The run is settled with; follow it no more."""
        self._roster.forget(run)

    def status(self) -> CenterStatus:
        """How the center answers."""
        return CenterStatus(
            self.reachable,
            self.detail,
            self.last_answer_ms,
            self._last_error,
            self._last_error_ms,
            self.adapter.state() if isinstance(self.adapter, Gate) else None,
        )

    async def take_inventory(self) -> Inventory:
        """Look at all that the center has, now. Raises the ``AdapterError`` of the look."""
        asked = self.stocktaking.ask()
        self._wake.set()
        return await asked

    async def read_logs(self, run: RunRef, offset: int, limit: int) -> LogChunk:
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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.adapter.close()

    # --- by itself --------------------------------------------------------------------------------

    async def _send_forever(self) -> None:
        while True:
            await self._outbox.wait()
            try:
                await self.send_once()
            except Fenced:
                return
            except Exception:
                log.exception("send_failed", center=self.center)
                await asyncio.sleep(self.settings.retry_s)

    async def _follow_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            try:
                await self.follow_once()
                self._backoff.reset()
            except Fenced:
                return
            except AdapterError as error:
                await asyncio.sleep(self._until_asked_again_s(error))
            except Exception:
                log.exception("follow_failed", center=self.center)
                await asyncio.sleep(self.settings.retry_s)
            await self._until_change(loop.time() - began_s)

    def _until_asked_again_s(self, error: AdapterError) -> float:
        """Real seconds for which a center that failed a look is left alone."""
        if isinstance(error, Unauthorized):
            return self.settings.unauthorized_pause_s * (1 + self._draw()) / 2
        return self._backoff.next_s()

    async def _until_change(self, spent_s: float) -> None:
        """Wait for a hint of change, new work or the poll interval; never less than a tick.

        Nor less than the last look took: what a look costs grows with the runs at the center, and
        it must leave time for everything else.
        """
        settings = self.settings
        await asyncio.sleep(max(settings.follow_tick_s, min(spent_s, settings.follow_s)))
        if self._wake.is_set():
            self._wake.clear()
            return
        hint = asyncio.ensure_future(self.adapter.wait_for_change(self.settings.follow_s))
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait(
                {hint, woken}, timeout=self.settings.follow_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:  # also when we are stopped: nothing may ask a center that was closed
            hint.cancel()
            woken.cancel()
            await asyncio.gather(hint, woken, return_exceptions=True)
        self._wake.clear()

    async def send_once(self) -> bool:
        """Send what waits to be sent, at most ``send_batch`` runs; False if nothing waited."""
        return await self._sender.send(self.tracked)

    # --- following --------------------------------------------------------------------------------

    async def follow_once(self) -> None:
        """Compare what the center has with what we think it has, and report the difference.

        Raises the ``AdapterError`` of a center that did not answer, after its runs were reported
        silent if it has been so for long.
        """
        asked_ms = self.clock.now_ms()
        with self.stocktaking.look(self.tracked, asked_ms) as look:
            await self._look(asked_ms, look)

    async def _look(self, asked_ms: int, look: Look) -> None:
        thought = {key: run for key, run in self.tracked.items() if not run.in_flight}
        try:
            active = await self._sweep()
            missing = [run.ref for key, run in thought.items() if key not in active]
            found = dict(await self._find(missing))
        except AdapterError as error:
            if not isinstance(error, Throttled):
                self._failed(error)
                await self._tell_silence()
            raise
        self._answered()
        look.seen = {**found, **active}
        await self._tell(thought, look.seen, asked_ms)
        await self._ender.end(self._roster.unwanted(), active)
        look.dead = await self._look_at_orphans([key for key in active if key not in self.tracked])

    async def _tell(
        self, thought: Mapping[str, Tracked], seen_now: Mapping[str, Observation], asked_ms: int
    ) -> None:
        """Report what is new of the runs we follow; the center was asked from ``asked_ms`` on."""
        usage = await self._usage(
            [
                run.ref
                for key, run in thought.items()
                if (seen_now[key].phase not in ACTIVE_PHASES if key in seen_now else run.ended)
            ]
        )
        news = [
            (run, seen_now[key])
            for key, run in thought.items()
            if key in seen_now and (run.is_news(seen_now[key]) or key in usage)
        ]
        reports = [
            observed(run.uid, run.attempt, seen, usage.get(run.run_id)) for run, seen in news
        ]
        for key, run in thought.items():
            if key in seen_now:
                run.missing_ms = None
        absent = absence.judge(
            [run for key, run in thought.items() if key not in seen_now], usage,
            asked_ms, self.clock, self.adapter.settle_s, self.adapter.provisional_s,
        )  # fmt: skip
        reports += absent.reports
        self._outbox.put(absent.never_took)
        if reports:
            await self.port.report(reports)
        for run, seen in news:  # only now: what could not be stored is reported again
            run.saw(seen)
            with about(run):
                log.debug("run_seen", center=self.center, phase=str(seen.phase))
        self._send_forgotten(absent.forgot)

    def _send_forgotten(self, runs: Sequence[Tracked]) -> None:
        """Send again what the center forgot, as the store knows by now."""
        for run in runs:
            with about(run):
                log.warning("run_forgotten", center=self.center, native_id=run.native_id)
            run.forgot()
        self._outbox.put(runs)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call of following again when the center says that it is too early."""
        for _ in range(_THROTTLED_MAX):
            try:
                return await call()
            except Throttled as error:
                await self._pause_s(max(error.retry_after_s, 0.001))
        return await call()

    async def _sweep(self) -> dict[str, Observation]:
        seen: dict[str, Observation] = {}
        token = ""
        while True:
            page = await self._patiently(lambda token=token: self.adapter.list_active(token))  # type: ignore[misc]
            seen.update((one.run_id, one) for one in page.observations)
            token = page.next_token
            if not token:
                return seen

    async def _find(self, missing: Sequence[RunRef]) -> Mapping[str, Observation]:
        if not missing:
            return {}
        return await self._patiently(lambda: self.adapter.find(missing))

    async def _usage(self, ended: Sequence[RunRef]) -> Mapping[str, tuple[Usage, ...]]:
        """What was metered; a center that cannot say yet keeps no end from being reported."""
        if not ended:
            return {}
        try:
            return await self._patiently(lambda: self.adapter.usage(ended))
        except AdapterError as error:
            log.warning("usage_unknown", center=self.center, runs=len(ended), error=str(error))
            return {}

    # --- orphans ----------------------------------------------------------------------------------

    async def _look_at_orphans(self, unknown: Sequence[str]) -> Collection[str]:
        """Runs with our mark that we do not follow: cancelled if proven dead, else raised once.

        Returns those that are dead.
        """
        self._orphans &= set(unknown)
        if not unknown:
            return ()
        dead = await self.port.is_finished(list(unknown))
        for key in unknown:
            if key in self.tracked:
                continue
            if key in dead:
                await self._ender.cancel(RunRef(key, center_name(key)))
            elif key not in self._orphans:
                self._orphans.add(key)
                self.on_orphan(self.center, key)
        return dead

    # --- how the center answers -------------------------------------------------------------------

    def _answered(self) -> None:
        self.last_answer_ms = self.clock.now_ms()
        self._silent_since_ms, self._told_silent = None, False
        self.detail = ""
        if not self.reachable:
            self.reachable = True
            log.info("center_back", center=self.center)
            self.port.center_changed(self.center, True)

    def _failed(self, error: AdapterError) -> None:
        self.detail = self._last_error = f"{type(error).__name__}: {error}"
        self._last_error_ms = self.clock.now_ms()
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
        unheard = [
            run
            for run in self.tracked.values()
            if not run.in_flight and run.state not in RUN_TERMINAL
        ]
        if unheard:
            await self.port.report([silent(run.uid, run.attempt, self.detail) for run in unheard])
        for run in unheard:
            run.state, run.missing_ms = RunState.UNKNOWN, None
        self._told_silent = True
