"""The database: one engine, reads on a small pool, all writes through one coalescing writer.

SQLite is the embedded default: WAL, ``synchronous=FULL``, every write transaction BEGIN
IMMEDIATE, so that what was acknowledged survives kill -9 and power loss. The writer runs in one
thread: calls that wait at the same time share a transaction (one fsync for many), and each call
stands alone inside it through a savepoint, so that one caller's failure undoes only that call.

On PostgreSQL other services write beside this one. Writes are READ COMMITTED, and guarded by
conditions and locks of rows; reads see one snapshot. A transaction that lost a deadlock, or its
connection before it was to commit, is tried again: its calls must give the same if called again.
So is a read whose connection was lost. While the database is away all fail (``store.outages``).
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import OperationalError as StoreFailure

from scheduler.store import horizon, outages
from scheduler.store.bulk import (
    among,
    bulk_execute,
    bulk_insert,
    bulk_read,
    bulk_stream,
    bulk_update,
)
from scheduler.store.engine import LIMITS, BadDatabase, StoreLimits, open_engine
from scheduler.store.wakes import Wakes

log = structlog.get_logger()

T = TypeVar("T")
Call = Callable[[Connection], Any]

_GROUP_MAX: Final = 512
_TRIES: Final = 4  # of a transaction that others made fail
#: Deadlock, serialization failure: nothing is wrong with the transaction but its company.
_BESIDE: Final = frozenset({"40P01", "40001"})
_SNAPSHOT: Final = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


@dataclass(slots=True)
class _Item:
    call: Call
    future: "Future[Any]"
    alone: bool
    tries: int = _TRIES


class Database:
    """Reads and coalesced writes over one engine. ``close`` waits for writes under way."""

    def __init__(self, url: str, limits: StoreLimits = LIMITS) -> None:
        self.url, self._limits = url, limits
        self.engine = open_engine(url, limits)
        self._reading = (
            self.engine if self.is_sqlite else self.engine.execution_options(**_SNAPSHOT)
        )
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._writing: Connection | None = None  # of the writer's thread alone
        self._readers = ThreadPoolExecutor(limits.readers, thread_name_prefix="corridor-read")
        self._writer = threading.Thread(target=self._run, name="corridor-write", daemon=True)
        self._writer.start()
        self._closed = False
        #: Called in the writer's thread after every commit; must be quick and thread-safe. May be
        #: called when nothing was committed, too.
        self.after_commit: list[Callable[[], None]] = []
        self._wakes: Wakes | None = None

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded store."""
        return self.engine.dialect.name == "sqlite"

    def write_future(self, call: Callable[[Connection], T], *, alone: bool = False) -> "Future[T]":
        """Queue ``call`` for the next write transaction; the future ends after its commit.

        ``alone`` gives it a transaction of its own instead of a savepoint in a shared one.
        """
        if self._closed:
            raise RuntimeError("the database is closed")
        future: Future[T] = Future()
        self._queue.put(_Item(call, future, alone))
        return future

    async def write(self, call: Callable[[Connection], T], *, alone: bool = False) -> T:
        """Run ``call`` in a write transaction and return its result once it is durable."""
        return await asyncio.wrap_future(self.write_future(call, alone=alone))

    async def read(self, call: Callable[[Connection], T]) -> T:
        """Run ``call`` on a snapshot of the committed state, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_sync, call)

    async def read_feed(self, call: Callable[[Connection], T]) -> T:
        """Run ``call``, which reads on along the feed, on a snapshot that knows its horizon."""
        return await asyncio.get_running_loop().run_in_executor(
            self._readers, self.read_feed_sync, call
        )

    def read_sync(self, call: Callable[[Connection], T]) -> T:
        """Run ``call`` on a snapshot of the committed state, in this thread."""
        return self._read(call, feed=False)

    def read_feed_sync(self, call: Callable[[Connection], T]) -> T:
        """Run ``call``, which reads on along the feed, on a snapshot, in this thread."""
        return self._read(call, feed=True)

    def _read(self, call: Callable[[Connection], T], feed: bool) -> T:
        try:
            return self._read_once(call, feed)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        return self._read_once(call, feed)  # on a connection that is opened anew

    def _read_once(self, call: Callable[[Connection], T], feed: bool) -> T:
        with self._reading.connect() as connection:
            if feed and not self.is_sqlite:
                horizon.know(connection)
            with connection.begin():
                return call(connection)

    def hear_others(self) -> None:
        """Have ``after_commit`` called after commits of other services on this database too, in a
        thread of its own, and tell them of ours. On SQLite there are none.
        """
        if not self.is_sqlite and self._wakes is None:
            self._wakes = Wakes(self.engine, self._wake_here)

    def close(self) -> None:
        """Finish queued writes and let go of all connections."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._writer.join()
        if self._wakes is not None:
            self._wakes.close()
        self._readers.shutdown()
        self.engine.dispose()

    # --- the writer's thread --------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._write_forever()
        finally:
            self._let_go()
            # What was queued while it closed is never written, and is told so.
            with contextlib.suppress(queue.Empty):
                while True:
                    late = self._queue.get_nowait()
                    if late is not None and late.future.set_running_or_notify_cancel():
                        late.future.set_exception(RuntimeError("the database is closed"))

    def _write_forever(self) -> None:
        stop = False
        while not stop:
            first = self._queue.get()
            if first is None:
                return
            group = [first]
            while len(group) < _GROUP_MAX and not group[-1].alone:
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
                if item is None:
                    stop = True
                    break
                if item.alone:
                    self._commit(group)
                    group = [item]
                    break
                group.append(item)
            self._commit(group)

    def _commit(self, waiting: list[_Item]) -> None:
        # A caller that gave up before its turn is left out; from here on it cannot give up.
        group = [item for item in waiting if item.future.set_running_or_notify_cancel()]
        if not group:
            return
        # Where others write too, what they wrote may have waited for ours, whatever became of it.
        if self._settle(group) or self._wakes is not None:
            self._wake_here()
            if self._wakes is not None:
                self._wakes.tell()

    def _wake_here(self) -> None:
        for hook in list(self.after_commit):
            try:
                hook()
            except Exception:
                log.exception("after_commit_failed")

    def _settle(self, group: list[_Item]) -> bool:
        """Run a group in one transaction; where others made it fail, each call in its own.

        Returns whether something was committed.
        """
        try:
            results = self._together(group)
        except _Passing as passing:
            if len(group) == 1 and group[0].tries == 1:
                return _fail(group, passing.cause)
            for item in group:
                item.tries -= 1
            return sum(self._settle([item]) for item in group) > 0
        except BaseException as error:
            return _fail(group, error)
        for item, (result, failure) in zip(group, results, strict=True):
            if failure is not None:
                item.future.set_exception(failure)
            else:
                item.future.set_result(result)
        return True

    def _together(self, group: list[_Item]) -> list[tuple[Any, BaseException | None]]:
        """Run calls in one transaction; raises ``_Passing`` if nothing of it can be stored."""
        calling = True
        try:
            with self._transaction() as connection:
                results = [_run_one(connection, item.call, len(group) == 1) for item in group]
                calling = False
        except DBAPIError as error:
            # What was lost while it committed may be stored: that is not for us to repeat.
            if calling and _is_passing(error):
                raise _Passing(error) from error
            if not calling:
                error.add_note(outages.COMMITTING)
            raise
        return results

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """One write transaction, on the connection that the writer keeps while all goes well."""
        if self._writing is None:
            self._writing = self.engine.connect().execution_options(corridor_write=True)
            if not self.is_sqlite:
                with self._writing.begin():
                    self._writing.exec_driver_sql(self._limits.writing())
        try:
            with self._writing.begin():
                if not self.is_sqlite:
                    horizon.begin(self._writing)
                yield self._writing
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        writing, self._writing = self._writing, None
        if writing is None:
            return
        if not self.is_sqlite:
            writing.invalidate()  # it is set up for writing, and may be why we let go
        writing.close()


class _Passing(Exception):
    """A transaction failed by no fault of its own, and nothing of it was stored."""

    def __init__(self, cause: DBAPIError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _fail(group: list[_Item], error: BaseException) -> bool:
    for item in group:
        item.future.set_exception(error)
    return False


def _is_passing(error: DBAPIError) -> bool:
    return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _BESIDE


def _run_one(connection: Connection, call: Call, single: bool) -> tuple[Any, BaseException | None]:
    if single:
        return call(connection), None
    savepoint = connection.begin_nested()
    try:
        result = call(connection)
    except DBAPIError as failure:
        if _is_passing(failure):
            raise
        savepoint.rollback()
        return None, failure
    except Exception as failure:
        savepoint.rollback()
        return None, failure
    savepoint.commit()
    return result, None


__all__ = [
    "BadDatabase",
    "Connection",
    "Database",
    "StoreFailure",
    "among",
    "bulk_execute",
    "bulk_insert",
    "bulk_read",
    "bulk_stream",
    "bulk_update",
    "open_engine",
]
