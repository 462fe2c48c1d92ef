"""What the leader looks after in the books: daily digests, what funds spend, and alerts."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import structlog

from scheduler.clock import Clock
from scheduler.control.digesting import DigestDesk
from scheduler.store import alerts, fund_days
from scheduler.store import digests as ledger_digests
from scheduler.store.alerts import AlertRow
from scheduler.store.database import Connection, Database

log = structlog.get_logger()

T = TypeVar("T")

#: An alert that nobody took for so long is not handed over any more; it stays in the list.
DELIVER_MS: Final = 86_400_000
_FIRST_RETRY_MS: Final = 15_000
_RETRY_MAX_MS: Final = 3_600_000
_AT_ONCE: Final = 20


class LeaderPort(Protocol):
    """The loop; ``write`` raises ``leader.Fenced`` if another leads."""

    epoch: int

    def write(self, call: Callable[[Connection], T]) -> Awaitable[T]:
        """Write as the leader."""
        ...


class Receiver(Protocol):
    """Takes alerts (``control.webhook``)."""

    async def send(self, alert: AlertRow) -> str:
        """Hand over an alert; "" once it was taken, else why it was not."""
        ...


@dataclass(frozen=True, slots=True)
class BookDesk:
    """What bookkeeping works with; it looks every so many real seconds."""

    digests: DigestDesk
    receiver: Receiver | None = None
    every_s: float = 5.0


class Bookkeeping:
    """One look at a time; one with nothing to do writes nothing."""

    def __init__(self, db: Database, clock: Clock, port: LeaderPort, desk: BookDesk) -> None:
        self._db, self._clock, self._port, self._desk = db, clock, port, desk

    def bodies(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return what runs beside each other for ever: a receiver may be slow or away."""
        found: dict[str, Callable[[], Awaitable[None]]] = {"books": self._keep_forever}
        if self._desk.receiver is not None:
            found["alerts"] = self._hand_over_forever
        return found

    async def _keep_forever(self) -> None:
        while True:
            await self.once()
            await asyncio.sleep(self._desk.every_s)

    async def _hand_over_forever(self) -> None:
        while True:
            await self.hand_over()
            await asyncio.sleep(self._desk.every_s)

    async def once(self) -> None:
        """Do what is due; raises ``leader.Fenced`` if another one leads."""
        await self.sign_digest()
        await self.count_days()
        await self.raise_alerts()

    async def sign_digest(self) -> None:
        """Sign the digest of a day that ended; it is there before its files are."""
        desk, now_ms, epoch = self._desk.digests, self._clock.now_ms(), self._port.epoch
        if not await self._db.read(lambda c: ledger_digests.is_due(c, now_ms)):
            return
        made = await self._port.write(lambda c: ledger_digests.make(c, epoch, now_ms, desk.sign))
        if made is not None:
            await asyncio.to_thread(desk.write, made)

    async def count_days(self) -> None:
        """Count what funds spent since the last look."""
        epoch = self._port.epoch
        while await self._db.read(fund_days.is_due):
            if not await self._port.write(lambda c: fund_days.fold(c, epoch)):
                return

    async def raise_alerts(self) -> None:
        """Tell of each threshold that was reached since, once."""
        now_ms, epoch = self._clock.now_ms(), self._port.epoch
        found = await self._db.read(lambda c: alerts.look(c, now_ms))
        if not found.raised and not found.armed:
            return
        # Looked at again in the transaction that writes: what changed meanwhile is not told.
        told = await self._port.write(lambda c: alerts.look_and_tell(c, epoch, now_ms))
        for one in told.raised:
            log.warning(
                "alert", kind=str(one.subject.kind), name=one.subject.name, city=one.subject.city,
                threshold=one.threshold, **dict(one.figures),
            )  # fmt: skip

    async def hand_over(self) -> None:
        """Hand over what is due, in order; what is not taken is tried again, ever later."""
        receiver, now_ms, epoch = self._desk.receiver, self._clock.now_ms(), self._port.epoch
        if receiver is None:
            return
        since_ms = now_ms - DELIVER_MS
        due = await self._db.read(lambda c: alerts.undelivered(c, now_ms, since_ms, _AT_ONCE))
        for alert in due:
            why = await receiver.send(alert)
            if why:
                wait_ms = min(_RETRY_MAX_MS, _FIRST_RETRY_MS << min(alert.tries, 20))
                log.warning("alert_not_delivered", number=alert.number, why=why)
                await self._note(alerts.postpone, epoch, alert.number, now_ms + wait_ms)
            else:
                await self._note(alerts.delivered, epoch, alert.number, now_ms)

    async def _note(
        self, how: Callable[[Connection, int, int, int], None], epoch: int, number: int, at_ms: int
    ) -> None:
        await self._port.write(lambda c: how(c, epoch, number, at_ms))
