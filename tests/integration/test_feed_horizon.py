"""No reader of the feed goes past an event that may still come, on PostgreSQL with several writers.

Real transactions are put into every order with the three steps of a reader: it looks at the last
number, at the marks, and takes its snapshot. To stop it between them, its connection finds views in
place of what it looks at, which first say that they were reached and then wait to be let go on.
"""

import asyncio
import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
import pytest
from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.domain.principal import EVERYTHING
from scheduler.placement.model import CORRIDOR, RunEnded
from scheduler.services.feed_tail import FeedTail, WatchSettings
from scheduler.services.watching import Watch
from scheduler.store import feed, horizon, planner_feed, submission_book
from scheduler.store.database import Database
from scheduler.store.feed import EventRow, Interest
from tests.postgres import Postgres

TRAPS: Final = """
CREATE SCHEMA traps;
CREATE FUNCTION traps.stop(point text, key bigint) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RAISE NOTICE 'at %', point;
    PERFORM pg_advisory_lock_shared(key);
    PERFORM pg_advisory_unlock_shared(key);
    RETURN key;
END $$;
CREATE VIEW traps.event_seq_seq AS SELECT s.* FROM (SELECT traps.stop('last', 1) OFFSET 0) AS t,
    LATERAL (SELECT last_value, is_called FROM public.event_seq_seq
             WHERE t.stop > 0 OFFSET 0) AS s;
CREATE VIEW traps.pg_locks AS SELECT l.* FROM (SELECT traps.stop('marks', 2) OFFSET 0) AS t,
    LATERAL (SELECT * FROM pg_catalog.pg_locks WHERE t.stop > 0 OFFSET 0) AS l;
"""
KEYS: Final = {"last": 1, "marks": 2}
MARKS_LEFT: Final = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid > 0"


@dataclass
class Writer:
    """One service's transactions, a step at a time."""

    db: Database
    _open: Any = None
    _connection: Connection | None = None

    def begin(self) -> None:
        self._open = self.db._transaction()
        self._connection = self._open.__enter__()

    def write(self, kind: EventKind = EventKind.SUBMITTED, uid: int = 1) -> None:
        assert self._connection is not None
        detail = '{"run_state":"FAILED","used_ms":"1"}' if kind == EventKind.RUN_ENDED else ""
        feed.append(self._connection, [EventRow(kind, uid, 1, "e1", "ezhou", "QUEUED", 0, detail)])

    def end(self, commits: bool) -> None:
        if commits:
            self._open.__exit__(None, None, None)
        else:
            lost = RuntimeError("it is not to be stored")
            assert not self._open.__exit__(RuntimeError, lost, None)
        self._open = self._connection = None

    def close(self) -> None:
        if self._open is not None:
            self.end(False)
        self.db.close()


@dataclass
class Place:
    """A database with two writers, and a way to look at it past the store's machinery."""

    url: str
    writers: list[Writer]
    beside: "psycopg.Connection[Any]"

    def seen(self) -> set[int]:
        return {seq for (seq,) in self.beside.execute("SELECT seq FROM event").fetchall()}

    def anew(self) -> None:
        """Nothing has happened yet, and the first number is still to be taken."""
        self.beside.execute("DELETE FROM event")
        self.beside.execute("SELECT setval('event_seq_seq', 1, false)")


@pytest.fixture
def place(postgres: Postgres) -> Iterator[Place]:
    url = postgres.url(name := postgres.migrated())
    writers = [Writer(Database(url)) for _ in range(2)]
    with postgres.session(name) as beside:
        yield Place(url, writers, beside)
        for writer in writers:
            writer.close()
    postgres.drop(name)


def orders(*lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield all ways to mix lines of steps, each in its own order."""
    if not any(lines):
        yield []
        return
    for number, line in enumerate(lines):
        if line:
            rest = [*lines[:number], line[1:], *lines[number + 1 :]]
            for order in orders(*rest):
                yield [line[0], *order]


@dataclass
class Reader:
    """A reader that stops before each of its three steps; ``reached`` says at which it stands."""

    db: Database
    control: "psycopg.Connection[Any]"
    reached: "queue.SimpleQueue[str]" = field(default_factory=queue.SimpleQueue)
    found: list[tuple[int, set[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._snapshot_may = threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        with self.db.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.add_notice_handler(self._hear)

    def _hear(self, notice: Any) -> None:
        self.reached.put(notice.message_primary.removeprefix("at "))

    def start(self) -> None:
        """Begin to read; it stands before its first step then."""
        for key in KEYS.values():
            self.control.execute("SELECT pg_advisory_lock(%s)", (key,))

        def call(connection: Connection) -> None:
            self.reached.put("snapshot")
            self._snapshot_may.acquire()
            seen = {seq for (seq,) in connection.exec_driver_sql("SELECT seq FROM event")}
            self.found.append((feed.bound(connection), seen))

        def run() -> None:
            try:
                self.db.read_feed_sync(call)
            finally:
                self.reached.put("over")

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def go_on(self, point: str) -> None:
        """Let it take the step before which it stands."""
        if point in KEYS:
            self.control.execute("SELECT pg_advisory_unlock(%s)", (KEYS[point],))
        else:
            self._snapshot_may.release()

    def join(self) -> tuple[int, set[int]]:
        assert self._thread is not None
        self._thread.join()
        return self.found.pop()


@pytest.fixture
def reader(place: Place, postgres: Postgres) -> Iterator[Reader]:
    place.beside.execute(TRAPS.encode())
    path = "-c%20search_path%3Dtraps,pg_catalog,public"
    db = Database(f"{place.url}&options={path}")
    with psycopg.connect(
        **db.engine.dialect.create_connect_args(db.engine.url)[1], autocommit=True
    ) as control:
        control.execute("SET search_path TO public")
        yield Reader(db, control)
    db.close()


@pytest.mark.parametrize("commits", [True, False])
def test_what_is_not_seen_up_to_the_horizon_never_comes(
    place: Place, reader: Reader, commits: bool
) -> None:
    """One writer is slow, one does all at once, and a reader is anywhere between their steps."""
    slow, quick = place.writers
    for order in orders(["begin", "write", "end"], ["quick"], ["read", "read", "read"]):
        place.anew()
        reader.start()
        at = reader.reached.get()
        for step in order:
            if step == "read":
                reader.go_on(at)
                at = reader.reached.get()
            elif step == "quick":
                quick.begin()
                quick.write()
                quick.end(True)
            elif step == "end":
                slow.end(commits)
            else:
                getattr(slow, step)()
        assert at == "over", "a reader has three steps"
        upto, seen = reader.join()
        late = {seq for seq in place.seen() - seen if seq <= upto}
        assert not late, f"{late} came after a reader was past {upto}: {order}"
        assert place.beside.execute(MARKS_LEFT).fetchall() == [(0,)]


def test_when_nobody_writes_the_horizon_is_all_there_is(place: Place) -> None:
    first, other = place.writers
    for writer in (first, other):
        writer.begin()
        writer.write()
        writer.write()
    other.end(True)
    assert other.db.read_feed_sync(lambda c: (feed.head(c), feed.newest(c))) == (0, 4)
    assert other.db.read_feed_sync(feed.is_held_up)
    first.end(False)
    assert other.db.read_feed_sync(lambda c: (feed.head(c), feed.newest(c))) == (4, 4)
    assert not other.db.read_feed_sync(feed.is_held_up)
    # One that has written nothing yet holds up only what comes after it began.
    first.begin()
    other.begin()
    other.write()
    other.end(True)
    assert other.db.read_feed_sync(lambda c: (feed.head(c), feed.newest(c))) == (4, 5)
    first.end(True)


def test_the_feed_is_not_read_on_a_snapshot_without_a_horizon(place: Place) -> None:
    with pytest.raises(horizon.NoHorizon, match="read_feed"):
        place.writers[0].db.read_sync(feed.head)


def test_a_mark_outlives_a_call_that_is_undone(place: Place) -> None:
    """Calls share a transaction, and one of them fails; what the others write is still above."""
    db, looked = place.writers[0].db, place.writers[1].db
    heads: list[int] = []

    def fails(connection: Connection) -> None:
        feed.append(connection, [EventRow(EventKind.HELD, 1, 1, "e1", "ezhou", "HELD", 0)])
        raise KeyError

    def writes(connection: Connection) -> None:
        feed.append(connection, [EventRow(EventKind.HELD, 2, 1, "e1", "ezhou", "HELD", 0)])
        heads.append(looked.read_feed_sync(feed.bound))

    gate = threading.Event()
    db.write_future(lambda _: gate.wait(), alone=True)
    futures = [db.write_future(fails), db.write_future(writes)]
    gate.set()
    with pytest.raises(KeyError):
        futures[0].result()
    futures[1].result()
    assert heads == [0]


# --- the planner ----------------------------------------------------------------------------------


def planner_told(place: Place, order: list[str], ends: dict[str, bool]) -> None:
    """Take steps; every end of a run is in the planner's snapshot or told after, once."""
    db = place.writers[0].db
    steps: dict[str, Callable[[], None]] = {}
    for name, writer in zip("ab", place.writers, strict=True):
        for number in range(2):
            uid = number + (10 if name == "a" else 20)
            steps[f"{name}{number}"] = lambda w=writer, u=uid: w.write(EventKind.RUN_ENDED, u)  # type: ignore[misc]
        steps[f"{name} begins"] = writer.begin
        steps[f"{name} ends"] = lambda w=writer, n=name: w.end(ends[n])  # type: ignore[misc]
    revision, had, seen = -1, frozenset[int](), set[int]()
    told: list[int] = []

    def uids(connection: Connection) -> set[int]:
        return {uid for (uid,) in connection.exec_driver_sql("SELECT job_uid FROM event")}

    for step in [*order, "told"]:
        if step == "snapshot":
            (revision, _), had, seen = db.read_feed_sync(
                lambda c: (planner_feed.snapshot(c, 0, CORRIDOR), feed.beyond(c), uids(c))
            )
        elif step != "told":
            steps[step]()
        if revision >= 0:
            before, skipped = revision, had
            revision, deltas, _, _ = db.read_feed_sync(
                lambda c: planner_feed.read_deltas(c, before, 100, skipped)  # noqa: B023
            )
            told += [one.uid for one in deltas if isinstance(one, RunEnded)]
    assert len(told) == len(set(told)), f"told twice: {order}"
    assert seen.isdisjoint(told), f"told though it was in the snapshot: {order}"
    assert seen | set(told) == db.read_feed_sync(uids), f"never told: {order}"


@pytest.mark.parametrize("ends", [{"a": True, "b": True}, {"a": False, "b": True}])
def test_a_planner_is_told_everything_once(place: Place, ends: dict[str, bool]) -> None:
    first = ["a begins", "a0", "a ends"]
    for order in orders(first, ["b begins", "b0", "b ends"], ["snapshot"]):
        place.anew()
        planner_told(place, order, ends)


def test_a_wish_to_cancel_beyond_the_snapshot_is_told(place: Place) -> None:
    """A snapshot has no such wishes, so they are not passed over with what it had."""
    slow, quick = place.writers
    slow.begin()
    quick.begin()
    quick.write(EventKind.CANCEL_REQUESTED, 7)
    quick.write(EventKind.RUN_ENDED, 8)
    quick.end(True)
    (revision, _), had = quick.db.read_feed_sync(
        lambda c: (planner_feed.snapshot(c, 0, CORRIDOR), feed.beyond(c))
    )
    assert (revision, had) == (0, frozenset({1, 2}))
    slow.end(True)
    after, deltas, cancels, _ = quick.db.read_feed_sync(
        lambda c: planner_feed.read_deltas(c, revision, 100, had)
    )
    assert (after, deltas, cancels) == (2, [], [7])


def test_a_book_of_settings_is_old_once_a_lower_number_comes(place: Place) -> None:
    slow, quick = place.writers
    slow.begin()
    slow.write(EventKind.QUOTA_CHANGED, 0)
    quick.begin()
    quick.write(EventKind.QUOTA_CHANGED, 0)
    quick.end(True)
    book = quick.db.read_feed_sync(submission_book.revision)
    assert quick.db.read_sync(lambda c: submission_book.is_current(c, book))
    slow.end(True)
    assert not quick.db.read_sync(lambda c: submission_book.is_current(c, book))
    assert quick.db.write_future(submission_book.revision).result() == (2, ())


# --- who watches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("commits", [True, False])
async def test_a_watcher_waits_for_what_may_come_before(place: Place, commits: bool) -> None:
    """Nobody says that a transaction was rolled back: the tail looks again by itself."""
    slow, quick = place.writers
    tail = FeedTail(quick.db, lambda event: b"x", WatchSettings(heartbeat_s=0.05, held_up_s=0.01))
    watch = Watch(tail, Interest(EVERYTHING), 0, None)
    told: list[int] = []

    async def hear() -> None:
        for batch in await watch.next():
            told.extend(one.event.seq for one in batch.told)

    await hear()
    slow.begin()
    slow.write()
    await asyncio.to_thread(quick.db.write_future(lambda c: _append(c)).result)
    for _ in range(2):
        await hear()
    assert told == []
    slow.end(commits)
    async with asyncio.timeout(10):
        while 2 not in told:
            await hear()
    assert told == ([1, 2] if commits else [2])
    watch.close()


def _append(connection: Connection) -> None:
    feed.append(connection, [EventRow(EventKind.HELD, 2, 1, "e1", "ezhou", "HELD", 0)])


def test_all_orders_are_tried() -> None:
    mixed = {tuple(order) for order in orders("abc", "x", "123")}
    kept = ("abc", "123")
    assert mixed == {
        order
        for order in itertools.permutations("abcx123")
        if all("".join(one for one in order if one in line) == line for line in kept)
    }
