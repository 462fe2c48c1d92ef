"""The real store, called in the test's own thread; it can die at each of its commits.

In memory by default. Within ``on(server)`` each one is a database of a PostgreSQL server.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection

from scheduler.store import migrate
from scheduler.store.database import Database, open_engine
from tests.postgres import Postgres

T = TypeVar("T")


class Crash(BaseException):
    """The process dies here: no ``except Exception`` may survive it."""


def _never(point: str) -> bool:
    return False


class _Where:
    """Where databases are opened, and which are open there."""

    server: Postgres | None = None
    opened: list["InlineDatabase"]


_where = _Where()
_where.opened = []


@contextlib.contextmanager
def on(server: Postgres | None) -> Iterator[None]:
    """Open databases on a server (None: in memory) from here on; close them at the end."""
    before, _where.server, _where.opened = (_where.server, _where.opened), server, []
    try:
        yield
    finally:
        for one in _where.opened:
            one.close()
        _where.server, _where.opened = before


class InlineDatabase(Database):
    """Each write is one transaction, at once, in the caller's thread: the same calls give the same
    story every time.

    ``dies`` is asked before and after each commit whether the process dies there. ``write_count``
    counts commits.
    """

    def __init__(self) -> None:
        self._server = server = _where.server
        self._lent = "" if server is None else server.lend()
        super().__init__("sqlite://" if server is None else server.url(self._lent))
        self.dies: Callable[[str], bool] = _never
        self.write_count = 0
        self._beside: psycopg.Connection[Any] | None = None
        _where.opened.append(self)
        if server is not None:
            return
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

    async def read_feed(self, call: Callable[[Connection], T]) -> T:
        return self.read_feed_sync(call)

    def read_sync(self, call: Callable[[Connection], T]) -> T:
        """Tests look at the feed in any read."""
        return self.read_feed_sync(call)

    def do(self, call: Callable[[Connection], T]) -> T:
        """Write what a test wants, without dying."""
        dies, self.dies = self.dies, _never
        try:
            return self.write_future(call).result()
        finally:
            self.dies = dies

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query gives, asked without the store's own machinery."""
        if self.is_sqlite:
            return self._raw.execute(sql).fetchall()
        return self.beside().execute(sql).fetchall()

    def beside(self) -> "psycopg.Connection[Any]":
        """A connection to PostgreSQL that commits each statement, beside the store's machinery."""
        if self._beside is None:
            given = self.engine.dialect.create_connect_args(self.engine.url)[1]
            self._beside = psycopg.connect(**given, autocommit=True)
        return self._beside

    def changes(self) -> int:
        """How many rows were ever written: equal before and after a step that wrote nothing."""
        return int(self.rows("SELECT total_changes()")[0][0])

    def spoil(self) -> None:
        """Say that the schema is about to be changed: nobody else is to get this database."""
        self._lent = ""

    def close(self) -> None:
        if self._beside is not None:
            self._beside.close()
        super().close()
        if self._server is not None and self._lent:
            self._server.give_back(self._lent)
            self._lent = ""


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
