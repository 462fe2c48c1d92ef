"""The event feed told to those who watch: read once for all, woken by commits, never polled.

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
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

import structlog
from sqlalchemy import Connection

from scheduler.domain.ids import job_id
from scheduler.domain.principal import Principal
from scheduler.errors import FieldViolation, InvalidRequest, NotFound, Unauthenticated
from scheduler.services.context import Context
from scheduler.store import feed, identity, jobs
from scheduler.store.database import Database
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
class _Inbox:
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
        self._groups: dict[Interest, dict[_Inbox, None]] = {}
        self._by_job: dict[int, dict[_Inbox, None]] = {}
        self._count = 0
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._hooked = False

    def told(self, events: Iterable[JobEvent]) -> list[Told]:
        """Put events into bytes."""
        return [Told(event, self._encode(event)) for event in events]

    # --- who watches ------------------------------------------------------------------------------

    async def attach(self, interest: Interest) -> tuple[_Inbox, int]:
        """Return a new inbox and the sequence behind which it is filled."""
        self._hook()
        async with self._lock:
            if not self._count:
                self._position = await self.db.read(feed.head)
            self._count += 1
            inbox = _Inbox(interest, self.settings.queue_bytes)
            if interest.uids is None:
                self._groups.setdefault(interest, {})[inbox] = None
            else:
                for uid in interest.uids:
                    self._by_job.setdefault(uid, {})[inbox] = None
            if self._task is None:
                self._task = asyncio.create_task(self._tell_forever(), name="tell-feed")
            self._wake.set()  # for a commit that came while nobody watched
            return inbox, self._position

    def detach(self, inbox: _Inbox) -> None:
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

    def position_of(self, inbox: _Inbox) -> int:
        """Up to where an inbox has had all if it was emptied; 0 if it was not."""
        return 0 if inbox.lost or inbox.batches else self._position

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

        def read(connection: Connection) -> tuple[int, list[Told]]:
            until, events = feed.read_all(connection, self._position, limit)
            return until, self.told(events)

        async with self._lock:
            after = self._position
            self._position, told = await self.db.read(read)
            if told:
                self._hand_over(after, self._position, told)
            return self._position - after >= limit

    def _hand_over(self, after: int, until: int, told: list[Told]) -> None:
        by_city: dict[str, list[Told]] = {}
        by_enterprise: dict[str, list[Told]] = {}
        by_inbox: dict[_Inbox, list[Told]] = {}
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


def _drop(groups: dict[K, dict[_Inbox, None]], key: K, inbox: _Inbox) -> None:
    group = groups[key]
    del group[inbox]
    if not group:
        del groups[key]


async def open_watch(
    context: Context, tail: FeedTail, interest: Interest, after: int | None, until_ended: bool
) -> "Watch":
    """Begin to watch behind event ``after``, None for the last one that there is.

    ``until_ended`` ends the watch with the last of its jobs. Raises ``NotFound`` for jobs, an
    enterprise or a city outside the scope, ``InvalidRequest`` for a place in the feed that was
    never reached.
    """
    scope = interest.scope
    for mine, asked in ((scope.enterprise, interest.enterprise), (scope.city, interest.city)):
        if asked and mine is not None and asked != mine:
            raise NotFound(f"nothing of {asked!r} that you may see")

    def read(connection: Connection) -> tuple[int, set[int], set[int]]:
        head = feed.head(connection)
        if interest.uids is None:
            return head, set(), set()
        place = head if after is None else after
        there = jobs.visible(connection, scope, interest.uids)
        return head, set(interest.uids) - there, feed.ended_by(connection, interest.uids, place)

    head, missing, ended = await context.db.read(read)
    if missing:
        named = ", ".join(job_id(uid) for uid in sorted(missing)[:3])
        raise NotFound(f"{len(missing)} of the jobs are not there, or not yours to see: {named}")
    if after is not None and after > head:
        problem = "lies ahead of all that happened here; is it of another server?"
        raise InvalidRequest([FieldViolation("resume_token", problem)])
    unended = set(interest.uids or ()) - ended if until_ended else None
    return Watch(tail, interest, head if after is None else after, unended)


async def check_token(context: Context, caller: Principal) -> None:
    """Raise ``Unauthenticated`` once the token that a long call was made with has ended."""
    if caller.expire_ms <= context.wall_ms():
        raise Unauthenticated(
            "the token has expired; watch on with a new one", reason="TOKEN_EXPIRED"
        )
    revoked = await context.db.read(
        lambda connection: identity.is_revoked(connection, caller.token_id)
    )
    if revoked:
        raise Unauthenticated("the token was revoked", reason="TOKEN_REVOKED")


class Watch:
    """One watcher's way along the feed; ``position`` is the last sequence it was given."""

    def __init__(
        self, tail: FeedTail, interest: Interest, after: int, unended: set[int] | None
    ) -> None:
        self._tail, self.interest, self.position = tail, interest, after
        self._unended = unended
        self._inbox: _Inbox | None = None
        self._backlog = after  # up to where the store is read, before the inbox goes on
        self._silent_from_s: float | None = None
        self._closed = False

    @property
    def done(self) -> bool:
        """Whether all jobs that were to be watched to their end have ended."""
        return self._unended is not None and not self._unended

    def close(self) -> None:
        """Watch no more; a second time changes nothing."""
        self._closed = True
        self._leave()

    def _leave(self) -> None:
        if self._inbox is not None:
            self._tail.detach(self._inbox)
            self._inbox = None

    async def next(self) -> list[Batch]:
        """Return what comes next, in order; one batch without events is a heartbeat.

        The first answer comes at once.
        """
        loop = asyncio.get_running_loop()
        if self._silent_from_s is None:
            self._silent_from_s = loop.time()
            return [Batch(self.position, self.position)]
        due_s = self._silent_from_s + self._tail.settings.heartbeat_s
        while not (batches := await self._some(due_s)) and loop.time() < due_s:
            pass
        self._silent_from_s = loop.time()
        if batches:
            self.position = batches[-1].until
            self._note_ends(batches)
            return batches
        return [Batch(self.position, self.position)]

    def _note_ends(self, batches: Iterable[Batch]) -> None:
        if self._unended is not None:
            self._unended.difference_update(
                one.event.uid
                for batch in batches
                for one in batch.told
                if one.event.kind in feed.ENDS
            )

    async def _some(self, due_s: float) -> list[Batch]:
        """Take the next step: what it gives, or nothing."""
        if self._inbox is None and not self._closed:
            self._inbox, self._backlog = await self._tail.attach(self.interest)
        if self._inbox is None or self._closed:
            self._leave()
            raise asyncio.CancelledError("the watch was closed")
        if self.position < self._backlog:
            return await self._from_store()
        inbox = self._inbox
        if not inbox.batches:
            if inbox.lost:
                self._leave()
                return []
            self.position = max(self.position, self._tail.position_of(inbox))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due_s):
                    await inbox.filled.wait()
        taken = inbox.take(self._tail.settings.message_bytes)
        behind = [batch.behind(self.position) for batch in taken if batch.until > self.position]
        return [batch for batch in behind if batch.told]

    async def _from_store(self) -> list[Batch]:
        """Read a piece of what happened before the inbox was filled."""
        after, until = self.position, self._backlog
        interest, limit = self.interest, self._tail.settings.batch

        def read(connection: Connection) -> Batch:
            reached, events = feed.read(connection, interest, after, until, limit)
            return Batch(after, reached, self._tail.told(events))

        batch = await self._tail.db.read(read)
        self.position = batch.until
        return [batch] if batch.told else []
