"""The event feed told to those who watch: read once for all, woken by commits, not polled.

One task reads what was committed and hands each watcher the events of its interest; watchers of
equal interest get the very same object, so that it is put into bytes once. A watcher that is new,
or too slow for its bounded queue, reads what it has not had from the store until it has caught up.
Either way it gets every event of its interest once and in order: a watcher is at a sequence, and
what it is given next begins right behind it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

import structlog

from scheduler.store import feed
from scheduler.store.database import Connection, Database
from scheduler.store.feed import Interest, JobEvent

log = structlog.get_logger()
K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How events are told; seconds are real ones."""

    #: A watcher hears something at least so often.
    heartbeat_s: float = 10.0
    #: After events were told, what comes within this time is told together.
    gather_s: float = 0.02
    #: Where other services commit too, it is looked so often for what they could not tell of.
    look_s: float = 1.0
    #: What is held up by a transaction of another service is looked for again after this time: who
    #: holds it up may end without a word.
    held_up_s: float = 0.25
    #: Events read at once, and the most in one message.
    batch: int = 2_000
    #: A watcher with more bytes than this waiting for it reads on from the store.
    queue_bytes: int = 4 << 20
    #: What waits is sent together up to this size; clients take 4 MiB by default.
    message_bytes: int = 1 << 20


DEFAULTS: Final = WatchSettings()


class Told(NamedTuple):
    """An event with the bytes it is told in."""

    event: JobEvent
    part: bytes


@dataclass(slots=True, eq=False)
class Batch:
    """Events of one interest with sequences above ``after`` up to ``until``; maybe none.

    ``payload`` is room for the bytes of the whole, for whoever makes them first.
    """

    after: int
    until: int
    told: Sequence[Told] = ()
    payload: bytes | None = None
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(len(one.part) for one in self.told)

    def behind(self, seq: int) -> "Batch":
        """What of it lies behind event ``seq``."""
        if seq <= self.after:
            return self
        return Batch(seq, self.until, [one for one in self.told if one.event.seq > seq])


@dataclass(slots=True, eq=False)
class Inbox:
    """What was handed to a watcher and not taken yet; ``lost`` once it had no more room."""

    interest: Interest
    room: int
    batches: deque[Batch] = field(default_factory=deque)
    lost: bool = False
    filled: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, batch: Batch) -> None:
        """Hand over a batch."""
        if self.lost:
            return
        self.room -= batch.size
        if self.room < 0:
            self.lost = True
        else:
            self.batches.append(batch)
        self.filled.set()

    def take(self, bytes_max: int) -> list[Batch]:
        """Take what waits, up to a size but at least one."""
        taken: list[Batch] = []
        size = 0
        while self.batches and (not taken or size + self.batches[0].size <= bytes_max):
            taken.append(self.batches.popleft())
            size += taken[-1].size
        self.room += size
        if not self.batches and not self.lost:
            self.filled.clear()
        return taken


class FeedTail:
    """Reads the feed for all watchers of this process, while there are any; idle otherwise.

    ``encode`` makes an event into the bytes it is told in. All methods belong to one event loop.
    """

    def __init__(
        self, db: Database, encode: Callable[[JobEvent], bytes], settings: WatchSettings = DEFAULTS
    ) -> None:
        self.db, self.settings = db, settings
        self._encode = encode
        self._position = 0
        #: Watchers of all jobs, those of equal interest together, and watchers of some jobs.
        self._groups: dict[Interest, dict[Inbox, None]] = {}
        self._by_job: dict[int, dict[Inbox, None]] = {}
        self._count = 0
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._hooked = False
        #: On SQLite nobody else commits, and nothing is missed.
        self._tick_s = None if db.is_sqlite else settings.look_s
        #: When to look again though nobody says that something was committed; None for never.
        self._look_s = self._tick_s

    def told(self, events: Iterable[JobEvent]) -> list[Told]:
        """Put events into bytes."""
        return [Told(event, self._encode(event)) for event in events]

    # --- who watches ------------------------------------------------------------------------------

    async def attach(self, interest: Interest) -> tuple[Inbox, int]:
        """Return a new inbox and the sequence behind which it is filled."""
        self._hook()
        async with self._lock:
            if not self._count:
                self._position = await self.db.read_feed(feed.head)
            self._count += 1
            inbox = Inbox(interest, self.settings.queue_bytes)
            if interest.uids is None:
                self._groups.setdefault(interest, {})[inbox] = None
            else:
                for uid in interest.uids:
                    self._by_job.setdefault(uid, {})[inbox] = None
            if self._task is None:
                self._task = asyncio.create_task(
                    self._tell_forever(), name="tell-feed", context=Context()
                )
            self._wake.set()  # for a commit that came while nobody watched
            return inbox, self._position

    def detach(self, inbox: Inbox) -> None:
        """Fill this inbox no more."""
        interest = inbox.interest
        if interest.uids is None:
            _drop(self._groups, interest, inbox)
        else:
            for uid in interest.uids:
                _drop(self._by_job, uid, inbox)
        self._count -= 1
        if not self._count and self._task is not None:
            self._task.cancel()
            self._task = None

    @property
    def position(self) -> int:
        """Up to where all is handed over."""
        return self._position

    @property
    def watched_to(self) -> int | None:
        """Up to where all is handed over; None while nobody watches."""
        return self._position if self._count else None

    def _hook(self) -> None:
        if self._hooked:
            return
        self._hooked = True
        loop = asyncio.get_running_loop()

        def wake() -> None:
            if self._count:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody watches
                    loop.call_soon_threadsafe(self._wake.set)

        self.db.after_commit.append(wake)

    # --- telling ----------------------------------------------------------------------------------

    async def _tell_forever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_s):
                    await self._wake.wait()
            self._wake.clear()
            try:
                while await self._tell_next():
                    pass
            except Exception:  # watchers go on from the same place when the store answers again
                log.exception("feed_not_read")
                await asyncio.sleep(1.0)
                self._wake.set()
            await asyncio.sleep(self.settings.gather_s)

    async def _tell_next(self) -> bool:
        """Read and hand over what comes next; True if there may be more at once."""
        limit = self.settings.batch

        def read(connection: Connection) -> tuple[int, list[Told], bool]:
            until, events = feed.read_all(connection, self._position, limit)
            return until, self.told(events), feed.is_held_up(connection)

        async with self._lock:
            after = self._position
            self._position, told, held_up = await self.db.read_feed(read)
            if told:
                self._hand_over(after, self._position, told)
            self._look_s = self.settings.held_up_s if held_up else self._tick_s
            return self._position - after >= limit

    def _hand_over(self, after: int, until: int, told: list[Told]) -> None:
        by_city: dict[str, list[Told]] = {}
        by_enterprise: dict[str, list[Told]] = {}
        by_inbox: dict[Inbox, list[Told]] = {}
        for one in told:
            event = one.event
            by_city.setdefault(event.city, []).append(one)
            by_enterprise.setdefault(event.enterprise, []).append(one)
            for inbox in self._by_job.get(event.uid, ()):
                if inbox.interest.covers(event):
                    by_inbox.setdefault(inbox, []).append(one)
        for interest, inboxes in self._groups.items():
            owner = interest.scope.enterprise or interest.enterprise
            place = interest.scope.city or interest.city
            some = told
            if owner:
                some = by_enterprise.get(owner, [])
            elif place:
                some = by_city.get(place, [])
            mine = [one for one in some if interest.covers(one.event)]
            if mine:
                batch = Batch(after, until, mine)
                for inbox in inboxes:
                    inbox.put(batch)
        for inbox, mine in by_inbox.items():
            inbox.put(Batch(after, until, mine))


def _drop(groups: dict[K, dict[Inbox, None]], key: K, inbox: Inbox) -> None:
    group = groups[key]
    del group[inbox]
    if not group:
        del groups[key]
