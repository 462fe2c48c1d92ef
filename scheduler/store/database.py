"""The database: one engine, reads on a small pool, all writes through one coalescing writer.

SQLite is the embedded default: WAL, ``synchronous=FULL``, every write transaction BEGIN
IMMEDIATE, so that what was acknowledged survives kill -9 and power loss. The writer runs in one
thread: calls that wait at the same time share a transaction (one fsync for many), and each call
stands alone inside it through a savepoint, so that one caller's failure undoes only that call.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.exc import OperationalError as StoreFailure
from sqlalchemy.pool import QueuePool

from scheduler.errors import CorridorError

log = structlog.get_logger()

T = TypeVar("T")
Call = Callable[[Connection], Any]

_GROUP_MAX = 512
_READERS = 4
_BLOCK_MAX = 256  # rows of one INSERT
_BLOCK_FREE = 32  # below, a statement is of any size
_PREPARED = 512  # statements that a connection keeps prepared


class BadDatabase(CorridorError):
    """The database cannot be used; the message says what is wrong with it or its URL."""

    reason = "BAD_DATABASE"


def open_engine(url: str) -> Engine:
    """Open an engine for ``url`` with this service's pragmas; creates nothing.

    Raises ``BadDatabase`` for what is no URL of a database that there is a driver for.
    """
    if not url.startswith("sqlite"):
        try:
            return sa.create_engine(url, pool_size=_READERS + 2, pool_pre_ping=True)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise BadDatabase(
                f"store.url: {error}; give sqlite:///FILE, or leave it empty for SQLite in"
                " store.data_dir"
            ) from error
    memory = url in ("sqlite://", "sqlite:///:memory:")
    engine = sa.create_engine(
        url,
        poolclass=sa.StaticPool if memory else QueuePool,
        connect_args={"check_same_thread": False, "timeout": 30, "cached_statements": _PREPARED},
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun by us, below
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-65536",
            "mmap_size=268435456",
            "wal_autocheckpoint=4000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("corridor_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def bulk_insert(
    connection: Connection,
    target: sa.Table,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    fixed: Mapping[str, str] | None = None,
) -> None:
    """Insert many rows, many to a statement; ``fixed`` columns have the same SQL value in each.

    The driver of SQLite lets go of the interpreter's lock for each statement, and a thread that
    computes makes it wait up to 5 ms for its return. So rows go in by blocks of few different
    sizes, whose statements stay prepared.
    """
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    fixed = fixed or {}
    names = ", ".join([*columns, *fixed])
    one = f"({', '.join([*[mark] * len(columns), *fixed.values()])})"
    head = f"INSERT INTO {target.name} ({names}) VALUES "
    done = 0
    while done < len(rows):
        size = _block(len(rows) - done, _BLOCK_MAX)
        block = rows[done : done + size]
        values = tuple(chain.from_iterable(block))
        connection.exec_driver_sql(head + ", ".join([one] * size), values)
        done += size


def _block(left: int, most: int) -> int:
    """How many rows go next: few at once, many by powers of two."""
    return min(most, left if left <= _BLOCK_FREE else 1 << left.bit_length() - 1)


def bulk_read(
    connection: Connection, sql: str, values: Sequence[Any] = ()
) -> Sequence[tuple[Any, ...]]:
    """Return all rows of a query, fetched at one go as plain tuples.

    For queries of many rows: as with ``bulk_insert``, each fetch by itself may wait for its return.
    """
    result = connection.exec_driver_sql(sql, tuple(values))
    rows = result.cursor.fetchall()
    result.close()
    return rows


def bulk_execute(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Run one statement (``?`` marks) for many rows; returns how many rows it changed in all."""
    if not rows:
        return 0
    if connection.dialect.paramstyle != "qmark":
        sql = sql.replace("?", "%s")
    return connection.exec_driver_sql(sql, list(rows)).rowcount


def bulk_update(
    connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]], block: int = 64
) -> int:
    """Run ``UPDATE ... FROM {values} WHERE ...`` for many rows; returns how many it changed.

    ``{values}`` stands for the rows, named ``v`` with ``column1``, ``column2`` and so on: one
    statement for many rows, for the same reason as in ``bulk_insert``. No two rows may meet the
    same stored one.
    """
    changed = done = 0
    while done < len(rows):
        size = _block(len(rows) - done, block)
        part = rows[done : done + size]
        one = f"({', '.join('?' * len(part[0]))})"
        values = f"(VALUES {', '.join([one] * size)}) AS v"
        flat = tuple(chain.from_iterable(part))
        changed += connection.exec_driver_sql(statement.format(values=values), flat).rowcount
        done += size
    return changed


@dataclass(slots=True)
class _Item:
    call: Call
    future: "Future[Any]"
    alone: bool


class Database:
    """Reads and coalesced writes over one engine. ``close`` waits for writes under way."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = open_engine(url)
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._writing: Connection | None = None  # of the writer's thread alone
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="corridor-read")
        self._writer = threading.Thread(target=self._run, name="corridor-write", daemon=True)
        self._writer.start()
        self._closed = False
        #: Called in the writer's thread after every commit; must be quick and thread-safe.
        self.after_commit: list[Callable[[], None]] = []

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

    def read_sync(self, call: Callable[[Connection], T]) -> T:
        """Run ``call`` on a snapshot of the committed state, in this thread."""
        with self.engine.connect() as connection, connection.begin():
            return call(connection)

    def close(self) -> None:
        """Finish queued writes and let go of all connections."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._writer.join()
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
        results: list[tuple[_Item, Any, BaseException | None]] = []
        try:
            with self._transaction() as connection:
                for item in group:
                    results.append((item, *_run_one(connection, item.call, len(group) == 1)))
        except BaseException as error:
            for item in group:
                item.future.set_exception(error)
            return
        for item, result, failure in results:
            if failure is not None:
                item.future.set_exception(failure)
            else:
                item.future.set_result(result)
        for hook in list(self.after_commit):
            try:
                hook()
            except Exception:
                log.exception("after_commit_failed")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """One write transaction, on the connection that the writer keeps while all goes well."""
        if self._writing is None:
            self._writing = self.engine.connect().execution_options(corridor_write=True)
        try:
            with self._writing.begin():
                yield self._writing
        except BaseException:
            self._let_go()
            raise

    def _let_go(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.close()


def _run_one(connection: Connection, call: Call, single: bool) -> tuple[Any, BaseException | None]:
    if single:
        return call(connection), None
    savepoint = connection.begin_nested()
    try:
        result = call(connection)
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
    "bulk_execute",
    "bulk_insert",
    "bulk_read",
    "bulk_update",
    "open_engine",
]
