"""How much each center has: asked again and again, kept where admission and planner see it.

Each center is asked by itself, so that one center's trouble never slows another's. One that does
not answer keeps what it last said: whether it may start runs is the business of its worker.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

import structlog

from adapters.contract import CenterAdapter, FlavorCapacity
from adapters.errors import AdapterError
from scheduler.clock import Clock
from scheduler.control.settings import LoopSettings
from scheduler.store import leader, quotas_flavors
from scheduler.store.database import Connection

log = structlog.get_logger()

T = TypeVar("T")


class LeaderPort(Protocol):
    """What the watch needs of the loop; ``write`` raises ``leader.Fenced`` if another leads."""

    epoch: int

    def write(self, call: Callable[[Connection], T]) -> Awaitable[T]:
        """Write as the leader."""
        ...


class CapacityWatch:
    """Between ``start`` and ``stop`` it asks by itself; ``ask`` is its single step."""

    def __init__(
        self,
        adapters: Mapping[str, CenterAdapter],
        clock: Clock,
        settings: LoopSettings,
        port: LeaderPort,
    ) -> None:
        self._adapters, self._clock, self._settings, self._port = adapters, clock, settings, port
        self._kept: dict[str, dict[str, int]] = {}
        #: What each center last said of its flavors, by center and flavor.
        self.offered: dict[str, dict[str, FlavorCapacity]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to ask."""
        self._tasks = [
            asyncio.create_task(self._forever(center), name=f"capacity-{center}")
            for center in self._adapters
        ]

    async def stop(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ask(self, center: str) -> list[str]:
        """Keep what a center has of each flavor; returns the flavors of which that is news.

        Raises the ``AdapterError`` of a center that did not answer, and ``leader.Fenced``.
        """
        said = await self._adapters[center].describe()
        self.offered[center] = {one.flavor: one for one in said.flavors}
        units = {one.flavor: one.units for one in said.flavors}
        if self._kept.get(center) == units:
            return []
        epoch, now_ms = self._port.epoch, self._clock.now_ms()
        news = await self._port.write(
            lambda c: quotas_flavors.report_capacity(c, epoch, center, units, now_ms)
        )
        self._kept[center] = units
        for flavor in news:
            log.info("capacity_reported", center=center, flavor=flavor, units=units[flavor])
        return news

    async def _forever(self, center: str) -> None:
        while True:
            try:
                await self.ask(center)
            except leader.Fenced:
                return
            except AdapterError as error:
                log.info("capacity_unknown", center=center, error=str(error))
            except Exception:
                log.exception("capacity_failed", center=center)
            await asyncio.sleep(self._settings.describe_s)
