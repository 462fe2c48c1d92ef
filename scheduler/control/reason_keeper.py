"""Keeps why jobs waited when, and judges estimates: a look at the planner now and then.

What the planner says of all kinds of waiting jobs is compared with what is stored; what changed is
written, at most so many rows at a time, the rest with the next look. So no number of waiting jobs
makes it write more.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from scheduler.clock import Clock
from scheduler.control.metrics_port import LoopMetrics
from scheduler.control.settings import LoopSettings
from scheduler.placement.core import Sampled
from scheduler.store import reasons
from scheduler.store.database import Connection, Database
from scheduler.store.reasons import Open

T = TypeVar("T")

#: Subjects whose reason is written anew in one look.
CHANGES_MAX: Final = 200
#: Estimates are made, and old spells forgotten, with every sixth look.
_RARELY: Final = 6
_DAY_MS: Final = 86_400_000


class SamplePort(Protocol):
    """The planner; raises ``TemporarilyAway`` while there is none."""

    async def sample(self, estimate: bool) -> Sampled:
        """Who waits for what, and starts judged since the last time."""
        ...


class WritePort(Protocol):
    """The loop; ``write`` raises ``leader.Fenced`` if another one leads."""

    epoch: int

    def write(self, call: Callable[[Connection], T]) -> Awaitable[T]:
        """Write as the leader."""
        ...


class ReasonKeeper:
    """One look at a time."""

    def __init__(
        self, db: Database, clock: Clock, settings: LoopSettings, planner: SamplePort,
        port: WritePort, metrics: LoopMetrics,
    ) -> None:  # fmt: skip
        self._db, self._clock, self._settings = db, clock, settings
        self._planner, self._port, self._metrics = planner, port, metrics
        self._open: dict[str, Open] | None = None
        self._looks = 0

    async def once(self) -> None:
        """Look, and write what changed; raises ``leader.Fenced`` and ``TemporarilyAway``."""
        if self._open is None:
            self._open = await self._db.read(reasons.still_open)
        rarely = self._looks % _RARELY == 0
        sampled = await self._planner.sample(estimate=rarely)
        self._looks += 1
        self._metrics.judged(sampled.judged)
        ending, beginning = reasons.changes(self._open, sampled.reasons, CHANGES_MAX)
        now_ms, epoch = self._clock.now_ms(), self._port.epoch
        if ending or beginning:
            begun = await self._port.write(
                lambda c: reasons.write(c, epoch, ending, beginning, now_ms)
            )
            for subject in ending:
                del self._open[subject]
            self._open.update(begun)
        if rarely:
            await self._prune(now_ms)

    async def _prune(self, now_ms: int) -> None:
        before_ms, epoch = now_ms - round(self._settings.reasons_keep_d * _DAY_MS), self._port.epoch
        if await self._db.read(lambda c: reasons.any_old(c, before_ms)):
            began_s = time.perf_counter()
            gone = await self._port.write(lambda c: reasons.prune(c, epoch, before_ms))
            spent_s = time.perf_counter() - began_s
            self._metrics.let_go("reasons", {"reason_spell": gone}, spent_s)
