"""Centers are told which of their runs are over and settled, so that they may let go of them.

By level: the feed says what was settled, the store up to where in it each center was told. What a
center did not hear is told again, also by the next leader, and what it heard may be told twice.
Each center has a task of its own, and following never waits for it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeVar

import structlog

from adapters.contract import CenterAdapter
from adapters.errors import AdapterError
from scheduler.control.backoff import Backoff
from scheduler.control.settings import LoopSettings
from scheduler.domain.ids import run_id
from scheduler.errors import TemporarilyAway
from scheduler.store import acknowledgements, leader
from scheduler.store.database import Connection, Database

log = structlog.get_logger()

T = TypeVar("T")

_PAUSE_MAX_S: Final = 60.0
#: So many events later it is kept that none of them was of a center.
_KEEP_EVENTS: Final = 10_000


class LeaderPort(Protocol):
    """What it needs of the loop; ``write`` raises ``leader.Fenced`` if another leads."""

    epoch: int

    def write(self, call: Callable[[Connection], T]) -> Awaitable[T]:
        """Write as the leader."""
        ...


class Acknowledger:
    """Between ``start`` and ``stop`` it tells by itself; ``tell`` is its single step."""

    def __init__(
        self,
        adapters: Mapping[str, CenterAdapter],
        db: Database,
        settings: LoopSettings,
        port: LeaderPort,
        draw: Callable[[], float],
    ) -> None:
        self._adapters, self._db, self._settings, self._port = adapters, db, settings, port
        self._draw = draw
        self._told: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Find out what centers were told by the leaders before. Raises ``leader.Fenced``."""
        for center in self._adapters:
            epoch = self._port.epoch
            upto = await self._port.write(
                lambda c, center=center, epoch=epoch: acknowledgements.begin(c, epoch, center)  # type: ignore[misc]
            )
            self._told[center] = self._kept[center] = upto

    def start(self) -> None:
        """Begin to tell."""
        self._tasks = [
            asyncio.create_task(self._forever(center), name=f"acknowledge-{center}")
            for center in self._adapters
        ]

    async def stop(self) -> None:
        """Tell no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def tell(self, center: str) -> None:
        """Tell a center of all runs that were settled since.

        Raises the ``AdapterError`` of a center that did not hear it, and ``leader.Fenced``.
        """
        while True:
            after, most = self._told[center], self._settings.acknowledge_batch
            found = await self._db.read_feed(
                lambda c, after=after: acknowledgements.settled_after(c, center, after)  # type: ignore[misc]
            )
            for first in range(0, len(found.keys), most):
                part = [run_id(*key) for key in found.keys[first : first + most]]
                await self._adapters[center].acknowledge(part)
            self._told[center] = found.upto_seq
            if found.keys or found.upto_seq - self._kept[center] >= _KEEP_EVENTS:
                await self._keep(center)
            if found.upto_seq == after:
                return

    async def _keep(self, center: str) -> None:
        epoch, upto = self._port.epoch, self._told[center]
        await self._port.write(lambda c: acknowledgements.keep(c, epoch, center, upto))
        self._kept[center] = upto

    async def _forever(self, center: str) -> None:
        backoff = Backoff(self._settings.acknowledge_s, _PAUSE_MAX_S, self._draw)
        while True:
            pause_s = self._settings.acknowledge_s
            try:
                with contextlib.suppress(TemporarilyAway):
                    await self.tell(center)
                backoff.reset()
            except leader.Fenced:
                return
            except AdapterError as error:
                log.info("acknowledgement_unheard", center=center, error=str(error))
                pause_s += backoff.next_s()
            except Exception:
                log.exception("acknowledging_failed", center=center)
            await asyncio.sleep(pause_s)
