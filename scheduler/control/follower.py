"""Lets follow what must from what happened: dependencies, arrays; a step before each cycle."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from scheduler.clock import Clock
from scheduler.store import feed, following
from scheduler.store.database import Connection, Database
from scheduler.store.following import Touched

T = TypeVar("T")


class LeaderPort(Protocol):
    """What following needs of the loop; ``write`` raises ``leader.Fenced`` if another leads."""

    epoch: int

    def write(self, call: Callable[[Connection], T]) -> Awaitable[T]:
        """Write as the leader."""
        ...


class Follower:
    """Reads the feed on from where it was; begins with all that may be open.

    It looks first, so that a step of which nothing follows writes nothing. Where it was is not
    stored: what it writes depends on how the jobs stand, and a new leader looks at all of them.
    """

    def __init__(self, db: Database, clock: Clock, port: LeaderPort) -> None:
        self._db, self._clock, self._port = db, clock, port
        self._seen: int | None = None

    async def step(self) -> None:
        """Write what follows from the feed up to now; raises ``leader.Fenced``."""
        seen = self._seen

        def look(connection: Connection) -> tuple[int, Touched]:
            head = feed.head(connection)
            if seen is None:
                return head, following.find_all(connection)
            return head, following.find(connection, seen, head)

        head, touched = await self._db.read_feed(look)
        if touched:
            epoch, now_ms = self._port.epoch, self._clock.now_ms()
            await self._port.write(lambda c: following.follow(c, epoch, touched, now_ms))
        self._seen = head
