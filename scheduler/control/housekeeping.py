"""What the leader looks after on every tick, whatever is planned.

Queue deadlines, periods of budgets that begin, changes of quotas that are due, nodes that are
drained, runs that no center begins, holds of runs whose outcome is unknown for too long, what comes
due in funds and books, and what is old enough to be let go of.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import structlog

from scheduler.clock import Clock
from scheduler.control.metrics_port import LoopMetrics
from scheduler.control.retaining import Retaining
from scheduler.control.settings import LoopSettings
from scheduler.store import (
    alarms,
    budget_moves,
    budget_openings,
    evicting,
    fund_upkeep,
    leader,
    quotas_dated,
    runs,
    top_ups,
)
from scheduler.store.database import Connection, Database
from scheduler.store.evicting import Emptying, Late, Orders

log = structlog.get_logger()

T = TypeVar("T")
#: Looks at a center between the order to end a run and its end, beside the grace.
_DRAIN_LOOKS_AHEAD = 10


class LeaderPort(Protocol):
    """What housekeeping needs of the loop; ``write`` raises ``leader.Fenced`` if another leads."""

    epoch: int
    metrics: LoopMetrics

    def write(self, call: Callable[[Connection], T]) -> Awaitable[T]:
        """Write as the leader."""
        ...


class Housekeeping:
    """One tick at a time; it asks first, so that a tick with nothing to do writes nothing.

    ``ordered`` has the workers carry out orders that are durable; ``answering`` gives the centers
    that answered since this leader began, and still do.
    """

    def __init__(
        self, db: Database, clock: Clock, settings: LoopSettings, port: LeaderPort,
        ordered: Callable[[Orders], None],
        answering: Callable[[], Sequence[str]],
    ) -> None:  # fmt: skip
        self._ordered, self._answering = ordered, answering
        self._db, self._clock, self._settings, self._port = db, clock, settings, port
        self._moves_ms = 0
        self._retaining = Retaining(db, clock, settings, port)

    async def once(self) -> None:
        """Do what is due; raises ``leader.Fenced`` if another one leads."""
        await self.expire()
        await self.open_budgets()
        await self.change_quotas()
        await self.keep_funds()
        await self.end_unwanted()
        await self.top_up()
        await self.raise_alarms()
        await self._retaining.once()

    async def expire(self) -> None:
        """End jobs whose queue deadline has passed."""
        now_ms, epoch = self._clock.now_ms(), self._port.epoch

        def any_due(connection: Connection) -> bool:
            leader.check_read(connection, epoch)
            return runs.any_expired(connection, now_ms)

        while await self._db.read(any_due):
            await self._port.write(lambda c: runs.expire(c, epoch, now_ms))

    async def open_budgets(self) -> None:
        """Open the budgets whose period has begun; have others follow who moved to another city."""
        now_ms, epoch = self._clock.now_ms(), self._port.epoch
        if await self._db.read(lambda c: budget_openings.is_due(c, now_ms)):
            await self._port.write(lambda c: budget_openings.open_due(c, now_ms, epoch))
        if now_ms < self._moves_ms:
            return
        self._moves_ms = now_ms + budget_moves.LOOK_MS
        if await self._db.read(lambda c: budget_moves.any_moved(c, now_ms)):
            await self._port.write(lambda c: budget_moves.follow(c, now_ms, epoch))

    async def change_quotas(self) -> None:
        """Apply the changes of quotas that were ordered for now."""
        now_ms, epoch = self._clock.now_ms(), self._port.epoch
        while await self._db.read(lambda c: quotas_dated.any_due(c, now_ms)):
            decided = await self._port.write(
                lambda c: quotas_dated.apply_due(c, epoch, now_ms, int(time.time() * 1000))
            )
            for one in decided:
                log.info("quota_change_due", change=one.change_id, state=one.state, why=one.message)

    async def keep_funds(self) -> None:
        """Do what is due in the books: vouchers that end, funds that close, months that begin."""
        now_ms, epoch = self._clock.now_ms(), self._port.epoch
        wall_ms = int(time.time() * 1000)
        while await self._db.read(lambda c: fund_upkeep.is_due(c, now_ms)):
            await self._port.write(lambda c: fund_upkeep.step(c, epoch, now_ms, wall_ms))

    async def end_unwanted(self) -> None:
        """Order the end of runs on nodes that are drained, and of those no center begins."""
        now_ms, epoch, settings = self._clock.now_ms(), self._port.epoch, self._settings
        before_ms = now_ms - self._scheduling_ms(settings.start_timeout_s)
        ahead_ms = self._scheduling_ms(_DRAIN_LOOKS_AHEAD * settings.follow_s)
        emptying = Emptying(int(settings.drain_grace_s * 1_000), now_ms, ahead_ms)
        late = Late(before_ms, self._answering())
        if not await self._db.read(lambda c: evicting.any_due(c, late, emptying)):
            return

        def order(connection: Connection) -> Orders:
            drained = evicting.drain(connection, epoch, emptying)
            return drained.and_also(evicting.time_out(connection, epoch, late, now_ms))

        self._ordered(await self._port.write(order))

    async def top_up(self) -> None:
        """Hold more for runs that go on beyond their hold, or end those nobody can pay for."""
        now_ms, epoch, settings = self._clock.now_ms(), self._port.epoch, self._settings
        terms = top_ups.Terms(self._scheduling_ms(settings.top_up_after_s), settings.top_up_s)
        grace_ms = int(settings.drain_grace_s * 1_000)
        if not await self._db.read(lambda c: top_ups.any_due(c, terms, now_ms)):
            return

        def grow(connection: Connection) -> Orders:
            grown = top_ups.grow(connection, epoch, terms, now_ms)
            return evicting.end_unpaid(connection, epoch, grown.unpaid, grace_ms, now_ms)

        self._ordered(await self._port.write(grow))

    async def raise_alarms(self) -> None:
        """Tell of runs whose outcome is unknown for too long; their holds stay."""
        now_ms, epoch = self._clock.now_ms(), self._port.epoch
        before_ms = now_ms - self._scheduling_ms(self._settings.unknown_alarm_s)
        if await self._db.read(lambda c: alarms.any_due(c, before_ms)):
            count = await self._port.write(lambda c: alarms.raise_due(c, epoch, before_ms, now_ms))
            log.error("outcomes_unknown", runs=count, hint="their money stays held; look at them")

    def _scheduling_ms(self, real_s: float) -> int:
        """Return how much scheduling time passes in some real seconds."""
        return int(real_s / self._clock.real_s(1_000) * 1_000)
