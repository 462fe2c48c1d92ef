"""What callers are told while the database is away: that it is, and whether anything was stored."""

import sqlite3
from typing import Final

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from scheduler.errors import TemporarilyAway

#: Noted at an error that came while a transaction committed.
COMMITTING: Final = "its connection was lost while it committed: it may be stored"
#: SQLite's trouble that passes: busy, locked, read-only, input or output, full, cannot be opened.
_SQLITE: Final = frozenset({5, 6, 8, 10, 13, 14})
#: Ended for taking too long, or for waiting too long for a lock.
_SLOW: Final = frozenset({"57014", "55P03"})
#: No operational errors by their class: only reading is allowed (a standby), idle for too long.
_OTHERS: Final = frozenset({"25006", "25P03"})


def told(error: BaseException) -> TemporarilyAway | None:
    """Return what a caller is told of an error of the store; None if waiting does not mend it."""
    if isinstance(error, NoConnection):
        return TemporarilyAway("too many calls wait for the database; try again in a second")
    if not isinstance(error, DBAPIError) or not _passes(error):
        return None
    if COMMITTING in getattr(error, "__notes__", ()):
        return TemporarilyAway(
            "the database was lost while this was being stored, so it may be stored or not: look"
            " how things stand before you do it again, or repeat it with the same request id"
        )
    if _state(error) in _SLOW:
        return TemporarilyAway(
            "the database took too long for this, and nothing was stored; try again in a second"
        )
    return TemporarilyAway(
        "the database does not answer, and nothing was stored; try again in a second"
    )


def brief(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return str(error).strip().partition("\n")[0]


def _passes(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _SQLITE
    return (
        error.connection_invalidated
        or isinstance(error, OperationalError)
        or _state(error) in _OTHERS
    )


def _state(error: DBAPIError) -> str | None:
    found = getattr(error.orig, "sqlstate", None)
    return found if isinstance(found, str) else None
