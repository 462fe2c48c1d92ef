"""Watchers of any speed and interest are told exactly the feed of their interest, in order."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.events import EventKind
from scheduler.domain.principal import EVERYTHING, Scope
from scheduler.services.feed_tail import FeedTail, WatchSettings
from scheduler.services.watching import Watch
from scheduler.store import feed, migrate
from scheduler.store.database import Database
from scheduler.store.feed import EventRow, Interest, JobEvent

CITIES = {"e1": "ezhou", "e2": "ezhou", "w1": "wuhan"}
INTERESTS = (
    Interest(EVERYTHING),
    Interest(Scope(city="ezhou")),
    Interest(Scope(enterprise="e1")),
    Interest(Scope(city="ezhou"), enterprise="e2"),
    Interest(EVERYTHING, city="wuhan"),
    Interest(EVERYTHING, uids=frozenset({1, 3})),
    Interest(Scope(enterprise="w1"), uids=frozenset({1, 2})),
)
#: So small that queues overflow, batches are cut and the store is read in pieces.
TINY = WatchSettings(heartbeat_s=0.002, gather_s=0.0, batch=3, queue_bytes=5, message_bytes=2)

#: (how many events, whose, of which job): job 0 stands for what is about no job.
COMMIT = st.tuples(
    st.just("commit"), st.integers(1, 9), st.sampled_from(sorted(CITIES)), st.integers(0, 4)
)
#: Watcher so-and-so takes one step, or breaks off and goes on from where it was.
STEP = st.tuples(st.sampled_from(("step", "break")), st.integers(0, len(INTERESTS) - 1))
#: Everything that waits has its turn before the next commit.
LULL = st.just(("lull",))


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    db = Database(f"sqlite:///{tmp_path_factory.mktemp('feed') / 'corridor.db'}")
    migrate.upgrade(db.engine)
    yield db
    db.close()


@dataclass
class Watcher:
    """A watch that may break, and what it was told in all its lives."""

    tail: FeedTail
    interest: Interest
    start: int
    told: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = Watch(self.tail, self.interest, self.start, None)

    async def step(self) -> int:
        """Take what comes next; returns up to where all was told."""
        batches = await self.watch.next()
        for batch in batches:
            assert all(batch.after < one.event.seq <= batch.until for one in batch.told)
            self.told += [one.event.seq for one in batch.told]
        return batches[-1].until

    def broken(self) -> None:
        """Break off and go on from where it was."""
        self.watch.close()
        self.watch = Watch(self.tail, self.interest, self.watch.position, None)


async def commit(db: Database, count: int, enterprise: str, uid: int) -> None:
    """Append some events in one transaction."""
    row = EventRow(EventKind.ADMITTED, uid, 1, enterprise, CITIES[enterprise], "ADMITTED", 0)
    await db.write(lambda connection: feed.append(connection, [row] * count))


async def drive(db: Database, actions: list[tuple[Any, ...]]) -> None:
    tail = FeedTail(db, lambda event: b"x", TINY)
    start = await db.read(feed.head)
    watchers = [Watcher(tail, interest, start) for interest in INTERESTS]
    for action, *rest in actions:
        if action == "commit":
            count, enterprise, uid = rest
            await commit(db, count, enterprise, uid)
        elif action == "lull":
            for watcher in watchers:
                await watcher.step()
        elif action == "step":
            await watchers[rest[0]].step()
        else:
            watchers[rest[0]].broken()
    head = await db.read(feed.head)
    for watcher in watchers:
        while await watcher.step() < head:
            pass
        watcher.watch.close()
    _, events = await db.read(lambda c: feed.read_all(c, start, 10_000))
    for watcher in watchers:
        assert watcher.told == [one.seq for one in events if watcher.interest.covers(one)]


@settings(max_examples=60, deadline=None)
@given(actions=st.lists(st.one_of(COMMIT, STEP, LULL), max_size=40))
def test_each_watcher_is_told_the_feed_of_its_interest(
    db: Database, actions: list[tuple[Any, ...]]
) -> None:
    asyncio.run(drive(db, actions))


def test_an_event_is_put_into_bytes_once_however_many_watch(db: Database) -> None:
    encoded: list[int] = []

    def encode(event: JobEvent) -> bytes:
        encoded.append(event.seq)
        return b"x"

    async def drive_many() -> None:
        tail = FeedTail(db, encode, WatchSettings(heartbeat_s=0.002))
        start = await db.read(feed.head)
        watches = [Watch(tail, INTERESTS[n % 3], start, None) for n in range(40)]
        for watch in watches:  # one answer at once, one heartbeat: now it is attached
            await watch.next()
            await watch.next()
        await commit(db, 5, "e1", 7)
        told = []
        for watch in watches:
            while not (batches := await watch.next())[0].told:
                pass
            told.append(batches[0])
            watch.close()
        assert [len(batch.told) for batch in told] == [5] * 40
        assert len({id(batch) for batch in told}) == 3  # one for each interest
        assert encoded == [start + n for n in range(1, 6)]

    asyncio.run(drive_many())


def test_from_now_on_leaves_out_what_came_before_and_waits_to_be_told(db: Database) -> None:
    async def drive_late() -> None:
        # After it told something the tail lets events gather: it lies behind the feed.
        tail = FeedTail(db, lambda event: b"x", WatchSettings(heartbeat_s=0.002, gather_s=0.3))
        early = Watcher(tail, INTERESTS[0], await db.read(feed.head))
        await commit(db, 1, "e1", 1)
        while not early.told:
            await early.step()
        await commit(db, 2, "e1", 1)
        now = await db.read(feed.head)
        late = Watcher(tail, INTERESTS[0], now)
        await commit(db, 1, "e1", 1)
        while not late.told:
            await late.step()
        assert late.told == [now + 1]
        while early.told[-1] <= now:
            await early.step()
        assert early.told == [now - 2, now - 1, now, now + 1]
        early.watch.close()
        late.watch.close()

    asyncio.run(drive_late())
