"""The replicas of the service: which number each has, so that no two make the same id, and where
each is reached.

An id has room for 256 numbers. They are given out least recently used first, so that a process
which was stopped finds its number its own for as long as can be; if it is not, it takes another.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from scheduler.domain.ids import REPLICA_BITS
from scheduler.domain.leases import is_over
from scheduler.errors import CorridorError
from scheduler.store import leader

#: A replica that was not seen for so long may have lost its number to another.
SILENT_MS: Final = 60_000
_LISTED_MS: Final = 3_600_000
_COLUMNS: Final = "number, instance, name, address, version, started_ms, seen_ms, left_ms"


class TooManyReplicas(CorridorError):
    """All numbers are in use."""

    reason = "TOO_MANY_REPLICAS"


class ReplicaRow(NamedTuple):
    """A replica as it is stored; instants are those of the database's clock.

    ``instance`` is unique to this start; ``left_ms`` is when it ended in order, else None.
    """

    number: int
    instance: str
    name: str
    address: str
    version: str
    started_ms: int
    seen_ms: int
    left_ms: int | None = None


class Newcomer(NamedTuple):
    """A process that wants a number."""

    instance: str
    name: str
    address: str
    version: str


def choose(known: Sequence[tuple[int, int, bool]], now_ms: int) -> int | None:
    """Return the number that was used least recently, of (number, seen_ms, left) of all that were.

    None if every one of them belongs to a replica that lives.
    """
    used = {number for number, _, _ in known}
    fresh = next((one for one in range(1 << REPLICA_BITS) if one not in used), None)
    if fresh is not None:
        return fresh
    free = [(seen, one) for one, seen, left in known if left or now_ms - seen > SILENT_MS]
    return min(free)[1] if free else None


def join(connection: Connection, newcomer: Newcomer, now_ms: int) -> int:
    """Give a process a number of its own; returns it. Raises ``TooManyReplicas``.

    Only one process uses an SQLite database at a time: there it is always 0.
    """
    number: int | None = 0
    if connection.dialect.name != "sqlite":
        connection.exec_driver_sql("LOCK TABLE replica IN SHARE ROW EXCLUSIVE MODE")
        number = choose([(row.number, row.seen_ms, row.left_ms is not None)
                         for row in _all(connection)], now_ms)  # fmt: skip
    if number is None:
        raise TooManyReplicas(
            f"{1 << REPLICA_BITS} replicas live on this database, and no more can: stop some"
        )
    connection.exec_driver_sql("DELETE FROM replica WHERE number = ?", (number,))
    connection.exec_driver_sql(
        f"INSERT INTO replica ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
        (number, *newcomer, now_ms, now_ms),
    )
    return number


def seen(connection: Connection, number: int, instance: str, now_ms: int) -> bool:
    """Note that a replica lives; False if its number is another's by now."""
    done = connection.exec_driver_sql(
        "UPDATE replica SET seen_ms = ? WHERE number = ? AND instance = ?",
        (now_ms, number, instance),
    )
    return done.rowcount == 1


def named(connection: Connection, instance: str, address: str) -> None:
    """Note where a replica is reached, once it listens."""
    connection.exec_driver_sql(
        "UPDATE replica SET address = ? WHERE instance = ?", (address, instance)
    )


def leave(connection: Connection, instance: str, now_ms: int) -> None:
    """Note that a replica ended in order."""
    connection.exec_driver_sql(
        "UPDATE replica SET seen_ms = ?, left_ms = ? WHERE instance = ?", (now_ms, now_ms, instance)
    )


def present(connection: Connection, since_ms: int) -> list[ReplicaRow]:
    """Return the replicas that did not end and were seen since, by number."""
    return [row for row in _all(connection) if row.left_ms is None and row.seen_ms >= since_ms]


class Present(NamedTuple):
    """A replica that was seen lately; ``epoch`` is that under which it leads, 0 if it does not."""

    row: ReplicaRow
    epoch: int


def listed(connection: Connection) -> list[Present]:
    """Return who was seen within the last hour and did not end, by number.

    The one service on a database of SQLite always leads, and nobody looks when it was seen.
    """
    now_ms = leader.database_ms(connection)
    if connection.dialect.name == "sqlite":
        epoch = int(connection.exec_driver_sql("SELECT max(epoch) FROM leader").scalar() or 0)
        return [Present(row._replace(seen_ms=now_ms), epoch) for row in present(connection, 0)]
    lease = leader.read_lease(connection)
    over = is_over(lease, now_ms)
    return [
        Present(row, lease.epoch if lease and not over and lease.holder == row.instance else 0)
        for row in present(connection, now_ms - _LISTED_MS)
    ]


def _all(connection: Connection) -> list[ReplicaRow]:
    rows = connection.exec_driver_sql(f"SELECT {_COLUMNS} FROM replica ORDER BY number")
    return [ReplicaRow(*row) for row in rows]
