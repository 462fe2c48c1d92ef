"""The coalescing writer: each call alone succeeds or fails, whatever others and callers do."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection

from scheduler.store.database import Database
from tests.stores import Stores


@pytest.fixture
def db(stores: Stores) -> Iterator[Database]:
    database = Database(stores.migrated())
    database.write_future(lambda c: c.exec_driver_sql("CREATE TABLE t (n INTEGER)")).result()
    yield database
    database.close()


def insert(number: int) -> Callable[[Connection], object]:
    return lambda c: c.exec_driver_sql(f"INSERT INTO t VALUES ({number})")


def rows(db: Database) -> list[int]:
    return [row[0] for row in db.read_sync(lambda c: c.exec_driver_sql("SELECT n FROM t").all())]


class Gate:
    """A write that holds the writer until it is opened, so that what comes after waits together."""

    def __init__(self, db: Database) -> None:
        self._entered, self._open = threading.Event(), threading.Event()
        self._future = db.write_future(self._hold, alone=True)
        self._entered.wait()

    def _hold(self, _connection: Connection) -> None:
        self._entered.set()
        self._open.wait()

    def open(self) -> None:
        self._open.set()
        self._future.result()


def fail(_connection: Connection) -> None:
    raise ValueError("this call fails")


def test_a_failing_call_undoes_only_itself(db: Database) -> None:
    gate = Gate(db)
    calls = [insert(1), fail, insert(2)]
    futures = [db.write_future(call) for call in calls]
    gate.open()
    assert [type(future.exception()) for future in futures] == [type(None), ValueError, type(None)]
    assert rows(db) == [1, 2]


async def test_a_caller_that_gives_up_does_not_stop_the_writer(db: Database) -> None:
    gate = Gate(db)
    gone = asyncio.ensure_future(db.write(insert(1)))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    gate.open()
    await db.write(insert(2))
    assert rows(db) == [2]


async def test_a_write_that_has_begun_is_kept_though_its_caller_gives_up(db: Database) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        begun.set()
        may_end.wait()
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")

    gone = asyncio.ensure_future(db.write(slow))
    await asyncio.to_thread(begun.wait)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    may_end.set()
    await db.write(insert(2))
    assert rows(db) == [1, 2]


def test_a_hook_that_fails_does_not_stop_the_writer(db: Database) -> None:
    called = []

    def hook() -> None:
        called.append(1)
        raise RuntimeError("a hook's defect")

    db.after_commit.append(hook)
    db.write_future(insert(1)).result()
    db.write_future(insert(2)).result()
    assert rows(db) == [1, 2]
    assert called


def test_close_ends_what_was_queued(db: Database) -> None:
    gate = Gate(db)
    futures = [db.write_future(insert(number)) for number in range(3)]
    closing = threading.Thread(target=db.close)
    closing.start()
    gate.open()
    closing.join()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="closed"):
        db.write_future(insert(9))
