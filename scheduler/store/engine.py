"""Engines: SQLite as the embedded default, PostgreSQL by URL, alike to all that write SQL.

SQL is written with ``?`` marks for both. What the two do differently below that is settled here,
when a connection opens: how transactions begin, how long one may wait, what types values have.
"""

import re
import sqlite3
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from scheduler.errors import CorridorError

_PREPARED: Final = 512  # statements that a connection of SQLite keeps prepared
_FOR_EVER_S: Final = 86_400.0
_LOG_S: Final = 10.0
_LOG_PAUSE_S: Final = 0.01
_GIVE: Final = (
    "give sqlite:///FILE or postgresql://USER@HOST/NAME, or leave it empty for SQLite in"
    " store.data_dir"
)
#: What PostgreSQL is told when a connection opens, beside limits, unless the URL says otherwise. To
#: compile a statement takes longer than any of ours takes to run. What is hot is in memory: to look
#: up some accounts by their index costs no more than its pages do, and far less than to read all.
_PLANS: Final = "-c jit=off -c random_page_cost=1.1"
#: The server lets go of a client whose machine is gone, and the client of such a server: what is
#: silent for so long is asked, and given up when it does not answer.
_ALIVE: Final = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
_ALIVE_HERE: Final = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
#: A transaction that only reads holds up nothing but the clearing away of old rows, and whoever
#: looks through the whole ledger may be busy between two statements.
_READ_IDLE_MS: Final = 3_600_000
_POSTGRESQL: Final = frozenset({"postgres", "postgresql", "postgresql+psycopg"})


class BadDatabase(CorridorError):
    """The database cannot be used; the message says what is wrong with it or its URL."""

    reason = "BAD_DATABASE"


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """How many read at a time, and how long one may take, in milliseconds; 0 is no limit.

    ``idle_ms`` is how long a transaction that writes may wait for its client between two
    statements: a client that froze must not hold its locks for ever. On SQLite there are
    ``readers``, and ``lock_ms`` is how long a write waits for another one.
    """

    readers: int = 4
    connect_s: int = 10
    read_ms: int = 600_000
    write_ms: int = 60_000
    lock_ms: int = 30_000
    idle_ms: int = 20_000

    def writing(self) -> str:
        """What a connection of PostgreSQL is told that writes from now on."""
        return (
            f"SET statement_timeout = {self.write_ms};"
            f" SET idle_in_transaction_session_timeout = {self.idle_ms}"
        )


LIMITS: Final = StoreLimits()


def open_engine(url: str, limits: StoreLimits = LIMITS) -> Engine:
    """Open an engine for ``url``; connects to nothing and creates nothing.

    Raises ``BadDatabase`` for what is no URL of a database that there is a driver for.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise BadDatabase(f"store.url: {error}; {_GIVE}") from error
    if parsed.drivername == "sqlite":
        return _open_sqlite(parsed, limits)
    if parsed.drivername in _POSTGRESQL:
        return _open_postgresql(parsed.set(drivername="postgresql+psycopg"), limits)
    raise BadDatabase(f"store.url: there is no driver for {parsed.drivername}; {_GIVE}")


def _open_sqlite(url: URL, limits: StoreLimits) -> Engine:
    memory = url.database in (None, "", ":memory:")
    engine = sa.create_engine(
        url,
        poolclass=sa.StaticPool if memory else QueuePool,
        connect_args={
            "check_same_thread": False,
            "timeout": limits.lock_ms / 1_000 or _FOR_EVER_S,
            "cached_statements": _PREPARED,
        },
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun by us, below
        cursor = connection.cursor()
        _keep_a_log(cursor)
        for pragma in (
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


def _keep_a_log(cursor: sqlite3.Cursor) -> None:
    """Have a new database keep a write-ahead log; of several who open it at once one does.

    The others are told at once that it is locked, however long they would wait for locks.
    """
    until_s = time.monotonic() + _LOG_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= until_s:
                raise
            time.sleep(_LOG_PAUSE_S)
        else:
            return


def _open_postgresql(url: URL, limits: StoreLimits) -> Engine:
    options = (
        f"-c lock_timeout={limits.lock_ms} -c statement_timeout={limits.read_ms}"
        f" -c idle_in_transaction_session_timeout={_READ_IDLE_MS} {_PLANS} {_ALIVE}"
        f" {url.query.get('options', '')}"  # what is said last is what holds
    )
    defaults = {
        "application_name": "corridor",
        "client_encoding": "utf8",
        "connect_timeout": str(limits.connect_s),
        **_ALIVE_HERE,
    }
    engine = sa.create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_size=limits.readers + 2,
        pool_pre_ping=True,
        connect_args={key: value for key, value in defaults.items() if key not in url.query}
        | {"options": options},
    )
    event.listen(engine, "connect", _adapt)
    event.listen(engine, "before_cursor_execute", _translate, retval=True)
    return engine


def _adapt(connection: Any, _record: Any) -> None:
    """Let numbers go as 64-bit ones, lists in binary, and sums come back as the ints they are."""
    from psycopg.adapt import Loader
    from psycopg.types.array import ListBinaryDumper
    from psycopg.types.numeric import Int8BinaryDumper

    class Whole(Loader):
        """A sum of BIGINT is numeric to PostgreSQL; here all numbers are whole."""

        def load(self, data: Any) -> int:
            return int(bytes(data))

    connection.adapters.register_dumper(int, Int8BinaryDumper)
    connection.adapters.register_dumper(list, ListBinaryDumper)
    connection.adapters.register_loader("numeric", Whole)


def _translate(
    _connection: Any, _cursor: Any, statement: str, values: Any, context: Any, _many: bool
) -> tuple[str, Any]:
    """Give a statement that was written by hand the marks of the driver."""
    if context is None or context.compiled is None:
        statement = translated(statement)
    return statement, values


# A literal, a quoted name, a comment; what is left is code.
_TOKENS: Final = re.compile(r"'[^']*'|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|\?|%", re.DOTALL)


@lru_cache(maxsize=1024)
def translated(statement: str) -> str:
    """Return SQL with ``?`` marks as psycopg takes it; marks within literals stay what they are."""
    if "?" not in statement and "%" not in statement:
        return statement
    return _TOKENS.sub(_token, statement)


def _token(found: re.Match[str]) -> str:
    text = found.group()
    return "%s" if text == "?" else text.replace("%", "%%")
