"""Runs at one center that are not wanted any more: ended at once, or after notice and grace.

All of it is by level: each look asks again for what has not happened yet, so nothing is lost with
an answer or with the process. A program that runs is ended by order of the platform only once its
center was heard to have told it, and the grace since then has passed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import structlog

from adapters.contract import CenterAdapter, Observation, Phase, RunRef
from adapters.errors import AdapterError
from adapters.telling import about
from scheduler.clock import Clock
from scheduler.control.settings import LoopSettings
from scheduler.control.tracked import Tracked
from scheduler.domain.evicting import TOLD
from scheduler.domain.reports import Report, noticed

log = structlog.get_logger()


class EnderPort(Protocol):
    """What ending needs of the loop; see ``WorkerPort``."""

    async def report(self, reports: list[Report]) -> None:
        """Make reports durable."""
        ...


class Patience(Protocol):
    """Makes a call again when the center says that it is too early."""

    def __call__(self, call: Callable[[], Awaitable[None]], /) -> Awaitable[None]:
        """Make the call."""
        ...


class Ender:
    """Tells and ends runs at one center."""

    def __init__(
        self,
        center: str,
        adapter: CenterAdapter,
        port: EnderPort,
        clock: Clock,
        settings: LoopSettings,
        patiently: Patience,
    ) -> None:
        self._center, self._adapter, self._port = center, adapter, port
        self._clock, self._settings, self._patiently = clock, settings, patiently

    async def end(self, unwanted: Sequence[Tracked], active: Mapping[str, Observation]) -> None:
        """Tell or end those of these runs that the center has; ``active`` is what it said last."""
        now_ms = self._clock.now_ms()
        here = [(run, active[run.run_id]) for run in unwanted if run.run_id in active]
        telling = [run for run, seen in here if self._is_to_be_told(run, seen)]
        ending = [run for run, seen in here if self._is_to_end(run, seen, now_ms)]
        limit = asyncio.Semaphore(self._settings.send_concurrency)

        async def end(run: Tracked) -> None:
            async with limit:
                with about(run):
                    if await self.cancel(run.ref):
                        run.cancel_ms = now_ms

        async def tell(run: Tracked) -> Tracked | None:
            async with limit:
                with about(run):
                    return run if await self._notify(run) else None

        told = (await asyncio.gather(*map(tell, telling), *map(end, ending)))[: len(telling)]
        heard = [run for run in told if run is not None]
        if heard:
            await self._port.report([noticed(run.uid, run.attempt) for run in heard])
        for run in heard:  # only now: what could not be stored is told again
            run.deadline_ms = self._clock.now_ms() + run.grace_ms

    def _is_to_be_told(self, run: Tracked, seen: Observation) -> bool:
        return (
            run.order in TOLD
            and not run.cancel
            and run.deadline_ms is None
            and seen.phase is Phase.RUNNING
        )

    def _is_to_end(self, run: Tracked, seen: Observation, now_ms: int) -> bool:
        if run.cancel_ms is not None:
            asked_s = self._clock.real_s(now_ms - run.cancel_ms)
            if asked_s < self._settings.cancel_again_s:
                return False
        if run.cancel or seen.phase is Phase.WAITING:  # nothing runs that could save its work
            return True
        return run.deadline_ms is not None and run.deadline_ms <= now_ms

    async def _notify(self, run: Tracked) -> bool:
        """Tell once; what fails is told at the next look."""
        grace_s = -(-run.grace_ms // 1000)
        try:
            await self._patiently(lambda: self._adapter.notify(run.ref, grace_s))
        except AdapterError as error:
            log.warning("notice_failed", center=self._center, run=run.run_id, error=str(error))
            return False
        return True

    async def cancel(self, run: RunRef) -> bool:
        """Ask once; what fails is asked again at the next look."""
        try:
            await self._patiently(lambda: self._adapter.cancel(run))
        except AdapterError as error:
            log.warning("cancel_failed", center=self._center, run=run.run_id, error=str(error))
            return False
        return True
