"""Lets go of what is old, as the leader: a little with each tick while there is something.

Where there is nothing, it looks again after a while. Time is that of the scheduling clock, and
never ahead of the database's own: a clock that was set wrong must not cost what it would tell old.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import structlog

from scheduler.clock import Clock
from scheduler.control.metrics_port import LoopMetrics
from scheduler.control.settings import LoopSettings
from scheduler.store import leader, retention
from scheduler.store.database import Connection, Database
from scheduler.store.retention import Gone

log = structlog.get_logger()

T = TypeVar("T")
_DAY_MS: Final = 86_400_000
_LOOK_MS: Final = 60_000
#: Requests have no order by time: to look for old ones is to look through all.
_LOOK_AT_KEYS_MS: Final = 6 * 3_600_000


class LeaderPort(Protocol):
    """The loop; ``write`` raises ``leader.Fenced`` if another one leads."""

    epoch: int
    metrics: LoopMetrics

    def write(self, call: Callable[[Connection], T]) -> Awaitable[T]:
        """Write as the leader."""
        ...


class _Kind:
    """One kind of what grows old: how to see whether there is any, and how to let go of some."""

    def __init__(
        self, name: str, keep_d: float, look_ms: int,
        old: Callable[[Connection, int], int | None],
        forget: Callable[[Connection, int, int], Gone],
    ) -> None:  # fmt: skip
        self.name, self.keep_ms, self.look_ms = name, round(keep_d * _DAY_MS), look_ms
        self.old, self.forget = old, forget
        self.next_ms, self.gone = 0, 0


class Retaining:
    """One tick at a time."""

    def __init__(
        self, db: Database, clock: Clock, settings: LoopSettings, port: LeaderPort
    ) -> None:
        self._db, self._clock, self._port = db, clock, port
        jobs_d = settings.jobs_keep_d
        kinds = (
            _Kind("events", settings.events_keep_d, _LOOK_MS,
                  retention.old_event, retention.forget_events),
            _Kind("jobs", jobs_d, _LOOK_MS, retention.old_job, retention.forget_jobs),
            _Kind("requests", jobs_d, _LOOK_AT_KEYS_MS,
                  retention.old_key, retention.forget_keys),
        )  # fmt: skip
        self._kinds = [one for one in kinds if one.keep_ms]
        self._begun = False

    async def once(self) -> None:
        """Let go of some of each kind that is due; raises ``leader.Fenced`` if another leads."""
        if not self._begun:
            self._begun = True
            for kind in self._kinds:
                self._port.metrics.retention_begins(kind.name)
        for kind in self._kinds:
            if self._clock.now_ms() >= kind.next_ms:
                await self._some(kind)

    async def _some(self, kind: _Kind) -> None:
        now_ms, epoch = self._clock.now_ms(), self._port.epoch

        def look(connection: Connection) -> tuple[int, int | None]:
            leader.check_read(connection, epoch)
            before_ms = min(now_ms, leader.database_ms(connection)) - kind.keep_ms
            return before_ms, kind.old(connection, before_ms)

        began_s = time.perf_counter()
        before_ms, old_ms = await self._db.read(look)
        metrics = self._port.metrics
        metrics.retention_looked(kind.name, 0 if old_ms is None else before_ms - old_ms)
        if old_ms is not None:
            gone = await self._port.write(lambda c: kind.forget(c, epoch, before_ms))
            metrics.let_go(kind.name, gone.rows, time.perf_counter() - began_s)
            kind.gone += gone.count
            return
        kind.next_ms = now_ms + kind.look_ms
        if kind.gone:
            log.info("let_go", what=kind.name, count=kind.gone)
            kind.gone = 0
