"""The real store in memory, called in the test's own thread; it can die at each of its commits."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Connection

from scheduler.store import migrate
from scheduler.store.database import Database, open_engine

T = TypeVar("T")


class Crash(BaseException):
    """The process dies here: no ``except Exception`` may survive it."""


def _never(point: str) -> bool:
    return False


class InlineDatabase(Database):
    """Each write is one transaction, at once, in the caller's thread: the same calls give the same
    story every time.

    ``dies`` is asked before and after each commit whether the process dies there. ``write_count``
    counts commits.
    """

    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.dies: Callable[[str], bool] = _never
        self.write_count = 0
        with self.engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            _empty_schema().backup(raw)
            self._raw = raw

    def write_future(self, call: Callable[[Connection], T], *, alone: bool = False) -> "Future[T]":
        future: Future[T] = Future()
        try:
            with self._transaction() as connection:
                result = call(connection)
                if self.dies("before commit"):
                    raise Crash
        except BaseException as error:
            future.set_exception(error)
            return future
        self.write_count += 1
        if self.dies("after commit"):
            future.set_exception(Crash())
        else:
            future.set_result(result)
        for hook in list(self.after_commit):
            hook()
        return future

    async def write(self, call: Callable[[Connection], T], *, alone: bool = False) -> T:
        return self.write_future(call, alone=alone).result()

    async def read(self, call: Callable[[Connection], T]) -> T:
        return self.read_sync(call)

    def do(self, call: Callable[[Connection], T]) -> T:
        """Write what a test wants, without dying."""
        dies, self.dies = self.dies, _never
        try:
            return self.write_future(call).result()
        finally:
            self.dies = dies

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query gives, asked without the store's own machinery."""
        return self._raw.execute(sql).fetchall()

    def changes(self) -> int:
        """How many rows were ever written: equal before and after a step that wrote nothing."""
        return int(self.rows("SELECT total_changes()")[0][0])


@lru_cache(maxsize=1)
def _empty_schema() -> sqlite3.Connection:
    """A migrated database to be copied: migrating takes longer than a whole story."""
    engine = open_engine("sqlite://")
    migrate.upgrade(engine)
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.backup(copy)
    engine.dispose()
    return copy
