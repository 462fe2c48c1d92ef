"""Lets go of what is old, as the leader: a little with each tick while there is something.

Where there is nothing, it looks again after a while. Time is that of the scheduling clock, and
never ahead of the database's own: a clock that was set wrong must not cost what it would tell old.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import structlog

from scheduler.clock import Clock
from scheduler.control.settings import LoopSettings
from scheduler.store import leader, retention
from scheduler.store.database import Connection, Database

log = structlog.get_logger()

T = TypeVar("T")
_DAY_MS: Final = 86_400_000
_LOOK_MS: Final = 60_000
#: Requests have no order by time: to look for old ones is to look through all.
_LOOK_AT_KEYS_MS: Final = 6 * 3_600_000


class LeaderPort(Protocol):
    """The loop; ``write`` raises ``leader.Fenced`` if another one leads."""

    epoch: int

    def write(self, call: Callable[[Connection], T]) -> Awaitable[T]:
        """Write as the leader."""
        ...


class _Kind:
    """One kind of what grows old: how to see whether there is any, and how to let go of some."""

    def __init__(
        self, name: str, keep_d: float, look_ms: int,
        any_old: Callable[[Connection, int], bool],
        forget: Callable[[Connection, int, int], int],
    ) -> None:  # fmt: skip
        self.name, self.keep_ms, self.look_ms = name, round(keep_d * _DAY_MS), look_ms
        self.any_old, self.forget = any_old, forget
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
                  retention.any_events, retention.forget_events),
            _Kind("jobs", jobs_d, _LOOK_MS, retention.any_jobs, retention.forget_jobs),
            _Kind("requests", jobs_d, _LOOK_AT_KEYS_MS,
                  retention.any_keys, retention.forget_keys),
        )  # fmt: skip
        self._kinds = [one for one in kinds if one.keep_ms]

    async def once(self) -> None:
        """Let go of some of each kind that is due; raises ``leader.Fenced`` if another leads."""
        for kind in self._kinds:
            if self._clock.now_ms() >= kind.next_ms:
                await self._some(kind)

    async def _some(self, kind: _Kind) -> None:
        now_ms, epoch = self._clock.now_ms(), self._port.epoch

        def look(connection: Connection) -> int | None:
            leader.check_read(connection, epoch)
            before_ms = min(now_ms, leader.database_ms(connection)) - kind.keep_ms
            return before_ms if kind.any_old(connection, before_ms) else None

        before_ms = await self._db.read(look)
        if before_ms is not None:
            kind.gone += await self._port.write(lambda c: kind.forget(c, epoch, before_ms))
            return
        kind.next_ms = now_ms + kind.look_ms
        if kind.gone:
            log.info("let_go", what=kind.name, count=kind.gone)
            kind.gone = 0
