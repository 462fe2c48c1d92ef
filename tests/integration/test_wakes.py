"""Two services on one PostgreSQL: what one commits the other hears of at once, and after a loss."""

import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from scheduler.domain.events import EventKind
from scheduler.domain.principal import EVERYTHING
from scheduler.services.feed_tail import FeedTail, WatchSettings
from scheduler.services.watching import Watch
from scheduler.store import feed
from scheduler.store.database import Database
from scheduler.store.feed import EventRow, Interest
from tests.postgres import Postgres

TIMEOUT_S = 30
LISTENERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND (query LIKE 'LISTEN%' OR query LIKE 'NOTIFY%'"
    " OR query = 'SELECT 1')"
)


class Ear:
    """Notes each time that a database's hooks are called."""

    def __init__(self, db: Database) -> None:
        self.heard: queue.SimpleQueue[str] = queue.SimpleQueue()
        db.after_commit.append(lambda: self.heard.put(threading.current_thread().name))

    def wait(self, thread: str = "") -> str:
        """Return the thread in which it was called next, or by the one that is asked for."""
        while True:
            found = self.heard.get(timeout=TIMEOUT_S)
            if thread in ("", found):
                return found

    def forget(self) -> None:
        while not self.heard.empty():
            self.heard.get()


@pytest.fixture
def make(postgres: Postgres) -> Iterator[Callable[[], Database]]:
    """Opens services on one database that hear each other."""
    url = postgres.url(name := postgres.migrated())
    opened: list[Database] = []

    def open_one() -> Database:
        opened.append(Database(url))
        opened[-1].hear_others()
        assert opened[-1]._wakes is not None
        assert opened[-1]._wakes.connected.wait(TIMEOUT_S)
        return opened[-1]

    yield open_one
    for db in opened:
        db.close()
    postgres.drop(name)


def append(connection: Connection) -> None:
    feed.append(connection, [EventRow(EventKind.HELD, 1, 1, "e1", "ezhou", "HELD", 0)])


def test_a_commit_wakes_the_other_service_and_its_own_once(make: Callable[[], Database]) -> None:
    here, there = make(), make()
    ears = Ear(here), Ear(there)
    for _ in range(3):
        here.write_future(append).result()
        assert ears[0].wait() == "corridor-write"
        assert ears[1].wait() == "corridor-wakes"
    there.write_future(append).result()
    assert ears[0].wait() == "corridor-wakes", "what it told itself it does not hear"


def test_what_is_undone_wakes_the_others_too(make: Callable[[], Database]) -> None:
    """Their feeds may have been held up by it."""
    here, there = make(), make()
    ear = Ear(there)

    def fails(connection: Connection) -> None:
        append(connection)
        raise KeyError

    with pytest.raises(KeyError):
        here.write_future(fails).result()
    assert ear.wait() == "corridor-wakes"


def test_many_commits_are_few_words(make: Callable[[], Database]) -> None:
    here, there = make(), make()
    ears = Ear(here), Ear(there)
    for _ in range(200):
        here.write_future(append).result()
    here_count = sum(1 for _ in range(200) if ears[0].wait())
    last = there.read_feed_sync(feed.head)
    ears[1].wait()
    assert (here_count, last) == (200, 200)
    assert ears[1].heard.qsize() < 200


def test_words_that_were_lost_with_a_connection_are_made_up_for(
    make: Callable[[], Database],
) -> None:
    """The listening connection is cut, and something is committed before it is back."""
    here, there = make(), make()
    ear = Ear(there)
    for _ in range(3):
        ear.forget()
        here.read_sync(lambda c: c.exec_driver_sql(LISTENERS).all())
        assert ear.wait("corridor-wakes") == "corridor-wakes", "it looks once it listens again"
        assert there._wakes is not None
        assert there._wakes.connected.wait(TIMEOUT_S)
        assert here._wakes is not None
        assert here._wakes.connected.wait(TIMEOUT_S)
        ear.forget()
        here.write_future(append).result()
        assert ear.wait() == "corridor-wakes"


def test_it_closes_while_the_database_is_away(tmp_path: Any) -> None:
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(str(tmp_path / ".s.PGSQL.5432"))  # it answers nothing
    db = Database(f"postgresql://nobody@/nothing?host={tmp_path}")
    before = threading.active_count()
    db.hear_others()
    db.close()
    assert threading.active_count() <= before
    assert not [name for name in os.listdir(tmp_path) if not name.startswith(".s.")]


def test_sqlite_needs_no_ear(tmp_path: Any) -> None:
    db = Database(f"sqlite:///{tmp_path / 'corridor.db'}")
    db.hear_others()
    assert db._wakes is None
    db.close()


async def test_a_watcher_at_one_service_is_told_what_another_commits(
    make: Callable[[], Database],
) -> None:
    here, there = make(), make()
    settings = WatchSettings(heartbeat_s=TIMEOUT_S, look_s=3600)
    watch = Watch(FeedTail(there, lambda event: b"x", settings), Interest(EVERYTHING), 0, None)
    await watch.next()
    for seq in range(1, 4):
        await here.write(append)
        (batch,) = await watch.next()
        assert [one.event.seq for one in batch.told] == [seq]
    watch.close()


async def test_a_watcher_is_told_though_no_word_ever_comes(postgres: Postgres) -> None:
    url = postgres.url(postgres.lend())
    here, there = Database(url), Database(url)
    settings = WatchSettings(heartbeat_s=TIMEOUT_S, look_s=0.01)
    watch = Watch(FeedTail(there, lambda event: b"x", settings), Interest(EVERYTHING), 0, None)
    await watch.next()
    for seq in range(1, 4):
        await here.write(append)
        (batch,) = await watch.next()
        assert [one.event.seq for one in batch.told] == [seq]
    watch.close()
    for db in (here, there):
        db.close()
