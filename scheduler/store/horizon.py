"""Up to where the event feed is whole on PostgreSQL, where several write beside each other.

There numbers of the feed are taken in the order of writing, not of committing: event 7 may be seen
while event 6 is not, and may never be. So a transaction that writes begins with a mark: a lock,
held until the transaction is over and can be seen, whose key says the last number that was taken
then. All its own events are above that. A reader looks first at the last number, then at the least
of the marks, and takes its snapshot after both; the lesser of the two is the horizon. Whoever took
a number up to the last one had its mark before. Either the mark is still there, and the horizon is
below all its events, or its transaction was over when the snapshot was taken. So every event up to
the horizon is seen then, or will never be. A later horizon may be lower; what was said of the
higher one holds.

Marks are shared locks, so nobody ever waits for one. On SQLite one writes at a time, and what is
seen is whole.
"""

from typing import Any, Final

from sqlalchemy import Connection

from scheduler.store.bulk import driver_of

#: In the upper 16 bits of a key, so that locks of other programs on this database are told apart.
_SPACE: Final = 0x436F
#: The last number that was taken, 0 before the first.
_LAST: Final = "last_value - CASE WHEN is_called THEN 0 ELSE 1 END"
_MARK: Final = (
    f"SELECT pg_advisory_xact_lock_shared(({_SPACE}::bigint << 48) | ({_LAST})) FROM event_seq_seq"
)
#: One round: a transaction begins with its mark.
_BEGIN: Final = f"BEGIN ISOLATION LEVEL READ COMMITTED; {_MARK}".encode()
#: The marks are asked for with the last number in hand: what a subquery depends on is read first.
_HORIZON: Final = f"""
SELECT least(s.last, (
    SELECT min(((classid::bigint & 65535) << 32) | objid::bigint) FROM pg_locks
    WHERE s.last >= 0 AND locktype = 'advisory' AND objsubid = 1
    AND classid::bigint >> 16 = {_SPACE}
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)) FROM (SELECT {_LAST} AS last FROM event_seq_seq OFFSET 0) AS s
""".encode()
_OPTION: Final = "corridor_horizon"
#: The marks of writers that are there now, each with the process that holds it.
MARKS: Final = (
    "SELECT pid, ((classid::bigint & 65535) << 32) | objid::bigint AS mark FROM pg_locks"
    f" WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint >> 16 = {_SPACE}"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class NoHorizon(RuntimeError):
    """The feed is read on a snapshot that was taken without a horizon: a defect of ours."""


def begin(connection: Connection) -> None:
    """Begin a transaction that writes, with its mark (PostgreSQL)."""
    _run(connection, _BEGIN)


def look(connection: Connection) -> int:
    """Return the horizon for snapshots taken from now on (PostgreSQL)."""
    return int(_run(connection, _HORIZON).get_value(0, 0))


def last(connection: Connection) -> int:
    """Return the last number that was taken, whether what has it is seen or not (PostgreSQL)."""
    return int(connection.exec_driver_sql(f"SELECT {_LAST} FROM event_seq_seq").scalar_one())


def know(connection: Connection) -> None:
    """Have a connection know its horizon, before its transaction takes a snapshot (PostgreSQL)."""
    connection.execution_options(**{_OPTION: look(connection)})


def of(connection: Connection) -> int | None:
    """Return the horizon of the caller's transaction, None if all that it sees is whole.

    A transaction that writes takes a snapshot for each statement, and so has a horizon for each.
    Raises ``NoHorizon`` for one that reads but not by ``Database.read_feed``.
    """
    if connection.dialect.name == "sqlite":
        return None
    options = connection.get_execution_options()
    if options.get("corridor_write", False):
        return look(connection)
    known = options.get(_OPTION)
    if known is None:
        raise NoHorizon("the feed is to be read by Database.read_feed")
    return int(known)


def _run(connection: Connection, sql: bytes) -> Any:
    """Run SQL past all that would begin a transaction for it; returns the last result."""
    with driver_of(connection, sql.decode()) as driver:
        from psycopg import OperationalError, errors, pq

        result = driver.pgconn.exec_(sql)
        if result.status == pq.ExecStatus.TUPLES_OK:
            return result
        if result.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) != b"ERROR":
            driver.driver_connection.close()  # it is lost, which the driver has not seen itself
            raise OperationalError(f"the connection is lost: {result.get_error_message()}")
        raise errors.error_from_result(result)
