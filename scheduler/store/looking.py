"""Looks at a database without the power to change it, for who asks whether all is well.

PostgreSQL is told that every transaction only reads. A file of SQLite is opened so that neither it
nor what lies beside it is written: not even the files that its log needs are made.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from scheduler.store.engine import BadDatabase, StoreLimits, open_engine

T = TypeVar("T")

_APPLICATION: Final = "corridor-doctor"
_READ_ONLY: Final = "-c default_transaction_read_only=on"
#: Connections at a time: whoever looks must not take the last ones.
_READERS: Final = 1


class Away(Exception):
    """The database does not answer; the message says why, and holds no secret."""


class Looker:
    """Looks at the database of a URL, ``timeout_s`` real seconds at most for a statement.

    Threads may share it; it connects when first asked. Raises ``BadDatabase`` for a URL that none
    can be opened by, or a file that is not there.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._engine = _opened(url, timeout_s)
        self.is_sqlite = self._engine.dialect.name == "sqlite"
        self._patient = self._engine if self.is_sqlite else _opened(url, timeout_s, read_s=0)

    def read(self, call: Callable[[Connection], T]) -> T:
        """Run ``call``, each of whose statements stands alone. Raises ``Away``."""
        return self._run(self._engine, call, "AUTOCOMMIT")

    def snapshot(self, call: Callable[[Connection], T]) -> T:
        """Run ``call`` on one snapshot, without a limit of time. Raises ``Away``."""
        return self._run(self._patient, call, "REPEATABLE READ")

    def _run(self, engine: Engine, call: Callable[[Connection], T], isolation: str) -> T:
        # Of the engine, not of one connection: a verification opens others beside it.
        of = {} if self.is_sqlite else {"isolation_level": isolation}
        try:
            with engine.execution_options(**of).connect() as connection, connection.begin():
                return call(connection)
        except DBAPIError as error:
            raise Away(" ".join(str(error.orig).split())) from error

    def close(self) -> None:
        """Let go of all connections."""
        for engine in (self._engine, self._patient):
            engine.dispose()


def _opened(url: str, timeout_s: float, read_s: float | None = None) -> Engine:
    """Open an engine; a statement may take ``read_s``, 0 for ever, by default ``timeout_s``."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise BadDatabase("store.url: it is no URL of a database") from error
    if parsed.drivername == "sqlite":
        return _file(parsed.database or "", timeout_s)
    wait_ms = round(timeout_s * 1_000)
    read_ms = wait_ms if read_s is None else round(read_s * 1_000)
    limits = StoreLimits(_READERS, max(2, round(timeout_s)), read_ms, wait_ms, wait_ms, wait_ms)
    given = str(parsed.query.get("options", ""))
    more = {"options": f"{given} {_READ_ONLY}".strip(), "application_name": _APPLICATION}
    named = parsed.update_query_dict(more)
    return open_engine(named.render_as_string(hide_password=False), limits)


def _file(name: str, timeout_s: float) -> Engine:
    path = Path(name)
    if not path.is_file():
        raise BadDatabase(f"there is no database {path}")
    # Without a log nobody has it open, and to read it as it is writes no log of its own.
    still = "" if Path(f"{path}-wal").exists() else "&immutable=1"
    return sa.create_engine(
        f"sqlite:///file:{quote(str(path.absolute()))}?mode=ro{still}&uri=true",
        connect_args={"check_same_thread": False, "timeout": timeout_s},
    )
